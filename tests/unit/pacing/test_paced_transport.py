"""The transports that pace other libraries: one window for all requests of a key, whoever sends them."""

import asyncio
import contextlib
import copy
import gzip
import json
import math
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
import traceback

import httpx
import pytest

import electronhub_embeddings
from electronhub_embeddings import EmbeddingsClient, RateLimitedTransport, RateLimitError
from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow
from electronhub_embeddings.emulator import faults
from electronhub_embeddings.rate_limit_stores.memory import MemoryStore
from support.child_processes import begin, finish, release, slow_except
from support.http_families import KINDS, Kind
from support.open_files import DESCRIPTORS, open_files
from support.recording_server import Answer, answer_with_chat
from support.window_changes import look

REFUSAL = json.dumps({"error": {"message": "Rate limit exceeded. Try again in 30 seconds.", "code": 429}}).encode()


@pytest.fixture(params=KINDS)
def kind(request):
    """Return each kind of transport in turn."""
    name, is_async = KINDS[request.param]
    return Kind(name, is_async=is_async)


@pytest.fixture
def store():
    """Return a store whose window a test can look at."""
    return MemoryStore()


@pytest.fixture(params=["memory", "file"])
def where(request, tmp_path):
    """Return a store in memory, and the path of a file."""
    return MemoryStore() if request.param == "memory" else str(tmp_path / "limits.db")


def slots(store):
    """Return the numbers of slots in flight and held."""
    window, now = store.update(look)
    return len(window.slots.in_flight), sum(end > now for end in window.slots.held.values())


def waiting_in(store):
    """Return the interactive calls that wait for a slot."""
    return store.update(look)[0].wait_queue.waiting


def test_one_window_for_all(kind, emulator, client):
    """Requests of a transport and of a client take slots of the same window, and none is refused by the service."""
    service = emulator(rpm=3)

    async def act(poster):
        assert [(await poster.post()).status_code for _ in range(2)] == [200, 200]
        embeddings = client(service, max_wait=0.2)
        await embeddings.aembed_query("two")
        with pytest.raises(RateLimitError, match="rate limit"):
            await poster.post()
        with pytest.raises(RateLimitError):
            await embeddings.aembed_query("three")

    kind.run(service, act, max_wait=0.2)
    assert [call.status for call in service.calls] == [200, 200, 200]


def test_everybody_leaves_in_time(kind, emulator):
    """Concurrent requests wait for their slots, and all are answered."""
    service = emulator(rpm=0)
    store = MemoryStore(SlidingWindow(period=0.3, margin=0.01))

    async def act(poster):
        return await asyncio.gather(*(poster.post(str(number)) for number in range(6)))

    answers = kind.run(service, act, requests_per_minute=2, rate_limit_store=store)
    assert [answer.status_code for answer in answers] == [200] * 6
    at = [call.at for call in service.calls]
    assert all(later - earlier >= 0.3 for earlier, later in zip(at, at[2:], strict=False))


def test_the_order_of_asking(kind, emulator, client, until):
    """Requests of a transport and queries of a client that wait at the same time get their slots in turn."""
    service = emulator(rpm=0)
    store = MemoryStore(SlidingWindow(period=0.4, margin=0.01))

    async def act(poster):
        embeddings = client(service, requests_per_minute=1, rate_limit_store=store)
        await embeddings.aembed_query("first")
        waiting = []
        for number, ask in enumerate([poster.post, embeddings.aembed_query, poster.post]):
            waiting.append(asyncio.ensure_future(ask(str(number))))
            await asyncio.to_thread(until, lambda number=number: len(waiting_in(store)) > number)
        await asyncio.gather(*waiting)

    kind.run(service, act, requests_per_minute=1, rate_limit_store=store)
    assert [call.body["input"] for call in service.calls] == [["first"], ["0"], ["1"], ["2"]]


def test_max_wait(kind, emulator, store):
    """A request that would have to wait too long is not sent; the error says for how long and what to do."""
    service = emulator(rpm=1)

    async def act(poster):
        await poster.post()
        with pytest.raises(RateLimitError) as caught:
            await poster.post()
        return caught.value

    error = kind.run(service, act, max_wait=0, rate_limit_store=store)
    assert error.retry_after == pytest.approx(60, abs=2)
    seconds = math.ceil(round(error.retry_after, 1))
    assert str(error) == (
        f"The request would have to wait for {seconds} s (rate limit), longer than its max_wait of 0 s. "
        f"Try again in {seconds} s, or allow a longer max_wait."
    )
    assert slots(store) == (0, 1)


