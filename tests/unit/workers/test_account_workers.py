"""The workers of an account: which texts share a request, their order, concurrency, and who gets which error."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from electronhub_embeddings import (
    APIConnectionError,
    BadRequestError,
    ElectronHubError,
    InvalidResponseError,
    RateLimitError,
)
from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow
from electronhub_embeddings._scheduling import request_queue, retry_policy
from electronhub_embeddings._workers import rate_limiter
from electronhub_embeddings.emulator import faults
from electronhub_embeddings.rate_limit_stores.memory import MemoryStore
from support.entry_points import expected_vectors, same

pytestmark = pytest.mark.usefixtures("quick_retries")


def short_window(period, margin=0.05):
    """Return a store for a service that counts over `period` seconds."""
    return MemoryStore(SlidingWindow(period=period, margin=margin))


async def queued(*calls):
    """Start calls, and return their tasks once all their texts are queued."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    await asyncio.sleep(0)
    return tasks


async def sent(service, count):
    """Wait until the service has counted `count` calls."""
    while len(service.calls) < count:  # noqa: ASYNC110 - the service has no event of this loop
        await asyncio.sleep(0.002)


def inputs(service):
    """List the texts of each request."""
    return [call.body["input"] for call in service.calls]


# The limit.


def test_the_limit_is_kept(client, emulator):
    """A job of many requests never exceeds a small limit."""
    service = emulator(rpm=2, window=0.4, cooldown=0.6)
    store = short_window(0.4)
    texts = list("abcdef")
    assert same(client(service, batch_size=1, rate_limit_store=store).embed(texts), expected_vectors(service, texts))
    assert [call.status for call in service.calls] == [200] * 6


def test_the_limit_is_kept_by_all_clients_together(client, emulator):
    """Clients with different arguments, in threads, share one limit."""
    service = emulator(rpm=3, window=0.4, cooldown=0.6)
    store = short_window(0.4)
    clients = [client(service, dimensions=8 + number, rate_limit_store=store) for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        rows = list(pool.map(lambda it: it.embed_query("one"), clients))
    assert [same(row, service.vector("one", dimensions=8 + i)) for i, row in enumerate(rows)] == [True] * 6
    assert [call.status for call in service.calls] == [200] * 6


def test_the_limit_outlives_its_clients(client, emulator):
    """Requests of a closed client still count for the next client of the account."""
    service = emulator(rpm=1)
    with client(service) as first:
        first.embed_query("one")
    with pytest.raises(RateLimitError):
        client(service, max_wait=1).embed_query("two")
    assert len(service.calls) == 1


def test_a_lone_query_leaves_at_once(client, emulator, monkeypatch):
    """While a slot is free, no text waits for a fuller batch."""
    monkeypatch.setattr(rate_limiter, "LINGER_SHARE", 1.0)
    service = emulator(rpm=5)
    assert same(client(service).embed_query("one"), service.vector("one"))


def test_nothing_is_sent_during_a_cooldown(client, emulator):
    """After a 429, all texts wait for as long as it says, including those of other callers."""
    service = emulator(rpm=0, faults=[faults.error(429, "Rate limit exceeded. Try again in 0.5 seconds.")])
    shared = client(service, batch_size=1, rate_limit_store=short_window(0.01, 0.001))
    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(shared.embed_query, "abcdefgh"))
    assert same(rows, expected_vectors(service, "abcdefgh"))
    refused, *others = service.calls
    assert refused.status == 429
    assert all(call.at - refused.at >= 0.5 for call in others)
    assert {call.status for call in others} == {200}


@pytest.mark.parametrize(
    "headers",
    [{"Retry-After": "1"}, {"X-RateLimit-Reset": "1"}],
    ids=["Retry-After", "X-RateLimit-Reset"],
)
def test_the_longest_wait_named_counts(client, emulator, headers):
    """If the headers name a longer wait than the message, the headers apply."""
    fault = faults.error(429, "Rate limit exceeded. Try again in 0.1 seconds.", headers=headers)
    service = emulator(rpm=0, faults=[fault])
    client(service, rate_limit_store=short_window(0.01, 0.001)).embed_query("one")
    refused, good = service.calls
    assert good.at - refused.at >= 1


