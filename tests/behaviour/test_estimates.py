"""An estimate says what a job then costs, and costs nothing itself."""

import asyncio
import os
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from electronhub_embeddings import (
    CacheError,
    ElectronHubError,
    EmbeddingsClient,
    InputError,
    NotFoundError,
    RateLimitError,
)
from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow
from electronhub_embeddings._workers import price_request
from electronhub_embeddings.emulator import faults
from electronhub_embeddings.rate_limit_stores.memory import MemoryStore
from support.entry_points import ENTRY_POINTS, EntryPoint
from support.open_files import open_files
from support.recording_server import Answer

TEXTS = [f"paragraph {number} of a book about rate limits" for number in range(250)]


def test_it_sends_nothing_and_is_right(entry_point, emulator):
    """Nothing is sent, and the job then takes as many requests as were said, and the tokens are in the range."""
    service = emulator(rpm=100)
    model = entry_point.make(service, batch_size=20)
    texts = [*TEXTS, *TEXTS[:50]]
    estimate = entry_point.estimate(model, texts)
    assert service.calls == []
    assert (estimate.texts, estimate.distinct, estimate.cached, estimate.to_send) == (300, 250, 0, 250)
    assert (estimate.seconds, estimate.requests_per_minute, estimate.price) == (None, None, None)
    assert "embed one text, or set requests_per_minute" in str(estimate)
    entry_point.embed(model, texts)
    assert len(service.calls) == estimate.requests == 13
    fewest, most = estimate.tokens_range
    assert fewest <= sum(call.prompt_tokens for call in service.calls) <= most


def test_after_an_answer_it_knows_tokens_and_time(entry_point, emulator):
    """The first answer teaches tokens and the limit, and the window is counted as it is."""
    service = emulator(rpm=4)
    model = entry_point.make(service, batch_size=20)
    entry_point.embed(model, TEXTS[:20])
    known = entry_point.estimate(model, TEXTS[20:])
    charged = sum(call.prompt_tokens for call in service.calls) / 20 * 230
    assert known.tokens == pytest.approx(charged, rel=0.05)  # the emulator counts words
    assert (known.requests, known.requests_per_minute, known.limit_source) == (12, 4, "service")
    assert known.seconds == pytest.approx(3 * 60, abs=5)  # 3 of 4 are free now; 9 more take three windows
    assert "12 requests, about 3 min (4 requests a minute)" in str(known)


def test_the_prefix_counts(entry_point, emulator):
    """The prefix is a part of each text, as in the job."""
    service = emulator(rpm=0)
    model = entry_point.make(service, document_prefix="passage: " * 10)
    estimate = entry_point.estimate(model, TEXTS)
    assert estimate.tokens_range[1] == sum(len("passage: " * 10 + text) for text in TEXTS)


def test_what_is_in_the_cache_is_not_sent(entry_point, emulator, tmp_path):
    """Texts with cached vectors are counted, and cost nothing."""
    service = emulator(rpm=0)
    model = entry_point.make(service, cache=tmp_path / "cache.sqlite", batch_size=20)
    assert entry_point.estimate(model, TEXTS).cached == 0
    assert list(tmp_path.iterdir()) == []  # to ask makes no file
    entry_point.embed(model, TEXTS[:120])
    sent = len(service.calls)
    estimate = entry_point.estimate(model, TEXTS)
    assert (estimate.cached, estimate.to_send, estimate.requests) == (120, 130, 7)
    assert str(entry_point.estimate(model, TEXTS[:120])).endswith("(120 from the cache): nothing to send")
    assert entry_point.estimate(model, TEXTS[:120]).seconds == 0.0
    assert len(service.calls) == sent


def test_any_iterable_is_read_once(entry_point, emulator):
    """A generator of more texts than are held at a time is counted, in the thread that has made it."""
    threads = set()

    def texts():
        for number in range(5000):
            threads.add(threading.get_ident())
            yield f"text {number % 4500}"

    estimate = entry_point.estimate(entry_point.make(emulator(rpm=0)), texts())
    assert (estimate.texts, estimate.distinct, estimate.requests) == (5000, 4500, 3)
    assert threads == {threading.get_ident()}


def test_no_texts_cost_nothing(entry_point, emulator):
    """An empty iterable is an estimate, too."""
    estimate = entry_point.estimate(entry_point.make(emulator(rpm=0)), [])
    assert (estimate.texts, estimate.requests, estimate.tokens, estimate.seconds) == (0, 0, 0, 0.0)
    assert str(estimate) == "0 texts: nothing to send"


@pytest.mark.parametrize(
    ("texts", "index", "words"),
    [
        ("one text", None, "not str"),
        (["one", ""], 1, "is empty"),
        ([*TEXTS * 10, 5], 2500, "not int"),
        (["\ud800"], 0, "surrogate"),
    ],
)
def test_invalid_texts_are_the_same_errors(entry_point, emulator, texts, index, words):
    """An estimate raises what the job would raise, with the same index."""
    model = entry_point.make(emulator(rpm=0))
    with pytest.raises(InputError, match=words) as caught:
        entry_point.estimate(model, texts)
    assert caught.value.index == index