def test_interactive(kind, emulator, store):
    """Requests rank with queries: documents leave evenly spaced as long as there are some."""
    service = emulator(rpm=10)
    kind.run(service, lambda poster: poster.post(), rate_limit_store=store)
    window, now = store.update(look)
    assert window.spacing.interactive_until > now


@pytest.mark.parametrize("body", [REFUSAL, gzip.compress(REFUSAL)], ids=["plain", "gzip"])
def test_a_refusal_stops_everybody(kind, recording_server, client, body):
    """A 429 starts the cooldown that its body names, for all clients; the SDK can still read the body."""
    encoding = {} if body == REFUSAL else {"Content-Encoding": "gzip"}
    service = recording_server(lambda _: Answer(429, encoding, body))

    async def act(poster):
        answer = await poster.post()
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, 429)
        with pytest.raises(RateLimitError, match="cooldown") as caught:
            await poster.post()
        assert caught.value.retry_after == pytest.approx(30, abs=2)
        with pytest.raises(RateLimitError, match="cooldown"):
            await client(service, max_wait=1).aembed_query("one")

    kind.run(service, act, max_wait=1)
    assert len(service.requests) == 1


def test_a_client_s_refusal_stops_the_transport(kind, recording_server, client):
    """A 429 that an embeddings client receives stops the transport."""
    service = recording_server(lambda _: Answer(429, body=REFUSAL))

    async def act(poster):
        with pytest.raises(RateLimitError):
            await client(service, max_retries=0).aembed_query("one")
        with pytest.raises(RateLimitError, match="cooldown"):
            await poster.post()

    kind.run(service, act, max_wait=1)
    assert len(service.requests) == 1


def test_a_spent_budget_is_no_cooldown(kind, emulator, store):
    """A 429 for a budget of the plan does not stop the others."""
    service = emulator(rpm=10, faults=[faults.budget_spent()])

    async def act(poster):
        return [(await poster.post()).status_code for _ in range(2)]

    assert kind.run(service, act, max_wait=0, rate_limit_store=store) == [429, 200]


def test_a_huge_refusal_can_be_read(kind, recording_server, store):
    """Only the beginning of a long body is read ahead; the SDK receives all of it."""
    page = b"x" * 1_000_000
    service = recording_server(lambda _: Answer(429, body=page))

    async def act(poster):
        return (await poster.post()).content

    assert kind.run(service, act, rate_limit_store=store) == page
    assert store.update(lambda window, now: window.cooldown.until - now) == pytest.approx(180, abs=2)


@pytest.mark.parametrize("number", [0, 500])
def test_a_truncated_refusal(kind, recording_server, store, number):
    """A refusal whose body breaks off starts the cooldown, and the SDK gets the error of the connection."""
    service = recording_server(lambda _: Answer(429, {"Content-Length": number + 10}, b"x" * number))

    async def act(poster):
        with pytest.raises(kind.module.TransportError):
            await poster.post()

    kind.run(service, act, rate_limit_store=store, transport=None)
    assert store.update(lambda window, now: window.cooldown.until - now) > 100


def test_other_requests_pass(kind, recording_server, store):
    """Requests to other addresses, or without a key, take no slot, and are sent unchanged."""
    service, other = recording_server(answer_with_chat()), recording_server(answer_with_chat())

    async def act(poster):
        for url in (f"{other.base_url}/embeddings", f"http://127.0.0.1:{service.port}/v10/embeddings"):
            assert (await poster.post(url=url)).status_code == 200
        assert (await poster.post(headers={"Authorization": ""})).status_code == 200
        assert (await poster.post(headers={"Authorization": "Basic abc"})).status_code == 200
        assert slots(store) == (0, 0)
        assert (await poster.post(headers={"Authorization": f"bearer {service.api_key}"})).status_code == 200
        assert slots(store) == (0, 1)

    kind.run(service, act, rate_limit_store=store)
    assert other.requests[0].header("authorization") == [f"Bearer {service.api_key}"]


