"""The client as an object: it works anywhere, each argument takes effect, and nothing is left behind."""

import asyncio
import copy
import gc
import itertools
import json
import os
import pickle
import signal
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import httpx
import numpy as np
import pytest

from electronhub_embeddings import (
    APITimeoutError,
    AuthenticationError,
    ElectronHubError,
    EmbeddingsClient,
    InputError,
    InsufficientBalanceError,
    RateLimitError,
)
from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow
from electronhub_embeddings._workers.pending_call import PendingCall
from electronhub_embeddings.emulator import faults
from electronhub_embeddings.rate_limit_stores.memory import MemoryStore
from support.entry_points import expected_vectors, same

pytestmark = pytest.mark.usefixtures("quick_retries")

DESCRIPTORS = Path("/proc/self/fd")
counts_descriptors = pytest.mark.skipif(not DESCRIPTORS.is_dir(), reason="needs /proc")
linux = pytest.mark.skipif(sys.platform != "linux", reason="needs fork, signals to threads")


def descriptors():
    """Count the open files and sockets of this process."""
    return len(list(DESCRIPTORS.iterdir()))


def pickled(thing):
    """Send an object through a pickle."""
    return pickle.loads(pickle.dumps(thing))  # noqa: S301 - our own


# Anywhere.


def test_a_hundred_threads(client, emulator):
    """Threads that share a client each get the vectors of their own texts."""
    service = emulator(rpm=0)
    shared, ready = client(service, dimensions=8), threading.Barrier(100)

    def work(number):
        texts = [f"{number} one", f"{number} two"]
        ready.wait()
        rows, row = shared.embed(texts), shared.embed_query(f"{number} query")
        return same([*rows, row], expected_vectors(service, [*texts, f"{number} query"], 8))

    with ThreadPoolExecutor(100) as pool:
        assert list(pool.map(work, range(100))) == [True] * 100


async def test_a_hundred_tasks(client, emulator):
    """Tasks that share a client each get the vectors of their own texts."""
    service = emulator(rpm=0)
    shared = client(service, dimensions=8)

    async def work(number):
        texts = [f"{number} one", f"{number} two"]
        rows, row = await asyncio.gather(shared.aembed(texts), shared.aembed_query(f"{number} query"))
        return same([*rows, row], expected_vectors(service, [*texts, f"{number} query"], 8))

    assert await asyncio.gather(*map(work, range(100))) == [True] * 100


def test_several_event_loops_in_a_row(client, emulator):
    """A client can be used in several event loops one after the other, over the same connection."""
    service = emulator(rpm=0)
    shared = client(service)
    rows = [asyncio.run(shared.aembed_query(text)) for text in ("one", "two", "three")]
    assert same(rows, expected_vectors(service, ["one", "two", "three"]))


async def test_sync_calls_inside_an_event_loop(client, emulator):
    """A sync method works while an event loop is running, as in a notebook."""
    service = emulator(rpm=0)
    assert same(client(service).embed_query("one"), service.vector("one"))


def test_the_constructor_starts_nothing(client, emulator, workers):
    """Nothing is sent and no thread is started before the first text."""
    service = emulator(rpm=0)
    with client(service):
        assert workers() == []
    assert service.calls == []


def test_rows_are_arrays(client, emulator):
    """Documents are returned as one float32 array, even if there are none, and a query as one row."""
    service = emulator(rpm=0)
    shared = client(service, dimensions=8)
    arrays = [shared.embed(["one", "two", "one"]), shared.embed([]), shared.embed_query("one")]
    assert [(array.dtype, array.shape) for array in arrays] == [
        (np.dtype("float32"), (3, 8)),
        (np.dtype("float32"), (0, 8)),
        (np.dtype("float32"), (8,)),
    ]


def test_one_string_is_no_list(client, emulator):
    """A string in place of a list of texts is an error, not a list of characters."""
    service = emulator(rpm=0)
    for embed in (client(service).embed, lambda texts: list(client(service).iter_embed(texts))):
        with pytest.raises(InputError):
            embed("a text")
    assert service.calls == []


@pytest.mark.parametrize("double", [copy.copy, copy.deepcopy, pickled], ids=["copy", "deepcopy", "pickle"])
def test_a_copy_keeps_an_explicit_key(client, closing, emulator, monkeypatch, double):
    """A copy uses the key of its original, whatever the environment says, and has its own usage counters."""
    service = emulator(rpm=0)
    original = client(service, dimensions=8)
    original.embed_query("before")
    monkeypatch.setenv("ELECTRONHUB_API_KEY", "ek-another")
    monkeypatch.setenv("ELECTRONHUB_BASE_URL", "https://another.example/v1")
    twin = closing(double(original))
    assert same(twin.embed_query("one"), service.vector("one", dimensions=8))
    assert (twin.usage.requests, original.usage.requests) == (1, 1)


