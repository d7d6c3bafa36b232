"""`track_usage` counts what the code inside its block causes, and nothing else, through all entry points."""

import asyncio
import contextvars
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from electronhub_embeddings import RateLimitError, ServerError, track_usage
from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow
from electronhub_embeddings.emulator import faults
from electronhub_embeddings.rate_limit_stores.memory import MemoryStore

TEXTS = ["one", "two words", "three words here"]
COUNTED = ("requests", "attempts", "texts", "prompt_tokens", "total_tokens", "cache_hits", "rate_limited")


def counters(usage):
    """Return all counters but the seconds."""
    return {name: getattr(usage, name) for name in COUNTED}


def as_counted(calls, *, requests, texts):
    """Return the counters that agree with the calls of an emulator."""
    tokens = sum(call.prompt_tokens for call in calls)
    found = {"requests": requests, "attempts": len(calls), "texts": texts, "cache_hits": 0}
    limited = sum(call.status == 429 for call in calls)
    return {**found, "prompt_tokens": tokens, "total_tokens": tokens, "rate_limited": limited}


@pytest.mark.usefixtures("quick_retries")
def test_the_sums_are_what_the_service_counted(entry_point, emulator):
    """Retries and rejected answers are counted inside the block, and nothing outside it."""
    service = emulator(rpm=0)
    model = entry_point.make(service)
    entry_point.embed(model, ["before"])
    before = len(service.calls)
    service.script(faults.short(), faults.error(503), faults.error_with_200())
    with track_usage() as usage:
        entry_point.embed(model, TEXTS)
        with track_usage() as inner:
            entry_point.query(model, "a question")
    inside = service.calls[before:]
    entry_point.query(model, "after")
    assert counters(usage) == as_counted(inside, requests=2, texts=4)
    assert counters(inner) == as_counted(inside[-1:], requests=1, texts=1)
    assert counters(model.usage) == as_counted(service.calls, requests=4, texts=6)


@pytest.mark.parametrize("status", [429, 503])
def test_a_call_that_fails_is_counted(entry_point, emulator, status):
    """What it cost is in the block when its exception arrives there."""
    service = emulator(rpm=0, faults=[faults.error(status)])
    model = entry_point.make(service, max_retries=0)
    with track_usage() as usage, pytest.raises((RateLimitError, ServerError)):
        entry_point.embed(model, TEXTS)
    assert usage.rate_limited == (status == 429)
    assert counters(usage) == as_counted(service.calls, requests=0, texts=0)


def test_waiting_and_cached_texts_are_counted(entry_point, emulator, tmp_path):
    """Seconds waited for the limit and texts from the cache are those of the block."""
    service = emulator(rpm=1, window=0.3)
    store = MemoryStore(SlidingWindow(period=0.3, margin=0.01))
    model = entry_point.make(service, rate_limit_store=store, cache=tmp_path / "cache")
    entry_point.embed(model, ["one"])
    before = model.usage.seconds_waited
    with track_usage(price=2) as usage:
        entry_point.embed(model, ["one", "two"])
    assert (usage.cache_hits, usage.texts, usage.requests) == (1, 1, 1)
    assert usage.seconds_waited == pytest.approx(model.usage.seconds_waited - before)
    assert usage.cost == service.calls[1].prompt_tokens * 2 / 1_000_000


def test_each_caller_of_a_shared_request_counts_its_own_texts(client, emulator, hold, until, waiting):
    """Blocks in different threads share a request: tokens are divided by size, and the first has the request."""
    service = emulator(rpm=1, window=0.1, faults=[hold.fault])
    sharing = client(service, rate_limit_store=MemoryStore(SlidingWindow(period=0.1, margin=0.01)))

    def call(text):
        with track_usage() as usage:
            sharing.embed([text])
        return usage

    with ThreadPoolExecutor(3) as pool:
        held = pool.submit(sharing.embed, hold.texts)
        until(lambda: len(service.calls) == 1)
        first = pool.submit(call, "one two three")
        until(lambda: waiting(sharing) == 1)
        second = pool.submit(call, "four")
        until(lambda: waiting(sharing) == 2)
        hold.release()
        held.result()
        first, second = first.result(), second.result()
    shared = service.calls[1]
    assert shared.texts == 2
    assert (first.requests, first.attempts, second.requests, second.attempts) == (1, 1, 0, 0)
    assert (first.texts, second.texts) == (1, 1)
    assert first.total_tokens + second.total_tokens == shared.prompt_tokens
    assert first.total_tokens > second.total_tokens > 0


def test_threads_that_copy_the_context_count(client, emulator):
    """Those of `asyncio.to_thread` do, tasks do, and a bare thread does if it runs a copy of the context."""
    model = client(emulator(rpm=0))

    async def main():
        await asyncio.gather(asyncio.to_thread(model.embed, ["a"]), asyncio.create_task(model.aembed(["b"])))

    with track_usage() as usage:
        asyncio.run(main())
        thread = threading.Thread(target=contextvars.copy_context().run, args=(model.embed, ["c"]))
        thread.start()
        thread.join()
    assert (usage.texts, model.usage.texts) == (3, 3)


@pytest.mark.skipif(getattr(sys.flags, "thread_inherit_context", False), reason="here threads copy the context")
def test_a_bare_thread_is_not_in_the_block(client, emulator):
    """A thread starts with an empty context, as the documentation says."""
    model = client(emulator(rpm=0))
    with track_usage() as usage:
        thread = threading.Thread(target=model.embed, args=(["a"],))
        thread.start()
        thread.join()
    assert (usage.texts, model.usage.texts) == (0, 1)


def test_all_clients_inside_count(entry_point, emulator):
    """A block has no client: it adds up those of several accounts, whose workers count at the same time."""
    services = [emulator(rpm=0) for _ in range(2)]
    models = [entry_point.make(service) for service in services]
    with track_usage() as usage, ThreadPoolExecutor(2) as pool:
        jobs = [
            pool.submit(contextvars.copy_context().run, entry_point.embed, models[number % 2], [f"text {number}"])
            for number in range(20)
        ]
        for job in jobs:
            job.result()
    calls = [call for service in services for call in service.calls]
    assert (usage.texts, usage.attempts) == (20, len(calls))
    assert usage.total_tokens == sum(call.prompt_tokens for call in calls)


def test_batches_of_an_iterable_count_where_they_are_consumed(client, emulator):
    """`iter_embed` submits texts in the context of the loop over it."""
    model = client(emulator(rpm=0), batch_size=2)
    vectors = model.iter_embed(f"text {number}" for number in range(5))
    with track_usage() as usage:
        assert sum(1 for _ in vectors) == 5
    assert usage.texts == 5


def test_a_cancelled_call_is_counted_when_its_request_ends(client, emulator, hold, until):
    """The request goes on, so what it cost is added after the block has ended."""
    service = emulator(rpm=0, faults=[hold.fault])
    model = client(service)

    async def main():
        task = asyncio.create_task(model.aembed(hold.texts))
        await asyncio.to_thread(until, lambda: service.calls)
        task.cancel()
        await asyncio.wait([task])

    with track_usage() as usage:
        asyncio.run(main())
    assert usage.attempts == 0
    hold.release()
    until(lambda: usage.attempts == 1)
    assert usage.total_tokens == service.calls[0].prompt_tokens
