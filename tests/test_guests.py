"""Queries that their callers carry: nobody else is held up, and nothing is lost when a caller is interrupted."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from electronhub_embeddings import ElectronHubError, EmbeddingsClient
from electronhub_embeddings.emulator import faults
from electronhub_embeddings.limits import Window
from electronhub_embeddings.stores.memory import MemoryStore

LONGEST = 20


class Service:
    """Answers every text with one and the same vector; a text can be held back, or interrupt whoever asks."""

    def __init__(self):
        self.carriers = {}
        """Who sent each text."""
        self.holding, self.released = threading.Event(), threading.Event()
        self.http = httpx.Client(transport=httpx.MockTransport(self._answer))

    def _answer(self, request):
        texts = json.loads(request.content)["input"]
        self.carriers.update(dict.fromkeys(texts, threading.current_thread()))
        if "hold" in texts:
            self.holding.set()
            assert self.released.wait(LONGEST)
        if "interrupt" in texts:
            texts[texts.index("interrupt")] = "interrupted"
            raise KeyboardInterrupt
        return httpx.Response(200, json={"data": [{"index": i, "embedding": [1.0, 2.0]} for i in range(len(texts))]})


@pytest.fixture
def _never_by_itself(monkeypatch):
    """Keep workers that have nothing to do from looking by themselves, as they would some time."""
    monkeypatch.setattr("electronhub_embeddings.line.SWEEP", 10 * LONGEST)


@pytest.fixture
def service():
    """Return a service that runs in the threads of those who ask."""
    service = Service()
    yield service
    service.released.set()
    service.http.close()


@pytest.fixture
def rested(closing, service, until):
    """Return a function that makes a client whose worker has nothing to do."""

    def make(**options):
        options = {"http_client": service.http, "base_url": "http://127.0.0.1:9/v1", **options}
        client = closing(EmbeddingsClient(api_key="ek-test", **options))
        client.embed_query("to warm up")
        until(lambda: client._ticket.line._resting)
        return client

    return make


def test_a_query_is_carried_by_its_caller(face, emulator, until, request):
    """Where nothing else waits no other thread is woken for it; only an event loop carries nothing."""
    carriers = []
    thing = face.make(emulator(rpm=0), on_request=lambda _: carriers.append(threading.current_thread()))

    def carried_here():
        face.query(thing, "who?")
        return carriers[-1] is threading.current_thread()

    if "async" in request.node.name:
        assert [carried_here() for _ in range(10)] == [False] * 10
    else:
        until(carried_here)  # the first worker needs a moment until it rests


def test_a_guest_holds_nobody_up(rested, service):
    """While it waits for its answer, others send, and get theirs."""
    client = rested()
    with ThreadPoolExecutor(1) as pool:
        guest = pool.submit(client.embed_query, "hold")
        assert service.holding.wait(LONGEST)
        assert service.carriers["hold"].name != "electronhub-line"
        assert len(client.embed(["one", "two"])) == 2
        assert len(client.embed_query("three")) == 2
        service.released.set()
        assert guest.result(LONGEST).tolist() == [1.0, 2.0]


class SlowStore(MemoryStore):
    """Keeps the window, and whoever asks for a slot until it is told not to."""

    def __init__(self):
        super().__init__()
        self.slow, self.asked, self.go_on = False, threading.Event(), threading.Event()

    def update(self, change):
        """Apply a change."""
        if self.slow:
            self.asked.set()
            assert self.go_on.wait(LONGEST)
        return super().update(change)


@pytest.mark.usefixtures("_never_by_itself")
@pytest.mark.parametrize(("dimensions", "guests"), [(None, set()), (2, {"hold"})])
def test_what_comes_while_a_guest_takes_its_slot_is_sent_at_once(rested, service, until, dimensions, guests):
    """The worker is told when its place is free again; and if both could travel together, both are left to it."""
    store = SlowStore()
    client = rested(rate_limit_store=store)
    with rested(rate_limit_store=store, dimensions=dimensions) as second:
        store.slow = True
        with ThreadPoolExecutor(2) as pool:
            guest = pool.submit(client.embed_query, "hold")
            assert store.asked.wait(LONGEST)
            other = pool.submit(second.embed, ["other"])
            until(lambda: client._ticket.line._roused)
            store.go_on.set()
            assert len(other.result(LONGEST)) == 1
            service.released.set()
            assert len(guest.result(LONGEST)) == 2
    assert {text for text in ("hold", "other") if service.carriers[text].name != "electronhub-line"} == guests


@pytest.mark.parametrize("places", [1, 2])
def test_an_interrupted_guest_leaves_all_as_it_was(rested, service, places):
    """Its place on the wire is free, its slot is counted, and the client goes on."""
    client = rested(max_concurrency=places)
    with pytest.raises(KeyboardInterrupt):
        client.embed_query("interrupt")
    assert service.carriers["interrupt"] is threading.current_thread()
    assert client.usage.attempts == 2
    assert client._ticket.lane.flying == 0
    assert len(client.embed(["one", "two"])) == 2
    assert len(client.embed_query("three")) == 2


def test_an_interrupted_worker_strands_nobody(rested, service):
    """What would end a thread ends the call."""
    client = rested()
    with pytest.raises(ElectronHubError, match="interrupted"):
        client.embed(["interrupt", "two"])
    assert service.carriers["interrupt"].name == "electronhub-line"
    assert len(client.embed(["one", "two"])) == 2


def test_a_callback_that_is_interrupted_leaves_all_as_it_was(rested):
    """Ctrl-C while the caller is told of its request is Ctrl-C."""

    def interrupt(_):
        if armed:
            armed.clear()
            raise KeyboardInterrupt

    armed = []
    client = rested(on_request=interrupt, max_concurrency=1)
    armed.append(True)
    with pytest.raises(KeyboardInterrupt):
        client.embed_query("one")
    assert client._ticket.lane.flying == 0
    assert len(client.embed_query("two")) == 2


def test_a_guest_that_asks_again_before_it_left(rested, service):
    """In a signal handler, say: the second query is a worker's, and the count of the workers stays right."""

    def ask_again(_):
        if armed:
            armed.clear()
            client.embed_query("again")

    armed = []
    client = rested(on_request=ask_again)
    idle = client._ticket.line._idle
    armed.append(True)
    client.embed_query("one")
    assert service.carriers["one"] is threading.current_thread()
    assert service.carriers["again"].name == "electronhub-line"
    assert client._ticket.line._idle == idle