@pytest.mark.parametrize("double", [copy.copy, copy.deepcopy], ids=["copy", "deepcopy"])
def test_a_copy_shares_what_cannot_be_doubled(client, closing, emulator, double):
    """A copy uses the same rate limit store and the same HTTP client as its original."""
    service = emulator(rpm=0)
    with httpx.Client() as http:
        original = client(service, http_client=http, rate_limit_store=MemoryStore())
        original.embed_query("one")
        assert same(closing(double(original)).embed_query("two"), service.vector("two"))


def forked(child):
    """Fork; return the exit code of a child that says whether all is well."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork with threads, which is the point
        pid = os.fork()
    if pid == 0:
        signal.alarm(15)  # a child that hangs is killed
        try:
            os._exit(0 if child() else 1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@linux
def test_fork_while_nothing_happens(client, emulator):
    """A forked child starts its own workers, because its parent's threads do not exist there."""
    service = emulator(rpm=0)
    shared = client(service)
    shared.embed_query("before")
    assert forked(lambda: same(shared.embed_query("child"), service.vector("child"))) == 0
    assert same(shared.embed_query("after"), service.vector("after"))


@linux
def test_fork_while_a_request_is_under_way(client, emulator, hold, until, waiting):
    """Whatever locks are held and texts are queued, the child sends only its own texts, and the parent the others."""
    service = emulator(rpm=0, faults=[hold.fault])
    shared = client(service, rate_limit_store="memory")  # with a file, the child would wait for the first answer, too
    with ThreadPoolExecutor(2) as pool:
        rows = pool.submit(shared.embed, hold.texts)
        until(lambda: len(service.calls) == 1)
        row = pool.submit(shared.embed_query, "parent")
        until(lambda: waiting(shared))
        assert forked(lambda: same(shared.embed_query("child"), service.vector("child"))) == 0
        hold.release()
        assert same(rows.result(), expected_vectors(service, hold.texts))
        assert same(row.result(), service.vector("parent"))
    assert [call.body["input"] for call in service.calls] == [hold.texts, ["child"], ["parent"]]


# The end.


@counts_descriptors
def test_nothing_is_left_after_close(emulator, workers):
    """No thread and no socket outlives its client."""
    before = descriptors()
    service = emulator(rpm=0)
    with EmbeddingsClient(api_key=service.api_key, base_url=service.base_url, batch_size=1) as client:
        client.embed(list("abcdefgh"))
        assert workers() != []
    assert workers() == []
    service.close()
    assert descriptors() == before


@counts_descriptors
def test_nothing_is_left_after_garbage_collection(emulator, until, workers):
    """The threads and sockets of a garbage-collected client end some seconds later."""
    before = descriptors()
    service = emulator(rpm=0)
    client = EmbeddingsClient(api_key=service.api_key, base_url=service.base_url)
    client.embed_query("one")
    del client
    gc.collect()
    until(lambda: workers() == [])
    service.close()
    assert descriptors() == before


def test_the_rest_of_an_account_lives_on(client, emulator, workers):
    """Closing one of an account's clients does not disturb the others."""
    service = emulator(rpm=0)
    one, two = client(service), client(service)
    one.embed_query("one")
    two.embed_query("two")
    one.close()
    assert same(two.embed_query("three"), service.vector("three"))
    two.close()
    assert workers() == []


def test_a_closed_client_refuses(client, emulator):
    """A closed client stays closed, sends nothing, and may be closed again."""
    service = emulator(rpm=0)
    closed = client(service)
    closed.embed_query("one")
    closed.close()
    closed.close()
    calls = [
        partial(closed.embed, ["two"]),
        partial(closed.embed_query, "two"),
        lambda: asyncio.run(closed.aembed(["two"])),
        lambda: list(closed.iter_embed(["two"])),
    ]
    for call in calls:
        with pytest.raises(ElectronHubError, match="closed"):
            call()
    assert len(service.calls) == 1


def test_close_while_a_call_waits(client, emulator, until):
    """A call that waits for the limit fails at once on close, with its finished vectors."""
    service = emulator(rpm=1)
    waiting = client(service, batch_size=2)
    with ThreadPoolExecutor(1) as pool:
        rows = pool.submit(waiting.embed, ["one", "two", "three", "four"])
        until(lambda: waiting.usage.texts == 2)
        waiting.close()
        error = rows.exception()
    assert type(error) is ElectronHubError
    assert sorted(error.partial) == [0, 1]
    assert same([error.partial[0], error.partial[1]], expected_vectors(service, ["one", "two"]))
    assert len(service.calls) == 1


