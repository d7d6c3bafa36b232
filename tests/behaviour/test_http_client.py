"""`http_client=` takes a sync client of httpx or of httpx2, and understands the exceptions of both."""

import asyncio
import importlib
import json

import pytest

from electronhub_embeddings import APIConnectionError, APITimeoutError, EmbeddingsClient, InvalidResponseError
from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow
from electronhub_embeddings.emulator import faults
from electronhub_embeddings.rate_limit_stores.memory import MemoryStore
from support.entry_points import expected_vectors, same
from support.http_families import NAMES

KEY = "ek-canary-0123456789"


@pytest.fixture(params=NAMES)
def module(request):
    """Return each family in turn."""
    return importlib.import_module(request.param)


def test_requests_are_the_same(entry_point, module, recording_server):
    """A client of either family sends the same request, and its headers are as given."""
    server = recording_server()
    with module.Client(headers={"X-Mine": "yes"}) as http:
        thing = entry_point.make(server, http_client=http, default_headers={"X-Team": "search"})
        entry_point.query(thing, "one")
    (request,) = server.requests
    assert (request.method, request.target) == ("POST", "/v1/embeddings")
    assert json.loads(request.body)["input"] == ["one"]
    assert (request.header("x-team"), request.header("x-mine")) == (["search"], ["yes"])
    assert request.header("authorization") == [f"Bearer {server.api_key}"]
    assert request.header("accept-encoding") == ["zstd, gzip"]


def test_vectors(module, emulator, client):
    """Vectors are right, sync and async, and the client stays open."""
    service = emulator(rpm=0)
    with module.Client() as http:
        mine = client(service, http_client=http)
        assert same(mine.embed(["one", "two"]), expected_vectors(service, ["one", "two"]))
        assert same(asyncio.run(mine.aembed_query("three")), expected_vectors(service, ["three"])[0])
        mine.close()
        assert not http.is_closed


@pytest.mark.parametrize(
    ("name", "error", "sent"),
    [
        ("ConnectError", APIConnectionError, False),
        ("ConnectTimeout", APITimeoutError, False),
        ("PoolTimeout", APITimeoutError, False),
        ("ProxyError", APIConnectionError, False),
        ("ReadError", APIConnectionError, True),
        ("ReadTimeout", APITimeoutError, True),
        ("RemoteProtocolError", APIConnectionError, True),
        ("WriteTimeout", APITimeoutError, True),
    ],
)
def test_exceptions(module, client, name, error, sent):
    """Each exception becomes one of ours, which says whether the service may have counted the request."""

    class Service:
        base_url, api_key = "https://api.example/v1", KEY

    def fail(request):
        raise getattr(module, name)("it failed", request=request)

    store = MemoryStore()
    with module.Client(transport=module.MockTransport(fail)) as http:
        mine = client(Service, http_client=http, max_retries=0, rate_limit_store=store)
        with pytest.raises(error) as caught:
            mine.embed_query("one")
    assert (type(caught.value), caught.value.sent) == (error, sent)
    assert store.update(lambda window, _: len(window.slots.held)) == int(sent)
    assert getattr(caught.value.__cause__, "_request", None) is None
    assert KEY not in f"{caught.value!r} {caught.value.__cause__!r}"


def test_a_time_out_covers_the_whole_answer(module, emulator, client):
    """An answer that arrives byte by byte ends with the time-out."""
    service = emulator(rpm=0, faults=[faults.trickle(10)])
    with module.Client() as http, pytest.raises(APITimeoutError):
        client(service, http_client=http, timeout=1, max_retries=0).embed_query("one")


def test_a_hook_that_raises(module, emulator, client):
    """An event hook that calls `raise_for_status()` does not hide the service's error."""
    service = emulator(rpm=0, faults=[faults.error(503), None])
    with module.Client(event_hooks={"response": [lambda response: response.raise_for_status()]}) as http:
        mine = client(service, http_client=http, rate_limit_store=MemoryStore(SlidingWindow(period=0.01)))
        mine.embed_query("one")
    assert [call.status for call in service.calls] == [503, 200]


def test_a_truncated_answer(module, emulator, client):
    """An answer that breaks off is refused."""
    service = emulator(rpm=0, faults=[faults.truncate()])
    with module.Client() as http, pytest.raises((APIConnectionError, InvalidResponseError)):
        client(service, http_client=http, max_retries=0).embed_query("one")


@pytest.mark.parametrize("name", ["AsyncClient", "HTTPTransport", "AsyncHTTPTransport"])
def test_another_object_is_refused(module, name):
    """The error names what was given and what to pass instead, before anything is sent."""
    words = rf"an httpx\.Client\(…\) or an httpx2\.Client\(…\), .* {module.__name__}\.{name}"
    with pytest.raises(ValueError, match=words):
        EmbeddingsClient(api_key=KEY, http_client=getattr(module, name)())
    with pytest.raises(ValueError, match="not the class Client"):
        EmbeddingsClient(api_key=KEY, http_client=module.Client)


def test_a_closed_client_is_refused(module):
    """A client that is closed could not send any request."""
    with module.Client() as http:
        pass
    with pytest.raises(ValueError, match="is closed"):
        EmbeddingsClient(api_key=KEY, http_client=http)