def test_a_429_that_names_no_wait(client, emulator):
    """If the 429 names no duration, the documented cooldown of three minutes applies."""
    service = emulator(rpm=0, faults=[faults.empty(429)])
    with pytest.raises(RateLimitError) as caught:
        client(service, max_wait=10).embed_query("one")
    assert caught.value.retry_after == pytest.approx(180, abs=10)
    assert len(service.calls) == 1


def test_a_limit_that_others_have_used_up(client, emulator):
    """If another program has used up the limit, the job gets one 429, waits for the cooldown, and completes."""
    service = emulator(rpm=2, window=0.4, cooldown=0.6)
    texts, body = list("abc"), {"model": "text-embedding-3-small", "input": "theirs"}
    for _ in range(2):
        httpx.post(f"{service.base_url}/embeddings", json=body, headers={"authorization": f"Bearer {service.api_key}"})
    ours = client(service, batch_size=1, rate_limit_store=short_window(0.4))
    assert same(ours.embed(texts), expected_vectors(service, texts))
    assert not any(call.in_cooldown for call in service.calls)
    assert sum(call.limited for call in service.calls) <= 1


class Counting(MemoryStore):
    """Records every slot that was acquired."""

    def __init__(self, window):
        super().__init__(window)
        self.slots = set()

    def update(self, change):
        """Record the slots after each change."""

        def noted(window, now):
            result = change(window, now)
            self.slots |= set(window.slots.in_flight)
            return result

        return super().update(noted)


def test_every_attempt_takes_a_slot(client, emulator):
    """One slot is acquired per request, including retries, bisections and refusals."""
    service = emulator(rpm=0, refuse="bad".__eq__, names_offender=False, faults=[faults.error(503), faults.drop()])
    store = Counting(SlidingWindow())
    with pytest.raises(BadRequestError):
        client(service, rate_limit_store=store, dimensions=8).embed(["a", "b", "c", "bad", "d", "e"])
    assert len(store.slots) == len(service.calls) > 3


async def test_a_request_that_never_left_takes_no_slot(client, emulator, monkeypatch):
    """Failed connections are not counted against the limit."""
    monkeypatch.setattr(rate_limiter, "LINGER_SHARE", 0.0)
    service = emulator(rpm=1)
    service.close()
    store = Counting(SlidingWindow())
    from_nowhere = client(service, max_retries=2, rate_limit_store=store, requests_per_minute=1, max_wait=0)
    with pytest.raises(APIConnectionError) as caught:
        await asyncio.wait_for(from_nowhere.aembed_query("one"), 20)
    assert not caught.value.sent
    assert (len(store.slots), from_nowhere.usage.attempts) == (3, 0)


# Company.


async def test_queries_that_wait_travel_together(client, emulator, hold):
    """50 queries submitted while a request is in flight become one request."""
    service = emulator(rpm=5, faults=[hold.fault])
    shared = client(service)
    (first,) = await queued(shared.aembed(hold.texts))
    await sent(service, 1)
    queries = [f"query {number}" for number in range(50)]
    tasks = await queued(*map(shared.aembed_query, queries))
    hold.release()
    assert same(await asyncio.gather(*tasks), expected_vectors(service, queries))
    await first
    assert inputs(service) == [hold.texts, queries]


async def test_queries_that_come_together_travel_together(client, emulator, monkeypatch):
    """If nothing is in flight, the first of many queries is sent at once, and the others share a request."""
    monkeypatch.setattr(
        rate_limiter, "LINGER_SHARE", 0.05
    )  # 0.6 s at 5 a minute: longer than starting 200 tasks can take
    service = emulator(rpm=5)
    shared = client(service, dimensions=8)
    await shared.aembed_query("before")
    queries = [f"query {number}" for number in range(200)]
    rows = await asyncio.gather(*map(shared.aembed_query, queries))
    assert same(rows, expected_vectors(service, queries, 8))
    assert len(service.calls) <= 3