def test_accounts_have_their_own_windows(kind, recording_server):
    """The account is the key of the request, so one transport serves several."""
    service = recording_server(answer_with_chat(limit=1))

    async def act(poster):
        for key in ("ek-first", "ek-second"):
            await poster.post(headers={"Authorization": f"Bearer {key}"})
        with pytest.raises(RateLimitError):
            await poster.post(headers={"Authorization": "Bearer ek-first"})

    kind.run(service, act, max_wait=0)
    assert len(service.requests) == 2


def test_a_request_that_was_not_sent(kind, store):
    """An error before the first byte releases the slot, and reaches the caller unchanged."""

    class Nobody:
        base_url, api_key = "http://127.0.0.1:9/v1", "ek-test"

    async def act(poster):
        with pytest.raises(kind.module.ConnectError):
            await poster.post()

    kind.run(Nobody, act, rate_limit_store=store)
    assert slots(store) == (0, 0)


def test_a_request_without_an_answer(kind, emulator, store):
    """The service may have counted a request whose connection broke, so its slot is held."""
    service = emulator(rpm=10, faults=[faults.drop()])

    async def act(poster):
        with pytest.raises(kind.module.TransportError):
            await poster.post()

    kind.run(service, act, rate_limit_store=store)
    assert slots(store) == (0, 1)


def test_a_streamed_answer_counts_when_it_begins(kind, recording_server, store):
    """The slot is completed when the headers arrive, before the body is read."""
    service = recording_server(answer_with_chat())
    url, body = f"{service.base_url}/chat/completions", {"model": "m", "messages": [], "stream": True}

    async def act(poster):
        if kind.is_async:
            async with poster.http.stream("POST", url, json=body) as response:
                assert slots(store) == (0, 1)
                return b"".join([part async for part in response.aiter_bytes()])
        with poster.http.stream("POST", url, json=body) as response:
            assert slots(store) == (0, 1)
            return b"".join(response.iter_bytes())

    assert kind.run(service, act, rate_limit_store=store).endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("kind", [name for name in KINDS if "async" in name], indirect=True)
def test_a_cancelled_request(kind, emulator, hold, until, where):
    """A cancelled request may have been counted, so its slot is held; one that still waits takes none."""
    service = emulator(rpm=0, faults=[hold.fault])

    async def act(poster):
        sent = asyncio.create_task(poster.post(*hold.texts))
        await asyncio.to_thread(until, lambda: service.calls)
        waits = asyncio.create_task(poster.post())  # for the first answer
        await asyncio.sleep(0.1)
        for task in (waits, sent):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        assert sent.cancelled()
        assert waits.cancelled()

    kind.run(service, act, rate_limit_store=where)
    opened = _opened(service, where) if isinstance(where, str) else where
    until(lambda: slots(opened) == (0, 1))
    assert len(service.calls) == 1


def _opened(service, path):
    from electronhub_embeddings._config.account import Account  # noqa: PLC0415
    from electronhub_embeddings._config.secret import Secret  # noqa: PLC0415
    from electronhub_embeddings.rate_limit_stores.sqlite import SQLiteStore  # noqa: PLC0415

    return SQLiteStore(path, Account(service.base_url, Secret(service.api_key)).name)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers that send signals")
def test_an_interrupted_wait(emulator, store):
    """An exception of a signal handler ends the wait at once, and takes no slot."""
    service = emulator(rpm=1)

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with Kind("httpx", is_async=False).client(service, rate_limit_store=store) as http:
            http.post(f"{service.base_url}/embeddings", json={"model": "text-embedding-3-small", "input": "one"})
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            start = time.monotonic()
            with pytest.raises(KeyboardInterrupt):
                http.post(f"{service.base_url}/embeddings", json={"model": "text-embedding-3-small", "input": "one"})
            assert time.monotonic() - start < 5
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert slots(store) == (0, 1)


@pytest.mark.parametrize("kind", slow_except({"httpx sync"}, KINDS), indirect=True)
def test_a_file_is_shared_by_processes(kind, emulator, tmp_path):
    """A transport in one process and a client in another keep one limit, over one file."""
    service, path = emulator(rpm=3), tmp_path / "limits.db"
    environment = {"ELECTRONHUB_API_KEY": service.api_key, "ELECTRONHUB_BASE_URL": service.base_url}
    children = begin(CHILD, path, **environment)
    release(children)

    async def act(poster):
        await poster.post()
        finish(children)
        assert len(service.calls) == 3
        with pytest.raises(RateLimitError):
            await poster.post()

    kind.run(service, act, max_wait=3, rate_limit_store=path)
    assert [call.status for call in service.calls] == [200, 200, 200]


