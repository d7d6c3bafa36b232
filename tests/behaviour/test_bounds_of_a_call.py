"""`max_wait` and `timeout` of one call, through all methods of the client that take them."""

import asyncio
import math
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from electronhub_embeddings import APITimeoutError, RateLimitError
from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow
from electronhub_embeddings.emulator import faults
from electronhub_embeddings.rate_limit_stores.memory import MemoryStore
from support.entry_points import expected_vectors, same

TEXTS = ["one", "two", "three"]


async def collect(vectors):
    """Return all vectors of an asynchronous stream."""
    return [vector async for vector in vectors]


METHODS = {
    "embed": lambda client, **bounds: client.embed(TEXTS, **bounds),
    "embed_lists": lambda client, **bounds: client.embed_lists(TEXTS, **bounds),
    "embed_query": lambda client, **bounds: client.embed_query("one", **bounds),
    "iter_embed": lambda client, **bounds: list(client.iter_embed(TEXTS, **bounds)),
    "aembed": lambda client, **bounds: asyncio.run(client.aembed(TEXTS, **bounds)),
    "aembed_lists": lambda client, **bounds: asyncio.run(client.aembed_lists(TEXTS, **bounds)),
    "aembed_query": lambda client, **bounds: asyncio.run(client.aembed_query("one", **bounds)),
    "aiter_embed": lambda client, **bounds: asyncio.run(collect(client.aiter_embed(TEXTS, **bounds))),
    "embed with a bar": lambda client, **bounds: client.embed(TEXTS, show_progress=True, **bounds),
    "aembed with a bar": lambda client, **bounds: asyncio.run(client.aembed(TEXTS, show_progress=True, **bounds)),
}


@pytest.fixture(params=METHODS)
def method(request):
    """Return each method in turn."""
    return METHODS[request.param]


@pytest.fixture
def spent(client, emulator):
    """Return a function that makes a client whose limit is used up for 0.4 seconds."""

    def make(**options):
        store = MemoryStore(SlidingWindow(period=0.4, margin=0.01))
        made = client(emulator(rpm=1, window=0.4), rate_limit_store=store, **options)
        made.embed_query("takes the only slot")
        return made

    return make


def test_a_call_may_wait_less_than_its_client(spent, method):
    """It fails at once; the client's other calls wait as long as they may."""
    model = spent()
    with pytest.raises(RateLimitError, match=r"max_wait is 0\.01 s"):
        method(model, max_wait=0.01)
    assert model.usage.attempts == 1
    model.embed_query("waits")
    assert model.usage.attempts == 2


@pytest.mark.parametrize("max_wait", [60, math.inf])
def test_a_call_may_wait_longer_than_its_client(spent, method, max_wait):
    """As long as it says, or as long as it takes."""
    model = spent(max_wait=0)
    method(model, max_wait=max_wait)
    assert model.usage.seconds_waited > 0.1
    with pytest.raises(RateLimitError):
        method(model)


def test_a_call_ends_at_its_timeout(client, emulator, until, method):
    """Its caller goes on, whatever the service does; the request is charged, and later calls work."""
    service = emulator(rpm=0, faults=[None, faults.delay(1.5)])
    model = client(service)
    model.embed_query("the first one imports and connects")
    begin = time.monotonic()
    with pytest.raises(APITimeoutError, match=r"did not end within its timeout of 0\.3 s"):
        method(model, timeout=0.3)
    assert 0.3 <= time.monotonic() - begin < 1.5
    assert len(service.calls) == 2
    assert method(model, timeout=60) is not None
    until(lambda: model.usage.attempts == 3)


def test_a_call_that_waits_for_the_limit_ends_at_its_timeout(spent, method):
    """Its texts are withdrawn, and cost nothing."""
    model = spent()
    with pytest.raises(APITimeoutError):
        method(model, timeout=0.1)
    model.embed_query("the next")
    assert (model.usage.attempts, model.usage.texts) == (2, 2)


@pytest.mark.parametrize("name", ["embed", "embed_lists", "aembed", "aembed_lists"])
def test_what_is_finished_at_the_timeout_is_in_partial(client, emulator, name):
    """Vectors that were received are not lost."""
    service = emulator(rpm=0, faults=[None, None, faults.delay(1.5)])
    model = client(service, batch_size=2, max_concurrency=1)
    model.embed_query("the first one imports and connects")
    with pytest.raises(APITimeoutError) as caught:
        METHODS[name](model, timeout=0.5)
    assert sorted(caught.value.partial) == [0, 1]
    assert same([caught.value.partial[0], caught.value.partial[1]], expected_vectors(service, TEXTS[:2]))


def test_a_request_that_was_left_fills_the_cache(client, emulator, until, tmp_path):
    """What was paid for after the timeout need not be sent again."""
    service = emulator(rpm=0, faults=[None, faults.delay(1.5)])
    model = client(service, cache=tmp_path / "cache")
    model.embed_query("the first one imports and connects")
    with pytest.raises(APITimeoutError):
        model.embed(TEXTS, timeout=0.3)
    until(lambda: model.usage.texts == 4)
    assert same(model.embed(TEXTS), expected_vectors(service, TEXTS))
    assert len(service.calls) == 2


def test_a_timeout_concerns_nobody_else(client, emulator, hold, until, waiting):
    """Others whose texts share the request get their vectors."""
    service = emulator(rpm=1, window=0.1, faults=[hold.fault, faults.delay(2.0)])
    model = client(service, rate_limit_store=MemoryStore(SlidingWindow(period=0.1, margin=0.01)))
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(model.embed, hold.texts)
        until(lambda: len(service.calls) == 1)
        short, patient = pool.submit(model.embed, ["short"], timeout=1.0), pool.submit(model.embed, ["patient"])
        until(lambda: waiting(model) == 2)
        hold.release()
        first.result()
        assert same(patient.result(), expected_vectors(service, ["patient"]))
        with pytest.raises(APITimeoutError):
            short.result()
    assert [call.texts for call in service.calls] == [len(hold.texts), 2]


@pytest.mark.parametrize(
    "bounds",
    [{"max_wait": -1}, {"max_wait": math.nan}, {"max_wait": "1"}, {"timeout": 0}, {"timeout": True}, {"timeout": "1"}],
    ids=str,
)
def test_bounds_are_checked(client, emulator, method, bounds):
    """A bound that is none is refused, and nothing is sent."""
    service = emulator(rpm=0)
    with pytest.raises(ValueError, match=f"{next(iter(bounds))} must be"):
        method(client(service), **bounds)
    assert service.calls == []
