"""The emulator's chat completions, over HTTP: answers, streams, rules, limit and faults."""

import json
import socket
import ssl
import time

import httpx
import pytest

from electronhub_embeddings.emulator import Emulator, faults
from electronhub_embeddings.emulator._chat import REPLY

# No certificates: reading them takes 20 ms, and no test uses any.
TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
MODEL = "gpt-4o-mini"
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello world"}]


@pytest.fixture(name="service")
def unlimited():
    """Serve without a limit."""
    with Emulator(rpm=0) as service:
        yield service


def client_of(service, key=None):
    """Return a client that has the key."""
    headers = {"Authorization": f"Bearer {service.api_key if key is None else key}"}
    return httpx.Client(base_url=service.base_url, headers=headers, verify=TLS, timeout=10)


def chat(service, key=None, **fields):
    """Ask for one answer."""
    with client_of(service, key) as client:
        return client.post("/chat/completions", json={"model": MODEL, "messages": MESSAGES, **fields})


def embed(service):
    """Ask for one vector."""
    with client_of(service) as client:
        return client.post("/embeddings", json={"model": "text-embedding-3-small", "input": "hello"})


def events(response):
    """Return the data of the events of a stream, decoded except for the last."""
    *chunks, done, rest = response.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    return [json.loads(chunk.removeprefix("data: ")) for chunk in chunks]


def timed_pieces(service, **fields):
    """Return the pieces of a stream as they arrive, each with the seconds since the request."""
    body = {"model": MODEL, "messages": MESSAGES, "stream": True, **fields}
    start = time.monotonic()
    with client_of(service) as client, client.stream("POST", "/chat/completions", json=body) as response:
        return [(piece, time.monotonic() - start) for piece in response.iter_raw()]


def test_an_answer(service):
    """The answer has OpenAI's shape, the fixed text, and the tokens of all messages."""
    response = chat(service)
    body = response.json()
    assert response.headers["content-type"] == "application/json"
    assert abs(body.pop("created") - time.time()) < 10
    assert body == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": MODEL,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": REPLY, "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 5, "completion_tokens": 15, "total_tokens": 20},
    }


def test_a_stream(service):
    """A stream has a chunk with the role, one for each word, one with the finish reason, and an end."""
    response = chat(service, stream=True)
    assert response.headers["content-type"].startswith("text/event-stream")
    chunks = events(response)
    assert {(chunk["object"], chunk["id"], chunk["model"]) for chunk in chunks} == {
        ("chat.completion.chunk", "chatcmpl-1", MODEL)
    }
    (first, *middle, last) = [chunk["choices"][0] for chunk in chunks]
    assert (first["delta"], last["delta"]) == ({"role": "assistant", "content": ""}, {})
    assert [choice["delta"]["content"] for choice in middle] == [
        w if n == 0 else f" {w}" for n, w in enumerate(REPLY.split())
    ]
    assert [choice["finish_reason"] for choice in (first, *middle, last)] == [None] * (len(middle) + 1) + ["stop"]
    assert [chunk for chunk in chunks if "usage" in chunk] == []


def test_the_usage_of_a_stream(service):
    """With `include_usage` a last chunk without choices has the usage, and the others have null."""
    *chunks, last = events(chat(service, stream=True, stream_options={"include_usage": True}))
    assert (last["choices"], last["usage"]) == ([], chat(service).json()["usage"])
    assert [chunk["usage"] for chunk in chunks] == [None] * len(chunks)
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