CHILD = """
import sys
from electronhub_embeddings import EmbeddingsClient

print("ready", flush=True)
sys.stdin.readline()
with EmbeddingsClient(rate_limit_store=sys.argv[1]) as client:
    client.embed_query("one")
    client.embed_query("two")
"""


def test_a_transport_counts_as_a_client(emulator, client, tmp_path):
    """A later client uses the store of a transport that is still open, and the error names a conflict."""
    service, kind = emulator(rpm=60), Kind("httpx", is_async=False)
    path = str(tmp_path / "limits.db")
    with kind.client(service, rate_limit_store=path) as http:
        body = {"model": "text-embedding-3-small", "input": "one"}
        http.post(f"{service.base_url}/embeddings", json=body)
        client(service).embed_query("one")
        assert slots(_opened(service, path)) == (0, 2)
        with pytest.raises(ValueError, match="Give all clients of the account the same store"):
            client(service, rate_limit_store=str(tmp_path / "other.db")).embed_query("one")


def test_the_client_s_own_requests_take_one_slot(emulator, client, store):
    """A client whose `http_client` has such a transport does not wait for itself."""
    service, kind = emulator(rpm=2), Kind("httpx", is_async=False)
    with kind.client(service, max_wait=0, rate_limit_store=store) as http:
        mine = client(service, http_client=http, max_wait=0, rate_limit_store=store)
        mine.embed_query("one")
        mine.embed_query("two")
    assert slots(store) == (0, 2)


def test_close_closes_the_store(emulator, tmp_path):
    """The last user of an account closes its file."""
    service, kind = emulator(rpm=60), Kind("httpx", is_async=False)
    path = tmp_path / "limits.db"
    http = kind.client(service, rate_limit_store=str(path))
    http.post(f"{service.base_url}/embeddings", json={"model": "text-embedding-3-small", "input": "one"})
    assert open_files(path) or not DESCRIPTORS.is_dir()
    http.close()
    assert open_files(path) == []


def test_close_closes_the_wrapped_transport(kind):
    """The transport that was given is closed with ours."""
    closed = []

    class Mine(kind.module.MockTransport):
        def close(self):
            closed.append(self)

        async def aclose(self):
            closed.append(self)

    transport = kind.transport_class(Mine(lambda _: kind.module.Response(200)))
    if kind.is_async:
        asyncio.run(transport.aclose())
    else:
        transport.close()
    assert len(closed) == 1


def test_a_wrapped_transport_that_reads_bodies(kind, store):
    """A response that was read before, as a mock's, is understood as well."""

    class Mocked:
        base_url, api_key = "https://api.example/v1", "ek-test"

    mock = kind.module.MockTransport(lambda _: kind.module.Response(429, content=REFUSAL))
    transport = kind.transport_class(mock, base_url=Mocked.base_url, rate_limit_store=store)

    async def act(poster):
        return (await poster.post()).content

    assert kind.run(Mocked, act, transport=transport) == REFUSAL
    assert store.update(lambda window, now: window.cooldown.until - now) == pytest.approx(30, abs=2)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_after_a_fork(emulator):
    """A forked child makes connections of its own, and knows what was counted before."""
    service, kind = emulator(rpm=3), Kind("httpx", is_async=False)
    body = {"model": "text-embedding-3-small", "input": "one"}
    with kind.client(service, max_wait=0) as http:
        http.post(f"{service.base_url}/embeddings", json=body)
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                http.post(f"{service.base_url}/embeddings", json=body)
                http.post(f"{service.base_url}/embeddings", json=body)
                try:
                    http.post(f"{service.base_url}/embeddings", json=body)
                except RateLimitError:
                    status = 0
            finally:
                os._exit(status)
        assert os.waitpid(pid, 0)[1] == 0
    assert [call.status for call in service.calls] == [200, 200, 200]


def test_a_store_that_fails(kind, emulator, tmp_path):
    """The request is not sent, and the error says why."""
    service = emulator(rpm=60)
    (tmp_path / "limits.db").write_text("something else", encoding="utf-8")

    async def act(poster):
        with pytest.raises(electronhub_embeddings.ElectronHubError, match="The rate limit store failed"):
            await poster.post()

    kind.run(service, act, rate_limit_store=str(tmp_path / "limits.db"))
    assert service.calls == []