async def test_a_query_rides_along(client, emulator, hold):
    """A query goes first in a request with documents that have waited longer."""
    service = emulator(rpm=5, faults=[hold.fault])
    shared = client(service, query_prefix="q: ", document_prefix="d: ", spread_documents=False)
    (first,) = await queued(shared.aembed(hold.texts))
    await sent(service, 1)
    documents, query = await queued(shared.aembed(["one", "two"]), shared.aembed_query("who?"))
    hold.release()
    assert same(await documents, expected_vectors(service, ["d: one", "d: two"]))
    assert same(await query, service.vector("q: who?"))
    await first
    assert inputs(service)[1:] == [["q: who?", "d: one", "d: two"]]


async def test_a_query_leaves_before_queued_documents(client, emulator, hold):
    """A query submitted while many requests of documents are queued is in the next request."""
    service = emulator(rpm=5, faults=[hold.fault])
    shared = client(service, batch_size=32, dimensions=8, max_concurrency=2, spread_documents=False)
    texts = [*hold.texts, *(f"document {number}" for number in range(64))]
    (documents,) = await queued(shared.aembed(texts))
    await sent(service, 1)
    (query,) = await queued(shared.aembed_query("who?"))
    hold.release()
    assert same(await query, service.vector("who?", dimensions=8))
    assert same(await documents, expected_vectors(service, texts, 8))
    assert ["who?" in asked for asked in inputs(service)] == [False, True, False, False]
    assert [call.texts for call in service.calls] == [32, 32, 32, 1]


async def test_a_place_on_the_wire_is_kept_for_queries(client, emulator, hold):
    """Documents never use the last connection: a query is answered while documents are in flight and queued."""
    service = emulator(rpm=0, faults=[None, hold.fault])
    shared = client(service, max_concurrency=2, batch_size=32)
    await shared.aembed_query("before")
    (documents,) = await queued(shared.aembed([*hold.texts, "more"]))
    await sent(service, 2)
    assert same(await asyncio.wait_for(shared.aembed_query("who?"), 20), service.vector("who?"))
    assert not documents.done()
    assert inputs(service)[2:] == [["who?"]]
    hold.release()
    await documents


async def test_different_recipes_travel_apart(client, emulator, hold):
    """Texts whose requests have different options never share a request."""
    service = emulator(rpm=5, faults=[hold.fault])
    one, two = client(service, dimensions=8), client(service, dimensions=9)
    (first,) = await queued(one.aembed(hold.texts))
    await sent(service, 1)
    tasks = await queued(one.aembed_query("a"), two.aembed_query("a"))
    hold.release()
    rows = await asyncio.gather(*tasks)
    assert [same(row, service.vector("a", dimensions=d)) for row, d in zip(rows, (8, 9), strict=True)] == [True, True]
    await first
    assert len(service.calls) == 3


async def test_equal_recipes_travel_together(client, emulator, hold):
    """Texts of different clients share a request if its options are the same."""
    service = emulator(rpm=5, faults=[hold.fault])
    one, two = client(service), client(service)
    (first,) = await queued(one.aembed(hold.texts))
    await sent(service, 1)
    tasks = await queued(one.aembed_query("a"), two.aembed_query("b"))
    hold.release()
    assert same(await asyncio.gather(*tasks), expected_vectors(service, ["a", "b"]))
    await first
    assert inputs(service)[1:] == [["a", "b"]]


async def test_a_cancelled_task_and_its_neighbours(client, emulator, hold):
    """The unsent texts of a cancelled task are never sent, and the other tasks get their vectors."""
    service = emulator(rpm=5, faults=[hold.fault])
    shared = client(service)
    (first,) = await queued(shared.aembed(hold.texts))
    await sent(service, 1)
    one, two, three = await queued(*(shared.aembed([text]) for text in ("one", "two", "three")))
    two.cancel()
    with pytest.raises(asyncio.CancelledError):
        await two
    hold.release()
    assert same([*await one, *await three], expected_vectors(service, ["one", "three"]))
    await first
    assert inputs(service)[1:] == [["one", "three"]]