def test_close_while_a_request_is_under_way(client, emulator, hold, until, workers):
    """Requests in flight are finished and their vectors returned, because they are charged; then everything ends."""
    service = emulator(rpm=0, faults=[hold.fault])
    closed = client(service)
    with ThreadPoolExecutor(2) as pool:
        rows = pool.submit(closed.embed, hold.texts)
        until(lambda: len(service.calls) == 1)
        end = pool.submit(closed.close)
        until(lambda: closed._lifecycle._closed)  # the only sign that close() has begun
        hold.release()
        assert same(rows.result(), expected_vectors(service, hold.texts))
        end.result()
    assert workers() == []


class Interruption(BaseException):
    """Represents Ctrl-C."""


@linux
def test_an_interrupted_call_takes_its_texts_back(client, emulator, hold, until, waiting):
    """An exception from a signal handler ends the wait, and unsent texts are never sent."""
    service = emulator(rpm=0, faults=[hold.fault])
    shared = client(service)
    main = threading.main_thread().ident

    def handler(*_):
        raise Interruption

    def interrupt():
        until(lambda: waiting(shared))  # the text is in the queue ...
        until(lambda: sys._current_frames()[main].f_code is PendingCall.result.__code__)  # ... and is waited for
        signal.pthread_kill(main, signal.SIGUSR1)

    usual = signal.signal(signal.SIGUSR1, handler)
    try:
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(shared.embed, hold.texts)
            until(lambda: len(service.calls) == 1)
            interruption = pool.submit(interrupt)
            with pytest.raises(Interruption):
                shared.embed(["never sent"])
            interruption.result()
            hold.release()
            first.result()
    finally:
        signal.signal(signal.SIGUSR1, usual)
    shared.embed_query("after")
    assert [call.body["input"] for call in service.calls] == [hold.texts, ["after"]]


# Streams.


def test_a_stream_keeps_the_order(client, emulator):
    """Vectors of a generator's texts are yielded one by one, in order, and sent in batches."""
    service = emulator(rpm=0, jitter=0.01)
    texts = [f"text {number}" for number in range(50)]
    rows = list(client(service, batch_size=4, dimensions=8).iter_embed(text for text in texts))
    assert same(rows, expected_vectors(service, texts, 8))
    assert {row.shape for row in rows} == {(8,)}
    assert max(call.texts for call in service.calls) == 4


def test_a_stream_reads_a_few_batches_ahead(client, emulator):
    """An endless source is read no further than the batches that can be in flight."""
    service, read = emulator(rpm=0), itertools.count()
    endless = (f"text {next(read)}" for _ in itertools.count())
    stream = client(service, batch_size=2, max_concurrency=3, dimensions=8).iter_embed(endless)
    got = list(itertools.islice(stream, 20))
    stream.close()
    assert same(got, expected_vectors(service, [f"text {number}" for number in range(20)], 8))
    assert next(read) <= 20 + 2 * (3 + 1)


def test_a_stream_names_the_bad_text(client, emulator):
    """All batches before a bad text are yielded; the error has its index in the whole stream."""
    service = emulator(rpm=0)
    stream, got = client(service, batch_size=2, dimensions=8).iter_embed(["a", "b", "c", "d", "e", "", "g"]), []
    with pytest.raises(InputError) as caught:
        got.extend(stream)
    assert caught.value.index == 5
    assert same(got, expected_vectors(service, list("abcd"), 8))


def test_a_stream_whose_source_fails(client, emulator):
    """The source's own exception is raised after the vectors of its earlier texts."""
    service = emulator(rpm=0)

    def source():
        yield from "abc"
        raise OSError("no more")

    stream, got = client(service, batch_size=2, dimensions=8).iter_embed(source()), []
    with pytest.raises(OSError, match="no more"):
        got.extend(stream)
    assert same(got, expected_vectors(service, list("abc"), 8))


def test_a_stream_that_fails_carries_the_rest(client, emulator):
    """The error of a later batch has its vectors by index in the whole stream, and no yielded vector is lost."""
    service = emulator(rpm=0, faults=[None, faults.balance_spent()])
    stream, got = client(service, batch_size=2, max_concurrency=1, dimensions=8).iter_embed(iter("abcdefgh")), []
    with pytest.raises(InsufficientBalanceError) as caught:
        got.extend(stream)
    vectors = {**dict(enumerate(got)), **caught.value.partial}
    assert {0, 1} <= set(vectors)
    assert {2, 3}.isdisjoint(vectors)
    for place, vector in vectors.items():
        assert same(vector, service.vector("abcdefgh"[place], dimensions=8))


