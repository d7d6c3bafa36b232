"""Other SDKs share the window through our transports: openai, LangChain's ChatOpenAI, LlamaIndex's OpenAILike."""

import importlib

import pytest

from electronhub_embeddings import RateLimitError
from support.recording_server import answer_with_chat

openai = pytest.importorskip("openai")

from support.http_families import Kind  # noqa: E402 - after the check

FAMILY = "httpx2" if int(openai.__version__.partition(".")[0]) >= 3 else "httpx"
"""What the installed openai is made of."""

MESSAGES = [{"role": "user", "content": "What is the capital of France?"}]
ANSWER = "Paris is it."


@pytest.fixture
def service(recording_server):
    """Return a service of two requests per minute that answers chat calls and embeds texts."""
    return recording_server(answer_with_chat(limit=2))


@pytest.fixture
def http(service):
    """Return a sync HTTP client that paces its requests and never waits."""
    kind = Kind(FAMILY, is_async=False)
    with kind.client_class(transport=kind.transport(service, max_wait=0)) as client:
        yield client


@pytest.fixture
async def async_http(service):
    """Return an async HTTP client that paces its requests and never waits."""
    kind = Kind(FAMILY, is_async=True)
    async with kind.client_class(transport=kind.transport(service, max_wait=0)) as client:
        yield client


def is_full(service, client):
    """Return whether the embeddings client of the same account has to wait, because the window is full."""
    with pytest.raises(RateLimitError):
        client(service, max_wait=0).embed_query("one")
    return len(service.requests) == 2


def told(error):
    """Return an error and all of its causes."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def test_openai(service, http, client):
    """Plain and streamed calls take one slot each; a third one is not sent, and says why."""
    sdk = openai.OpenAI(api_key=service.api_key, base_url=service.base_url, http_client=http, max_retries=0)
    answer = sdk.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    assert answer.choices[0].message.content == ANSWER
    chunks = list(sdk.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == ANSWER
    assert is_full(service, client)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - openai 2 wraps it, openai 3 does not
        sdk.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    assert [error for error in told(caught.value) if isinstance(error, RateLimitError)]
    assert len(service.requests) == 2


async def test_openai_async(service, async_http, client):
    """The same in an event loop."""
    sdk = openai.AsyncOpenAI(api_key=service.api_key, base_url=service.base_url, http_client=async_http, max_retries=0)
    answer = await sdk.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    assert answer.choices[0].message.content == ANSWER
    stream = await sdk.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, stream=True)
    words = [chunk.choices[0].delta.content or "" async for chunk in stream]
    assert "".join(words) == ANSWER
    assert is_full(service, client)


def test_openai_embeddings_against_the_emulator(emulator, client):
    """The window is the emulator's as well: nothing is refused."""
    service, kind = emulator(rpm=2), Kind(FAMILY, is_async=False)
    with kind.client_class(transport=kind.transport(service, max_wait=0)) as http:
        sdk = openai.OpenAI(api_key=service.api_key, base_url=service.base_url, http_client=http, max_retries=0)
        for text in ("one", "two"):
            sdk.embeddings.create(model="text-embedding-3-small", input=text)
        with pytest.raises(RateLimitError):
            client(service, max_wait=0).embed_query("three")
    assert [call.status for call in service.calls] == [200, 200]


async def test_chat_openai(service, http, async_http, client):
    """LangChain's ChatOpenAI, sync, async and streamed."""
    module = pytest.importorskip("langchain_openai")
    llm = module.ChatOpenAI(
        model="gpt-4o-mini",
        api_key=service.api_key,
        base_url=service.base_url,
        http_client=http,
        http_async_client=async_http,
        max_retries=0,
    )
    assert llm.invoke("one").content == ANSWER
    assert "".join([chunk.content async for chunk in llm.astream("two")]) == ANSWER
    assert is_full(service, client)


async def test_openai_like(service, http, async_http, client):
    """LlamaIndex's OpenAILike, sync and async."""
    try:
        module = importlib.import_module("llama_index.llms.openai_like")
    except ImportError:
        pytest.skip("llama-index-llms-openai-like is not installed")
    llm = module.OpenAILike(
        model="gpt-4o-mini",
        api_key=service.api_key,
        api_base=service.base_url,
        is_chat_model=True,
        http_client=http,
        async_http_client=async_http,
        max_retries=0,
    )
    assert llm.complete("one").text == ANSWER
    chunks = [chunk async for chunk in await llm.astream_complete("two")]
    assert chunks[-1].text == ANSWER
    assert is_full(service, client)