async def test_a_cancelled_task_whose_request_is_under_way(client, emulator, hold):
    """Cancelling a caller whose request is in flight ends its wait at once, and the other callers are unaffected."""
    service = emulator(rpm=5, faults=[hold.fault])
    shared = client(service)
    (first,) = await queued(shared.aembed(hold.texts))
    await sent(service, 1)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    (second,) = await queued(shared.aembed_query("one"))
    hold.release()
    assert same(await second, service.vector("one"))


async def test_a_call_after_a_wait_that_was_given_up(client, emulator, hold):
    """After all waiting callers were cancelled, the next call is handled at once."""
    service = emulator(rpm=5, faults=[hold.fault])
    shared = client(service)
    (first,) = await queued(shared.aembed(hold.texts))
    await sent(service, 1)
    (gone,) = await queued(shared.aembed(["given up"]))
    while not next(iter(shared._lifecycle._connections.values()))._workers._loop.scheduler._limit_wait._pause:  # noqa: ASYNC110 - nothing is sent before the first answer
        await asyncio.sleep(0.002)
    gone.cancel()
    hold.release()
    await first
    assert same(await asyncio.wait_for(shared.aembed_query("one"), 10), service.vector("one"))


async def test_a_timeout_of_the_caller(client, emulator):
    """`asyncio.wait_for` ends a wait for the limit, and nothing is sent afterwards."""
    service = emulator(rpm=1, window=0.5)
    shared = client(service, rate_limit_store=short_window(0.5))
    await shared.aembed_query("one")
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(shared.aembed_query("two"), 0.05)
    await shared.aembed_query("three")
    assert inputs(service) == [["one"], ["three"]]


# Guilt.


@pytest.mark.parametrize("names_offender", [True, False])
async def test_only_the_guilty_caller_sees_the_error(client, emulator, hold, names_offender):
    """One bad text in a shared request fails its own call, with its index there; all other texts get vectors."""
    service = emulator(rpm=0, faults=[hold.fault], refuse="bad".__eq__, names_offender=names_offender)
    shared = client(service, dimensions=8)
    (first,) = await queued(shared.aembed(hold.texts))
    await sent(service, 1)
    before, guilty, after, query = await queued(
        shared.aembed(["one", "two", "three"]),
        shared.aembed(["four", "bad", "five"]),
        shared.aembed(["six", "seven"]),
        shared.aembed_query("eight"),
    )
    hold.release()
    results = await asyncio.gather(before, guilty, after, query, return_exceptions=True)
    error = results[1]
    assert type(error) is BadRequestError
    assert error.index == 1
    assert {
        place: same(row, expected_vectors(service, ["four", "bad", "five"], 8)[place])
        for place, row in error.partial.items()
    }
    assert sorted(error.partial) == [0, 2]
    assert same(results[0], expected_vectors(service, ["one", "two", "three"], 8))
    assert same(results[2], expected_vectors(service, ["six", "seven"], 8))
    assert same(results[3], service.vector("eight", dimensions=8))
    await first


@pytest.mark.parametrize("names_offender", [True, False])
def test_one_bad_text_among_many(client, emulator, names_offender):
    """A bad text among 512 is found by its index or by bisection, and no other text loses its vector."""
    service = emulator(rpm=0, refuse="text 200".__eq__, names_offender=names_offender)
    texts = [f"text {number}" for number in range(512)]
    with pytest.raises(BadRequestError) as caught:
        client(service, dimensions=8).embed(texts)
    assert caught.value.index == 200
    assert sorted(caught.value.partial) == [i for i in range(512) if i != 200]
    assert len(service.calls) <= (2 if names_offender else 1 + 2 * 9)


def test_a_text_that_is_too_long(client, emulator):
    """A single text over the model's length is named to its caller."""
    service = emulator(rpm=0, names_offender=False, max_input_tokens=50)
    with pytest.raises(BadRequestError) as caught:
        client(service).embed(["short", "word " * 60, "also short"])
    assert caught.value.index == 1
    assert sorted(caught.value.partial) == [0, 2]