# Arguments.


@pytest.mark.parametrize("head", [False, True], ids=["body", "headers"])
def test_timeout_holds_for_the_whole_answer(client, emulator, head):
    """A trickling answer is abandoned when its time-out is over."""
    service = emulator(rpm=0, faults=[faults.trickle(4.0, head=head)])
    with pytest.raises(APITimeoutError, match=r"0\.3 s"):
        client(service, timeout=0.3, max_retries=0).embed_query("one")
    assert len(service.calls) == 1


def test_default_headers(client, emulator):
    """The user's headers are in every request, in addition to the key."""
    service = emulator(rpm=0)
    client(service, default_headers={"X-Team": "search"}).embed_query("one")
    assert [call.headers["x-team"] for call in service.calls] == ["search"]
    assert [call.headers["authorization"] for call in service.calls] == ["Bearer ***"]


def test_http_client(client, emulator):
    """The user's own HTTP client sends every request, to the given URL and with the given key, and stays open."""
    service, seen = emulator(rpm=0), []

    def answer(request):
        seen.append((str(request.url), request.headers["authorization"]))
        texts = json.loads(request.content)["input"]
        rows = [{"index": i, "embedding": service.vector(text).tolist()} for i, text in enumerate(texts)]
        return httpx.Response(200, json={"data": rows})

    with httpx.Client(transport=httpx.MockTransport(answer)) as http:
        brought = client(service, base_url="https://api.example/v1/", api_key="ek-own", http_client=http)
        assert same(brought.embed(["one", "two"]), expected_vectors(service, ["one", "two"]))
        asyncio.run(brought.aembed_query("three"))
        brought.close()
        assert not http.is_closed
    assert seen == [("https://api.example/v1/embeddings", "Bearer ek-own")] * 2
    assert service.calls == []


def test_requests_per_minute(client, emulator):
    """The user's own limit applies if the service has none, in every period."""
    service = emulator(rpm=0)
    store = MemoryStore(SlidingWindow(period=0.2, margin=0.01))
    capped = client(service, requests_per_minute=2, batch_size=1, dimensions=8, rate_limit_store=store)
    capped.embed(list("abcdef"))
    at = [call.at for call in service.calls]
    assert len(at) == 6
    assert all(later - earlier >= 0.2 for earlier, later in zip(at, at[2:], strict=False))


def test_batch_size(client, emulator):
    """No request has more inputs than `batch_size`, and no more requests are sent than necessary."""
    service = emulator(rpm=100)
    texts = [f"text {number}" for number in range(10)]
    assert same(client(service, batch_size=4).embed(texts), expected_vectors(service, texts))
    assert sorted(call.texts for call in service.calls) == [2, 4, 4]


def test_environment(closing, emulator, monkeypatch):
    """Key and address are taken from the environment if they are not given."""
    service = emulator(rpm=0)
    monkeypatch.setenv("ELECTRONHUB_API_KEY", service.api_key)
    monkeypatch.setenv("ELECTRONHUB_BASE_URL", service.base_url)
    assert same(closing(EmbeddingsClient()).embed_query("one"), service.vector("one"))


def test_arguments_go_before_the_environment(client, emulator, monkeypatch):
    """Given arguments take precedence over the environment."""
    service = emulator(rpm=0)
    monkeypatch.setenv("ELECTRONHUB_API_KEY", "ek-another")
    monkeypatch.setenv("ELECTRONHUB_BASE_URL", "https://another.example/v1")
    assert same(client(service).embed_query("one"), service.vector("one"))


def test_the_wrong_key(client, emulator):
    """A key that the service does not know is reported as such, after one request."""
    service = emulator(rpm=0)
    with pytest.raises(AuthenticationError, match="ELECTRONHUB_API_KEY"):
        client(service, api_key="ek-wrong").embed_query("one")
    assert len(service.calls) == 1


def test_show_progress(client, emulator, capsys):
    """A bar ends at the number of texts, sync and async and over a stream."""
    service = emulator(rpm=0)
    texts = ["one", "two", "three"]
    client(service).embed(texts, show_progress=True)
    assert "3/3" in capsys.readouterr().err
    asyncio.run(client(service).aembed(texts, show_progress=True))
    assert "3/3" in capsys.readouterr().err
    list(client(service).iter_embed(texts, show_progress=True))
    assert "3 texts" in capsys.readouterr().err


