"""The contenders: the same application, with a limiter or without.

- `electronhub`: this package with its defaults. The chat model gets an HTTP client with its transport; nothing is set.
- `LlamaIndex's limiter`: `SlidingWindowRateLimiter`, which holds all requests to a number in any 60 seconds. One object
  is shared by everything, as its documentation advises: shares divided by hand would leave slots unused. It is set to
  90 % of the limit, because it counts a request when it leaves, and the service when it arrives. The ingestion and the
  searches are llama-index-embeddings-openai; the chat model is that of the others, and asks the same object.
- `LangChain's limiter`: `InMemoryRateLimiter`, a bucket that lets one request leave at a time, evenly. Also one object
  for everything, and 90 %. LangChain's embeddings take no limiter, so the application asks it by hand, before each
  search and each batch of the ingestion.
- `no limiter`: langchain-openai with its defaults, which are two retries within a few seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from load import BATCH

if TYPE_CHECKING:
    from collections.abc import Callable

    from load import Rules

DIMENSIONS = 16
SHARE = 0.9
"""The share of the limit to which the frameworks' limiters are set: the rest is for the network's jitter."""

Vectors = list[list[float]]


@dataclass(frozen=True)
class Job:
    """One contender under one limit, and the service that it has for itself."""

    contender: str
    limit: int
    """Requests per window."""
    rules: Rules
    base_url: str
    api_key: str
    state: str
    """An empty folder in place of the user's state folder, where this package keeps the window."""


@dataclass(frozen=True)
class Application:
    """What a contender can do; each is called from threads."""

    ingest: Callable[[list[str], Callable[[Vectors], None]], None]
    """Embeds texts, and hands over vectors as soon as the caller has them."""
    search: Callable[[str], Any]
    chat: Callable[[str], Any]


def _chat_model(job: Job, **settings: Any) -> Callable[[str], Any]:
    from langchain_openai import ChatOpenAI

    return ChatOpenAI(model="gpt-4o-mini", base_url=job.base_url, api_key=job.api_key, **settings).invoke


def _openai_embeddings(job: Job) -> Any:
    from langchain_openai import OpenAIEmbeddings

    return OpenAIEmbeddings(
        model="text-embedding-3-small",
        dimensions=DIMENSIONS,
        chunk_size=BATCH,
        check_embedding_ctx_length=False,  # the service does not take token arrays
        base_url=job.base_url,
        api_key=job.api_key,
    )


def electronhub(job: Job) -> Application:
    """Build it with this package; the address and the key are in the environment."""
    import httpx

    from electronhub_embeddings import RateLimitedTransport
    from langchain_electronhub import ElectronHubEmbeddings

    model = ElectronHubEmbeddings(dimensions=DIMENSIONS, batch_size=BATCH)
    return Application(
        ingest=lambda texts, keep: keep(model.embed_documents(texts)),
        search=model.embed_query,
        chat=_chat_model(job, http_client=httpx.Client(transport=RateLimitedTransport())),
    )


def llama_index_limiter(job: Job) -> Application:
    """Build it with LlamaIndex's limiter, shared by all."""
    from langchain_core.rate_limiters import BaseRateLimiter
    from llama_index.core import rate_limiter
    from llama_index.embeddings.openai import OpenAIEmbedding

    rate_limiter._SLIDING_WINDOW_SECONDS = job.rules.window  # noqa: SLF001 - a quick look has shorter ones
    shared = rate_limiter.SlidingWindowRateLimiter(requests_per_minute=int(SHARE * job.limit))

    class InLangChain(BaseRateLimiter):
        def acquire(self, *, blocking: bool = True) -> bool:  # noqa: ARG002 - the interface
            shared.acquire()
            return True

        async def aacquire(self, *, blocking: bool = True) -> bool:
            raise NotImplementedError

    model = OpenAIEmbedding(
        model_name="text-embedding-3-small",
        api_key=job.api_key,
        api_base=job.base_url,
        dimensions=DIMENSIONS,
        embed_batch_size=BATCH,
        rate_limiter=shared,
    )
    return Application(
        ingest=lambda texts, keep: keep(model.get_text_embedding_batch(texts)),
        search=model.get_query_embedding,
        chat=_chat_model(job, rate_limiter=InLangChain()),
    )


def langchain_limiter(job: Job) -> Application:
    """Build it with LangChain's limiter, shared by all."""
    from langchain_core.rate_limiters import InMemoryRateLimiter

    shared = InMemoryRateLimiter(requests_per_second=SHARE * job.limit / job.rules.window)
    model = _openai_embeddings(job)

    def ingest(texts: list[str], keep: Callable[[Vectors], None]) -> None:
        for start in range(0, len(texts), BATCH):
            shared.acquire()
            keep(model.embed_documents(texts[start : start + BATCH]))

    def search(text: str) -> list[float]:
        shared.acquire()
        vector: list[float] = model.embed_query(text)
        return vector

    return Application(ingest, search, _chat_model(job, rate_limiter=shared))


def no_limiter(job: Job) -> Application:
    """Build it as one does who does not think of a limit."""
    model = _openai_embeddings(job)
    return Application(
        ingest=lambda texts, keep: keep(model.embed_documents(texts)),
        search=model.embed_query,
        chat=_chat_model(job),
    )


CONTENDERS = {
    "electronhub": electronhub,
    "LlamaIndex's limiter": llama_index_limiter,
    "LangChain's limiter": langchain_limiter,
    "no limiter": no_limiter,
}