async def test_a_row_that_stays_wrong_is_its_own_callers(client, emulator, hold):
    """A vector that is not finite after all retries fails only the call of its text."""
    service = emulator(rpm=5, faults=[hold.fault], chance=lambda _: faults.edit(spoil))

    def spoil(answer):
        asked = service.calls[-1].body["input"]  # one request at a time: this is the one
        rows = [
            {**row, "embedding": [1e60] * 8} if text == "bad" else row
            for text, row in zip(asked, answer["data"], strict=True)
        ]
        return {**answer, "data": rows}

    shared = client(service, dimensions=8, max_concurrency=1)
    (first,) = await queued(shared.aembed(hold.texts))
    await sent(service, 1)
    tasks = await queued(shared.aembed(["good"]), shared.aembed(["fine", "bad"]))
    hold.release()
    good, wrong = await asyncio.gather(*tasks, return_exceptions=True)
    assert (type(wrong), wrong.index, sorted(wrong.partial)) == (InvalidResponseError, 1, [0])
    assert same(good, expected_vectors(service, ["good"], 8))
    await first


async def test_texts_that_failed_together_are_sent_again_together(client, emulator, hold, monkeypatch):
    """A failed request is retried as one request, however many calls share it, because each attempt uses a slot."""
    monkeypatch.setattr(retry_policy, "INITIAL_PAUSE", 0.3)
    service = emulator(rpm=100, faults=[hold.fault, faults.error(503)])
    shared = client(service, dimensions=8)
    (first,) = await queued(shared.aembed(hold.texts))
    await sent(service, 1)
    queries = [f"query {number}" for number in range(20)]
    tasks = await queued(*map(shared.aembed_query, queries))
    hold.release()
    assert same(await asyncio.gather(*tasks), expected_vectors(service, queries, 8))
    await first
    assert [call.texts for call in service.calls] == [32, 20, 20]


# Size.


def test_too_many_inputs_are_learned_from_the_message(client, emulator):
    """The limit named in a refusal is used from then on, so there is only one refusal."""
    service = emulator(rpm=0, max_inputs=32)
    shared, texts = client(service, dimensions=8), [f"text {number}" for number in range(1000)]
    assert same(shared.embed(texts), expected_vectors(service, texts, 8))
    assert [call.texts for call in service.calls if call.status == 400] == [1000]
    steady = len(service.calls)
    shared.embed([f"more {number}" for number in range(300)])
    assert {call.status for call in service.calls[steady:]} == {200}


def test_too_many_inputs_are_found_by_halving(client, emulator):
    """If no limit is named, at most six refusals find a size that is accepted, and it is kept."""
    refusals = [faults.error(413, "Request too large.")] * 5
    service = emulator(rpm=0, faults=refusals)
    shared, texts = client(service, dimensions=8), [f"text {number}" for number in range(1000)]
    assert same(shared.embed(texts), expected_vectors(service, texts, 8))
    assert [call.texts for call in service.calls[:5]] == [1000, 500, 250, 125, 62]
    assert max(call.texts for call in service.calls[5:]) == 31


@pytest.mark.parametrize("names_offender", [True, False], ids=["new message", "old message"])
def test_too_many_tokens_are_learned(client, emulator, names_offender):
    """Refusals for tokens make requests smaller, at most six times, until all later requests fit."""
    service = emulator(rpm=0, max_request_tokens=2000, names_offender=names_offender)
    shared, texts = client(service, dimensions=8), [f"{number} " + "word " * 20 for number in range(1000)]
    assert same(shared.embed(texts), expected_vectors(service, texts, 8))
    assert sum(call.status == 400 for call in service.calls) <= 6
    steady = len(service.calls)
    shared.embed([f"{number} " + "more " * 20 for number in range(300)])
    assert {call.status for call in service.calls[steady:]} == {200}


# The wire.


def peak(calls, seconds):
    """Return the most calls that were in flight at once, if each took at least `seconds`."""
    starts = sorted(call.at for call in calls)
    return max(sum(start - seconds < at <= start for at in starts) for start in starts)