def test_no_bar_unless_asked_for(client, emulator, capsys):
    """Nothing is printed by default."""
    client(emulator(rpm=0)).embed(["one"])
    assert capsys.readouterr() == ("", "")


# Counters.


def test_usage_adds_up_to_what_the_service_counted(client, emulator, hold, until):
    """The usage of two clients that shared requests, retries and refusals adds up to what the service counted."""
    soon = "Rate limit exceeded. Try again in 0.01 seconds."
    service = emulator(rpm=0, faults=[hold.fault, faults.error(503), faults.error(429, soon)])
    store = MemoryStore(SlidingWindow(period=0.01, margin=0.001))
    one, two = client(service, rate_limit_store=store), client(service, rate_limit_store=store)
    with ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(one.embed, hold.texts)]
        until(lambda: len(service.calls) == 1)
        jobs += [pool.submit(one.embed, ["one", "two", "two"]), pool.submit(two.embed, ["three", "four four four"])]
        hold.release()
        for job in jobs:
            job.result()
    calls, usages = service.calls, [one.usage, two.usage]
    assert sum(usage.attempts for usage in usages) == len(calls)
    assert sum(usage.requests for usage in usages) == sum(call.status == 200 for call in calls)
    assert sum(usage.prompt_tokens for usage in usages) == sum(call.prompt_tokens for call in calls)
    assert sum(usage.total_tokens for usage in usages) == sum(call.prompt_tokens for call in calls)
    assert sum(usage.rate_limited for usage in usages) == sum(call.status == 429 for call in calls) == 1
    assert [usage.texts for usage in usages] == [len(hold.texts) + 2, 2]


def test_usage_counts_the_wait_for_the_limit(client, emulator):
    """Seconds of waiting for the limit are counted, those of waiting for answers are not."""
    service = emulator(rpm=1, window=0.3)
    patient = client(service, rate_limit_store=MemoryStore(SlidingWindow(period=0.3, margin=0.01)))
    patient.embed_query("one")
    assert patient.usage.seconds_waited == 0
    patient.embed_query("two")
    assert patient.usage.seconds_waited > 0


def test_usage_is_a_snapshot(client, emulator):
    """A usage snapshot does not change later."""
    shared = client(emulator(rpm=0))
    shared.embed_query("one")
    before = shared.usage
    shared.embed_query("two")
    assert (before.requests, shared.usage.requests) == (1, 2)


# Waiting.


@pytest.mark.parametrize("max_wait", [0, 5])
def test_a_wait_that_is_too_long(client, emulator, max_wait):
    """A call whose `max_wait` is too short fails at once, names the wait, and sends nothing."""
    service = emulator(rpm=1)
    impatient = client(service, max_wait=max_wait)
    impatient.embed_query("one")
    with pytest.raises(RateLimitError) as caught:
        impatient.embed(["two"])
    assert caught.value.retry_after == pytest.approx(60, abs=10)
    assert len(service.calls) == 1


def test_a_wait_that_is_short_enough(client, emulator):
    """A call waits for the limit if the wait is shorter than its `max_wait`."""
    service = emulator(rpm=1, window=0.3)
    store = MemoryStore(SlidingWindow(period=0.3, margin=0.05))
    patient = client(service, max_wait=30, rate_limit_store=store)
    assert same([patient.embed_query(text) for text in "abc"], expected_vectors(service, list("abc")))
    assert [call.limited for call in service.calls] == [False] * 3


def test_an_impatient_call_keeps_what_it_got(client, emulator):
    """Once the limit is known, a call that cannot finish in time fails with its finished vectors."""
    service = emulator(rpm=2)
    with pytest.raises(RateLimitError) as caught:
        client(service, max_wait=1, batch_size=1).embed(["one", "two", "three"])
    assert (sorted(caught.value.partial), len(service.calls)) == ([0], 1)


def test_stores_that_differ(client, emulator):
    """Two limiters for one account would exceed the limit together, so the second client is rejected."""
    service = emulator(rpm=0)
    client(service, rate_limit_store=MemoryStore()).embed_query("one")
    with pytest.raises(ValueError, match="same store"):
        client(service, rate_limit_store=MemoryStore()).embed_query("two")


def test_an_option_cannot_be_changed(client, emulator):
    """It would be ignored without a word; anything else may be set, as by a test that replaces a method."""
    made = client(emulator(rpm=0))
    with pytest.raises(AttributeError, match=r"^The max_wait of a client cannot be changed: make another client\.$"):
        made.max_wait = 5
    made.embed_query = len
    assert made.embed_query("four") == 4