def test_a_stream_is_chunked(service):
    """Every event is an HTTP chunk of its own, so that no client has to wait for the next."""
    body = json.dumps({"model": MODEL, "messages": MESSAGES, "stream": True})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {service.api_key}\r\n"
    with socket.create_connection(("127.0.0.1", httpx.URL(service.base_url).port), timeout=5) as tcp:
        tcp.sendall(f"{head}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        received = b"".join(iter(lambda: tcp.recv(65536), b"")).decode()
    headers, _, content = received.partition("\r\n\r\n")
    assert "transfer-encoding: chunked" in headers.lower()
    assert "content-length" not in headers.lower()
    chunks = content.split("\r\n")[1::2]
    assert [chunk.count("data: ") for chunk in chunks if chunk] == [1] * (len(REPLY.split()) + 3)


def test_latency_of_a_stream():
    """Half of the latency passes before a stream begins, the other half between its pieces."""
    with Emulator(rpm=0, latency=1.0) as service:
        times = [seconds for _, seconds in timed_pieces(service)]
        assert len(times) > 5
        assert times[0] >= 0.5
        assert times[-1] - times[0] >= 0.3
        assert times[-1] >= 0.95
        assert chat(service).elapsed.total_seconds() >= 1.0


@pytest.mark.parametrize(
    ("content", "tokens"),
    [
        ("hello world", 2),
        ("", 0),
        (None, 0),
        ([{"type": "text", "text": "hello world"}, {"type": "image_url", "image_url": {"url": "x"}}, "?"], 2),
    ],
)
def test_tokens_of_a_message(service, content, tokens):
    """Text is counted, as a string and in parts; a message may have none."""
    response = chat(service, messages=[{"role": "user", "content": content}])
    assert (response.status_code, response.json()["usage"]["prompt_tokens"]) == (200, tokens)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": {"role": "user"}}, "messages"),
        ({"messages": ["hello"]}, "messages"),
        ({"messages": [*MESSAGES, {"content": "hello"}]}, "messages"),
        ({"messages": [{"role": "", "content": "hello"}]}, "messages"),
        ({"messages": [{"role": 1, "content": "hello"}]}, "messages"),
        ({"model": None}, "model"),
        ({"stream": "yes"}, "stream"),
        ({"stream": 1}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": True}, "stream_options"),
        ({"stream": True, "stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
    ],
)
def test_invalid_fields(service, fields, field):
    """A field that is missing or of the wrong type is a 400 that names it."""
    response = chat(service, **fields)
    message = f"'$.{field}' is invalid. Please check the API reference."
    expected = {"message": message, "type": "invalid_request_error", "param": field, "code": None}
    assert (response.status_code, response.json()) == (400, {"error": expected})


@pytest.mark.parametrize("fields", [{"stream": None, "stream_options": None}, {"temperature": 0}, {"tools": []}])
def test_null_and_unknown_fields(service, fields):
    """Null stands for the default, and fields that do not shape the answer are ignored."""
    assert chat(service, **fields).json()["choices"][0]["message"]["content"] == REPLY


@pytest.mark.parametrize(
    ("model", "status", "message"),
    [
        ("nope", 404, "The model 'nope' does not exist."),
        ("mistral-embed", 400, "The model 'mistral-embed' does not support chat completions."),
    ],
)
def test_models(service, model, status, message):
    """A model has to exist, and to be one for chat."""
    response = chat(service, model=model)
    assert (response.status_code, response.json()["error"]["message"]) == (status, message)


def test_a_body_that_is_not_json(service):
    """Broken JSON is rejected as a whole."""
    with client_of(service) as client:
        response = client.post("/chat/completions", content=b"{")
    assert (response.status_code, response.json()["error"]["message"][:16]) == (400, "'$' is invalid. ")


@pytest.mark.parametrize("key", ["ek-wrong", "ek-dev-wrong"])
def test_keys(key):
    """A wrong key is a 401 and is not counted; the rule about coding plan keys is one of embeddings."""
    with Emulator(rpm=1) as service:
        response = chat(service, key)
        assert (response.status_code, response.json()["error"]["code"]) == (401, 401)
        assert response.headers["X-RateLimit-Remaining"] == "1"


def test_a_coding_plan_key_can_chat():
    """A coding plan key that is accepted can chat, but not embed."""
    with Emulator(rpm=0, api_key="ek-dev-1") as service:
        assert (chat(service).status_code, embed(service).status_code) == (200, 403)


@pytest.mark.parametrize("stream", [False, True])
def test_one_window_with_embeddings(stream):
    """Each answer counts as one call in the window of embeddings, streamed or not, and shares the cooldown."""
    with Emulator(rpm=3) as service:
        responses = [chat(service, stream=stream), embed(service), chat(service, stream=stream, messages=[])]
        responses += [chat(service, stream=stream), embed(service)]
        assert [response.status_code for response in responses] == [200, 200, 400, 429, 429]
        assert [response.headers["X-RateLimit-Remaining"] for response in responses] == ["2", "1", "0", "0", "0"]
        assert {response.headers["X-RateLimit-Limit"] for response in responses} == {"3"}
        assert responses[3].json()["error"]["message"] == "Rate limit exceeded. Try again in 180 seconds."
        assert [call.in_cooldown for call in service.calls] == [False] * 4 + [True]


def test_a_stream_counts_when_it_begins():
    """A stream that is not read to its end has taken a slot already."""
    with Emulator(rpm=2, latency=5) as service, client_of(service) as client:
        body = {"model": MODEL, "messages": MESSAGES, "stream": True}
        with pytest.raises(httpx.ReadTimeout):
            client.post("/chat/completions", json=body, timeout=0.2)
        assert [call.status for call in service.calls] == [200]
        assert client.get("/models").headers["X-RateLimit-Remaining"] == "1"


def test_calls(service):
    """A recorded call says for which endpoint it was, and how many texts or messages it had."""
    chat(service, stream=True)
    embed(service)
    chat(service, messages=7)
    assert [(call.endpoint, call.texts, call.messages, call.prompt_tokens) for call in service.calls] == [
        ("/v1/chat/completions", 0, 2, 5),
        ("/v1/embeddings", 1, 0, 1),
        ("/v1/chat/completions", 0, 0, 0),
    ]
    assert service.calls[0].body["messages"] == MESSAGES


@pytest.mark.parametrize("stream", [False, True])
def test_faults_that_respond(service, stream):
    """A fault with a response of its own replaces an answer and a stream, and charges nothing."""
    service.script(faults.error(503), faults.html(502), faults.error_with_200())
    assert [chat(service, stream=stream).status_code for _ in range(4)] == [503, 502, 200, 200]
    assert [call.prompt_tokens for call in service.calls] == [0, 0, 0, 5]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "fault",
    [faults.drop(), faults.reset(), faults.truncate(), faults.truncate(reset=True), faults.wrong_length(9)],
    ids=["drop", "reset", "truncate", "broken", "wrong length"],
)
def test_faults_of_the_network(service, stream, fault):
    """An answer and a stream can be dropped and cut."""
    service.script(fault)
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        chat(service, stream=stream)
    assert chat(service, stream=stream).status_code == 200


def test_a_stream_that_stalls(service):
    """The first half of a stream arrives before the pause, the second after it."""
    service.script(faults.stall(0.6))
    pieces = timed_pieces(service)
    early = b"".join(piece for piece, seconds in pieces if seconds < 0.5)
    assert early.startswith(b'data: {"id"')
    assert not early.endswith(b"[DONE]\n\n")
    assert pieces[-1][0].endswith(b"[DONE]\n\n")
    assert pieces[-1][1] >= 0.6


def test_a_stream_that_trickles(service):
    """A stream can be spread over some time, its head too."""
    service.script(faults.trickle(0.3), faults.trickle(0.3, head=True))
    for _ in range(2):
        pieces = timed_pieces(service)
        assert len(pieces) > 5
        assert pieces[-1][1] >= 0.3
        assert b"".join(piece for piece, _ in pieces).endswith(b"[DONE]\n\n")


def test_edited_answers(service):
    """A fault edits an answer as a whole, and a stream chunk by chunk; bytes are sent as they are."""
    service.script(faults.without_usage(), faults.edit(lambda chunk: {**chunk, "id": "x"}), faults.edit(lambda _: b"x"))
    assert "usage" not in chat(service).json()
    assert {chunk["id"] for chunk in events(chat(service, stream=True))} == {"x"}
    assert chat(service, stream=True).text.startswith("data: x\n\ndata: x\n\n")


ROW_FAULTS = [
    faults.shuffled(),
    faults.short(),
    faults.extra(),
    faults.duplicate_index(),
    faults.not_a_number(),
    faults.odd_base64(),
]


@pytest.mark.parametrize("stream", [False, True])
def test_faults_of_rows(service, stream):
    """A fault of the rows leaves an answer as it is, for it has no rows."""
    service.script(*ROW_FAULTS)
    lengths = {len(chat(service, stream=stream).content) for _ in range(len(ROW_FAULTS) + 1)}
    assert len(lengths) == 1


def test_a_closed_service_ends_a_stream():
    """A stream under way does not delay the end of the emulator."""
    service = Emulator(rpm=0, faults=[faults.stall(30)]).start()
    body = {"model": MODEL, "messages": MESSAGES, "stream": True}
    with client_of(service) as client, client.stream("POST", "/chat/completions", json=body) as response:
        pieces = response.iter_raw()
        next(pieces)
        start = time.monotonic()
        service.close()
        with pytest.raises(httpx.TransportError):
            list(pieces)
        assert time.monotonic() - start < 1.0