@pytest.mark.parametrize(("max_concurrency", "documents"), [(1, 1), (2, 1), (4, 3)])
def test_max_concurrency(client, emulator, max_concurrency, documents):
    """No more requests are in flight than allowed, and documents leave one connection free."""
    service = emulator(rpm=0, latency=0.05)
    busy = client(service, max_concurrency=max_concurrency, batch_size=1, dimensions=8)
    busy.embed_query("before")
    busy.embed([str(number) for number in range(12)])
    assert peak(service.calls, 0.045) == documents


async def test_max_concurrency_with_queries(client, emulator):
    """Queries and documents together stay within the limit as well."""
    service = emulator(rpm=0, latency=0.05)
    busy = client(service, max_concurrency=3, batch_size=1, dimensions=8)
    await busy.aembed_query("before")
    queries = [busy.aembed_query(f"query {number}") for number in range(20)]
    await asyncio.gather(busy.aembed([str(number) for number in range(20)]), *queries)
    assert peak(service.calls, 0.045) == 3


def test_a_large_job_is_divided_where_requests_are_free(client, emulator):
    """Without a limit a large job is spread over all workers instead of one full request."""
    service = emulator(rpm=0)
    free, texts = client(service, dimensions=8), [f"text {number}" for number in range(700)]
    free.embed_query("before")
    assert same(free.embed(texts), expected_vectors(service, texts, 8))
    shares = [call.texts for call in service.calls[1:]]
    assert max(shares) == 100
    assert len(shares) >= 7


def test_a_large_job_is_one_request_where_requests_are_scarce(client, emulator):
    """With a limit the same job is one request."""
    service = emulator(rpm=100)
    scarce, texts = client(service, dimensions=8), [f"text {number}" for number in range(700)]
    scarce.embed_query("before")
    scarce.embed(texts)
    assert [call.texts for call in service.calls] == [1, 700]


def test_the_first_request_is_waited_for(client, emulator, hold, until, waiting):
    """Until an answer shows the limit, only one request is in flight, whatever callers submit."""
    service = emulator(rpm=0, faults=[hold.fault])
    clients = [client(service, dimensions=8 + number) for number in range(3)]
    with ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(each.embed, hold.texts) for each in clients]
        until(lambda: len(service.calls) == 1)
        until(lambda: sum(map(waiting, clients)) == 2 * len(hold.texts))
        assert len(service.calls) == 1
        hold.release()
        for job in jobs:
            job.result()
    assert len(service.calls) == 3


def test_threads_are_few(client, emulator, workers):
    """However many calls wait, there is at most one thread per connection and one leader."""
    service = emulator(rpm=0, latency=0.01)
    shared, most = client(service, max_concurrency=3, batch_size=1, dimensions=8), [0]

    def work(number):
        row = shared.embed_query(f"query {number}")
        most[0] = max(most[0], len(workers()))
        return row

    with ThreadPoolExecutor(40) as pool:
        list(pool.map(work, range(40)))
    assert 1 <= most[0] <= 4


# Trouble inside.


class Broken(MemoryStore):
    """Fails from the second change on."""

    def __init__(self, good):
        super().__init__(SlidingWindow())
        self.good = good

    def update(self, change):
        """Apply the first changes only."""
        if self.good == 0:
            raise OSError("no space left")
        self.good -= 1
        return super().update(change)


def test_a_store_that_fails_strands_nobody(client, emulator):
    """If the store fails before a request, the call fails with that error, and nothing is sent."""
    service = emulator(rpm=0)
    with pytest.raises(ElectronHubError, match="no space left"):
        client(service, rate_limit_store=Broken(0)).embed_query("one")
    assert service.calls == []


def test_a_store_that_fails_loses_nothing(client, emulator):
    """If the store fails while a request is in flight, its vectors are returned, and the next call fails."""
    service = emulator(rpm=0)
    broken = client(service, rate_limit_store=Broken(1))
    assert same(broken.embed_query("one"), service.vector("one"))
    with pytest.raises(ElectronHubError, match="no space left"):
        broken.embed_query("two")
    assert len(service.calls) == 1