def test_the_key_is_in_no_traceback(kind, emulator, store):
    """Neither the transport nor the variables of its frames show the key."""
    service = emulator(rpm=1, faults=[faults.drop()])
    shown = []

    async def act(poster):
        for expected in (kind.module.TransportError, RateLimitError):
            with pytest.raises(expected) as caught:
                await poster.post()
            shown.append(_told(caught.value))

    transport = kind.transport(service, max_wait=0, requests_per_minute=1, rate_limit_store=store)
    kind.run(service, act, transport=transport)
    shown += [repr(transport), str(vars(transport)), str(vars(transport._pacer))]
    assert [text for text in shown if service.api_key in text] == []
    assert all("paced_transport" in text for text in shown[:2])


def _told(error):
    """Return a traceback with the variables of all frames, as error trackers print it."""
    return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


def test_a_transport_is_neither_pickled_nor_copied(kind):
    """Its connections belong to one process; the error says what to do."""
    transport = kind.transport_class()
    for act in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="make one in each process"):
            act(transport)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"base_url": "http://example.com"}, "allow_http"),
        ({"base_url": "ftp://example.com"}, "base_url must begin with"),
        ({"requests_per_minute": 0}, "requests_per_minute"),
        ({"max_wait": -1}, "max_wait"),
        ({"allow_http": "no"}, "allow_http"),
        ({"rate_limit_store": 5}, "rate_limit_store"),
        ({"transport": 5}, "transport must be an httpx"),
    ],
)
def test_arguments(kind, options, words):
    """Options are checked as the client's are."""
    with pytest.raises(ValueError, match=words):
        kind.transport_class(**options)


def test_a_transport_of_the_wrong_kind(kind):
    """The message names the transport to pass."""
    wrong = kind.module.HTTPTransport if kind.is_async else kind.module.AsyncHTTPTransport
    right = f"{'Async' if kind.is_async else ''}HTTPTransport"
    with pytest.raises(ValueError, match=rf"such as {kind.module.__name__}\.{right}\(…\), not {kind.module.__name__}"):
        kind.transport_class(wrong())


def test_a_long_wait_is_said(emulator, caplog, store):
    """A wait of ten seconds or more is a warning, with its reason, once for each request."""
    service, kind = emulator(rpm=1), Kind("httpx", is_async=False)

    def post():
        with contextlib.suppress(RateLimitError), kind.client(service, rate_limit_store=store, max_wait=60.5) as http:
            http.post(f"{service.base_url}/embeddings", json={"model": "text-embedding-3-small", "input": "one"})

    post()
    thread = threading.Thread(target=post, daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not re.search(r"rate limit: next request in [56]\d s", caplog.text):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    store.update(lambda window, _: window.slots.held.clear())
    thread.join(10)
    assert not thread.is_alive()
    assert caplog.text.count("next request") == 1


def test_nothing_is_imported_early():
    """The package imports no HTTP library; the transports are listed, and say what they need."""
    script = """
import sys
import electronhub_embeddings
assert not {"httpx", "httpx2"} & set(sys.modules)
assert {"RateLimitedTransport", "AsyncHTTPX2RateLimitedTransport"} <= set(dir(electronhub_embeddings))
sys.modules["httpx2"] = None
from electronhub_embeddings import *
RateLimitedTransport
try:
    electronhub_embeddings.HTTPX2RateLimitedTransport
except ImportError as error:
    print(error)
assert not hasattr(electronhub_embeddings, "nonsense")
"""
    written = subprocess.check_output([sys.executable, "-c", script], text=True)
    assert "pip install httpx2" in written


def test_the_environment_names_the_service(emulator, monkeypatch):
    """The base URL is the client's: ELECTRONHUB_BASE_URL, else the service."""
    assert repr(RateLimitedTransport()) == "RateLimitedTransport(base_url='https://api.electronhub.ai/v1')"
    service = emulator(rpm=1)
    monkeypatch.setenv("ELECTRONHUB_BASE_URL", service.base_url)
    headers = {"Authorization": f"Bearer {service.api_key}"}
    with httpx.Client(transport=RateLimitedTransport(max_wait=0), headers=headers) as http:
        body = {"model": "text-embedding-3-small", "input": "one"}
        http.post(f"{service.base_url}/embeddings", json=body)
        with pytest.raises(RateLimitError), EmbeddingsClient(api_key=service.api_key, max_wait=0) as embeddings:
            embeddings.embed_query("one")