def test_a_place_that_is_not_given_back_is_taken_back(rested, monkeypatch):
    """A guest that is interrupted in the very moment of its leaving keeps the line waiting for a while only."""
    client = rested()
    line = client._ticket.line
    line._lent = True
    monkeypatch.setattr("electronhub_embeddings.line.SWEEP", 0.05)
    with ThreadPoolExecutor(1) as pool:
        assert len(pool.submit(client.embed, ["one"]).result(LONGEST)) == 1


def test_the_end_waits_for_a_guest(rested, service, tmp_path, caplog):
    """Whoever closes a client waits for what is on the wire, and the window is closed after it was told."""
    client = rested(rate_limit_store=tmp_path / "limit.sqlite")
    with ThreadPoolExecutor(2) as pool:
        guest = pool.submit(client.embed_query, "hold")
        assert service.holding.wait(LONGEST)
        closing = pool.submit(client.close)
        with pytest.raises(TimeoutError):
            closing.result(0.05)
        service.released.set()
        assert guest.result(LONGEST).tolist() == [1.0, 2.0]
        closing.result(LONGEST)
    assert caplog.records == []


def test_a_guest_may_close_its_client(rested, workers, until):
    """In `on_request`, or in a signal handler: nobody waits for himself."""
    clients = []
    client = rested(on_request=lambda _: clients and clients.pop().close())
    clients.append(client)
    assert len(client.embed_query("one")) == 2
    with pytest.raises(ElectronHubError, match="is closed"):
        client.embed_query("two")
    until(lambda: not workers())


@pytest.mark.usefixtures("_never_by_itself")
def test_a_guest_that_may_not_start_leaves_its_query_to_the_workers(rested, service, until):
    """It waits for the limit as any other."""
    client = rested(requests_per_minute=2, rate_limit_store=MemoryStore(Window(period=0.4)))
    client.embed_query("two")
    line = client._ticket.line
    until(lambda: time.monotonic() > line._last_start + line.gate.gap)  # else it waits for company
    with ThreadPoolExecutor(1) as pool:
        assert len(pool.submit(client.embed_query, "three").result(LONGEST)) == 2
    assert service.carriers["three"].name == "electronhub-line"


@pytest.mark.usefixtures("quick_retries")
def test_a_guest_whose_request_fails_leaves_it_to_the_workers(emulator, client, until):
    """It is tried again as any other."""
    service = emulator(rpm=0)
    asking = client(service)
    asking.embed_query("one")
    until(lambda: asking._ticket.line._resting)
    service.script(faults.error(503), faults.drop())
    assert len(asking.embed_query("two"))
    assert asking.usage.attempts == 4