def test_a_fault_of_our_own_strands_nobody(client, emulator, monkeypatch):
    """An unexpected exception anywhere in a worker reaches the caller, which would otherwise wait forever."""
    service = emulator(rpm=0, faults=[faults.error(400, "Something is odd.")])
    monkeypatch.setattr(threading, "excepthook", lambda _: None)

    def fail(*_args, **_options):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(request_queue, "recover", fail)
    failures = []

    def ask():
        with pytest.raises(ElectronHubError) as caught:
            client(service).embed_query("one")
        failures.append(caught.value)

    caller = threading.Thread(target=ask, daemon=True)  # else a caller that is stranded would keep the tests waiting
    caller.start()
    caller.join(10)
    assert len(failures) == 1
    assert same(client(service).embed_query("two"), service.vector("two"))


# Few slots left.


@pytest.fixture
def two_left(client, emulator, monkeypatch):
    """Return a service of five calls a minute, and a client that has made three of them."""
    monkeypatch.setattr(rate_limiter, "LINGER_SHARE", 0.0)
    service = emulator(rpm=5)
    shared = client(service, dimensions=8)
    for number in range(3):
        shared.embed_query(f"before {number}")
    monkeypatch.setattr(
        rate_limiter, "LINGER_SHARE", 0.1
    )  # 1.2 s at 5 a minute: longer than a busy machine takes to ask 500 times
    return service, shared


async def test_500_queries_of_one_loop_in_two_slots(two_left):
    """Any number of concurrent tasks is answered with the remaining requests, and no task waits a minute."""
    service, shared = two_left
    queries = [f"query {number}" for number in range(500)]
    rows = await asyncio.wait_for(asyncio.gather(*map(shared.aembed_query, queries)), 30)
    assert same(rows, expected_vectors(service, queries, 8))
    assert len(service.calls) - 3 <= 2
    assert {call.status for call in service.calls} == {200}


def test_200_queries_of_as_many_threads_in_two_slots(two_left):
    """Any number of concurrent threads is answered with the remaining requests."""
    service, shared = two_left
    queries = [f"query {number}" for number in range(200)]
    meeting = threading.Barrier(len(queries))

    def ask(query):
        meeting.wait(30)
        return shared.embed_query(query)

    with ThreadPoolExecutor(len(queries)) as pool:
        asked = [pool.submit(ask, query) for query in queries]
        rows = [call.result(30) for call in asked]
    assert same(rows, expected_vectors(service, queries, 8))
    assert len(service.calls) - 3 <= 2
    assert {call.status for call in service.calls} == {200}


# Patience for many requests.


def test_a_job_that_cannot_be_done_in_time_sends_one_request(client, emulator):
    """Once the first answer shows the limit, a job that cannot finish in time fails before its second request."""
    service = emulator(rpm=5)
    impatient = client(service, batch_size=1, dimensions=8, max_wait=90)
    with pytest.raises(RateLimitError, match="19 requests") as caught:
        impatient.embed([str(number) for number in range(20)])
    assert caught.value.retry_after == pytest.approx(3 * 60.1, abs=10)
    assert sorted(caught.value.partial) == [0]
    assert len(service.calls) == 1


def test_a_job_that_cannot_be_done_in_time_sends_nothing(client, emulator):
    """If the limit is already known, such a job fails before its first request, and a smaller one completes."""
    service = emulator(rpm=5)
    impatient = client(service, batch_size=1, dimensions=8, max_wait=50, spread_documents=False)
    impatient.embed_query("before")
    with pytest.raises(RateLimitError, match="5 requests") as caught:
        impatient.embed(list("abcde"))
    assert caught.value.retry_after == pytest.approx(60.1, abs=10)
    assert (len(service.calls), caught.value.partial) == (1, {})
    assert same(impatient.embed(list("abcd")), expected_vectors(service, "abcd", 8))


def test_a_job_that_can_be_done_in_time_is_done(client, emulator):
    """A job of many requests whose waits fit into `max_wait` goes through all of them."""
    service = emulator(rpm=2, window=0.4)
    patient = client(service, batch_size=1, dimensions=8, max_wait=30, rate_limit_store=short_window(0.4))
    assert same(patient.embed(list("abcdef")), expected_vectors(service, "abcdef", 8))
    assert [call.status for call in service.calls] == [200] * 6