def test_a_price_makes_a_cost(entry_point, emulator):
    """A price that is given is multiplied with the tokens, and nothing is asked for."""
    estimate = entry_point.estimate(entry_point.make(emulator(rpm=0)), TEXTS, price=0.5, with_prices=True)
    assert estimate.cost == pytest.approx(estimate.tokens * 0.5e-6)
    assert f"cost about {estimate.cost:.2g} at 0.5 a million tokens" in str(estimate)


@pytest.mark.parametrize("price", [-1, float("nan"), float("inf"), "0.02", True])
def test_a_price_is_a_number(entry_point, emulator, price):
    """A price that cannot be one is refused by name."""
    with pytest.raises(ValueError, match="price must be None or a number, at least 0"):
        entry_point.estimate(entry_point.make(emulator(rpm=0)), TEXTS, price=price)


def test_prices_are_asked_for_when_allowed(entry_point, emulator):
    """The service is asked for the price of the model, without embedding anything."""
    service = emulator(rpm=5)
    model = entry_point.make(service, model="text-embedding-3-large")
    assert entry_point.estimate(model, TEXTS, with_prices=True).price == 0.13
    assert service.calls == []


def test_the_question_for_a_price_takes_a_slot_and_no_key(client, recording_server):
    """One request without the key; the slot that it has taken is not used for anything else."""
    window = SlidingWindow(limit=1, probing=False)
    server = recording_server(lambda _: Answer(body=b'{"id":"m","pricing":{"type":"per_million_tokens","input":3}}'))
    asking = client(server, model="a/b c", rate_limit_store=MemoryStore(window), max_wait=1.0)
    assert asking.estimate(TEXTS, with_prices=True).price == 3
    (request,) = server.requests
    assert (request.method, request.target) == ("GET", "/v1/models/a%2Fb%20c")
    assert request.header("authorization") == []
    with pytest.raises(RateLimitError, match="The price would have to wait"):
        asking.estimate(TEXTS, with_prices=True)
    assert len(server.requests) == 1
    assert not window.slots.in_flight


def test_nobody_waits_for_a_price_that_nobody_wants(client, emulator, monkeypatch):
    """A task that is cancelled, or a client that is closed, ends the wait for a slot."""
    window = SlidingWindow(limit=1, probing=False)
    service = emulator(rpm=1)
    asking = client(service, rate_limit_store=MemoryStore(window))
    asking.embed(TEXTS[:1])
    is_waiting, goes_on = threading.Event(), threading.Event()
    monkeypatch.setattr(price_request.time, "sleep", lambda _: (is_waiting.set(), goes_on.wait(30)))

    async def cancel():
        task = asyncio.create_task(asking.aestimate(TEXTS, with_prices=True))
        assert await asyncio.to_thread(is_waiting.wait, 30)
        task.cancel()
        goes_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())  # returns when its threads have ended
    is_waiting.clear()
    goes_on.clear()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(asking.estimate, TEXTS, with_prices=True)
        assert is_waiting.wait(30)
        asking.close()
        goes_on.set()
        with pytest.raises(ElectronHubError, match="nobody waits for the price"):
            waiting.result(timeout=30)


def test_a_price_that_is_not_told_is_an_error(client, emulator):
    """If the service does not know the model, its error is raised, and the slot is completed."""
    window = SlidingWindow()
    asking = client(emulator(rpm=5), model="unknown", rate_limit_store=MemoryStore(window))
    with pytest.raises(NotFoundError):
        asking.estimate(TEXTS, with_prices=True)
    assert (len(window.slots.in_flight), len(window.slots.held)) == (0, 1)


def test_others_that_wait_come_first(client, emulator, hold, until):
    """Texts that other calls have in the queue are counted before, without making the estimate larger."""
    service = emulator(rpm=3, faults=[hold.fault])
    ours = client(service, batch_size=32)
    alone = ours.estimate(TEXTS[:32], price=1.0)
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(ours.embed, hold.texts + TEXTS[32:160])
        until(lambda: len(service.calls) == 1)
        busy = client(service, batch_size=32, requests_per_minute=3).estimate(TEXTS[:32])
        same = ours.estimate(TEXTS[:32])
        hold.release()
        ours.close()
        assert isinstance(job.exception(), ElectronHubError)
    assert (alone.requests, busy.requests, same.requests) == (1, 1, 1)
    assert busy.seconds > 60


def test_what_is_known_outlives_the_script(emulator, closing):
    """A script that is started again knows the limit and the window before its first request."""
    service = emulator(rpm=2)
    with EmbeddingsClient(api_key=service.api_key, base_url=service.base_url, batch_size=20) as first:
        first.embed(TEXTS[:40])
    again = closing(EmbeddingsClient(api_key=service.api_key, base_url=service.base_url, batch_size=20))
    estimate = again.estimate(TEXTS[40:80])
    assert (estimate.requests, estimate.requests_per_minute) == (2, 2)
    assert estimate.seconds == pytest.approx(61, abs=4)


def test_a_cooldown_is_counted(client, emulator):
    """After a refused request, the time begins at the end of the cooldown."""
    service = emulator(
        rpm=5, faults=[faults.error(429, "Rate limit exceeded. Try again in 90 seconds.")], rate_limit_headers=False
    )
    asking = client(service, max_wait=0.0)
    with pytest.raises(RateLimitError):
        asking.embed(TEXTS[:1])
    estimate = asking.estimate(TEXTS[:1])
    assert estimate.limit_source == "guess"
    assert 85 < estimate.seconds < 95
    assert "a guess after a refused request" in str(estimate)


def test_a_closed_client_estimates_nothing(client, emulator):
    """A closed client says that it is closed."""
    closed = client(emulator(rpm=0))
    closed.close()
    with pytest.raises(ElectronHubError, match="The client is closed"):
        closed.estimate(TEXTS)


def test_a_cache_that_cannot_be_read_is_an_error(entry_point, emulator, tmp_path):
    """A file of something else is refused, as in the job."""
    path = tmp_path / "letter.txt"
    path.write_text("Dear reader, " * 100)
    with pytest.raises(CacheError):
        entry_point.estimate(entry_point.make(emulator(rpm=0), cache=path), TEXTS)


def test_a_store_that_fails_is_an_error(client, emulator):
    """Without the window there is no estimate."""

    class Broken(MemoryStore):
        def update(self, _):
            raise OSError("gone")

    with pytest.raises(ElectronHubError, match="The rate limit store failed: gone"):
        client(emulator(rpm=0), rate_limit_store=Broken()).estimate(TEXTS)
    with pytest.raises(ElectronHubError, match="The rate limit store failed: gone"):
        client(emulator(rpm=0), rate_limit_store=Broken()).estimate(TEXTS, with_prices=True)


def test_an_estimate_inside_on_request_is_refused(client, emulator):
    """A worker would wait for itself."""
    errors = []

    def report(_):
        try:
            asking.estimate(TEXTS)
        except ElectronHubError as error:
            errors.append(str(error))

    asking = client(emulator(rpm=0), on_request=report)
    asking.embed(TEXTS[:1])
    assert len(errors) == 1
    assert "inside on_request" in errors[0]


def test_no_thread_and_no_file_stay_behind(emulator, closing, until, workers, state_folder):
    """The thread that has answered ends, and closes the window's file, without the client being closed."""
    service = emulator(rpm=0)
    asking = closing(EmbeddingsClient(api_key=service.api_key, base_url=service.base_url))
    asking.estimate(TEXTS)
    until(lambda: not workers())
    assert open_files(state_folder) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_estimates(client, emulator):
    """A child, in which no thread of its parent exists, asks its own."""
    service = emulator(rpm=5)
    asking = client(service)
    asking.embed(TEXTS[:1])
    pid = os.fork()
    if not pid:
        os._exit(0 if asking.estimate(TEXTS[1:]).requests_per_minute == 5 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


async def test_the_event_loop_goes_on(client, emulator, tmp_path):
    """While the cache is looked up and the workers are asked, other tasks run."""
    asking = client(emulator(rpm=0), cache=tmp_path / "cache.sqlite")
    await asking.aembed(TEXTS)
    gaps, last, done = [], time.monotonic(), False

    async def tick():
        nonlocal last
        while not done:
            await asyncio.sleep(0)
            gaps.append(time.monotonic() - last)
            last = time.monotonic()

    ticking = asyncio.create_task(tick())
    estimate = await asking.aestimate(f"{TEXTS[number % 250]}" for number in range(20_000))
    done = True
    await ticking
    assert estimate.cached == 250
    assert max(gaps) < 0.5


def test_an_estimate_takes_no_text_s_memory(client, emulator):
    """Of a hundred long texts, none is kept: an iterable is counted in less memory than its texts take."""
    asking = client(emulator(rpm=0))
    asking.estimate(["to warm up"])
    tracemalloc.start()
    try:
        estimate = asking.estimate(f"{number} " * 500 for number in range(20_000))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert estimate.tokens_range[1] > 50_000_000
    assert most < 15_000_000


def test_vectors_are_not_changed_by_an_estimate(emulator, closing):
    """To estimate and then to embed gives what embedding alone gives."""
    service = emulator(rpm=0)
    model = EntryPoint(ENTRY_POINTS["client sync"], closing).make(service, dimensions=8)
    model.estimate(TEXTS)
    assert np.array_equal(model.embed(TEXTS[:2]), [service.vector(text, dimensions=8) for text in TEXTS[:2]])
