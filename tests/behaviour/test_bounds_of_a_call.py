"""`max_wait` and `timeout` of one call, through all methods of the client that take them."""

import asyncio
import math
from concurrent.futures import ThreadPoolExecutor

import pytest

from electronhub_embeddings import APITimeoutError, RateLimitError
from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow
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


def waiting_in_all_ways(names=("embed", "aembed", "embed with a bar", "aembed with a bar")):
    """Run a test with the methods that wait in different ways, or with others."""
    return pytest.mark.parametrize("method", [METHODS[name] for name in names], ids=names)


@pytest.fixture
def spent(client, emulator):
    """Return a function that makes a client whose limit is used up for some seconds, with faults for what follows."""

    def make(*faults, period=60.0, **options):
        store = MemoryStore(SlidingWindow(period=period, margin=0.01))
        made = client(emulator(rpm=1, window=period, faults=[None, *faults]), rate_limit_store=store, **options)
        made.embed_query("takes the only slot")
        return made

    return make


@pytest.fixture
def held(client, emulator, hold):
    """Return a function that makes a service and its client, which has connected; a later answer is held back."""

    def make(*before, **options):
        service = emulator(rpm=0, faults=[None, *before, hold.fault])
        made = client(service, **options)
        made.embed_query("the first one imports and connects")
        return service, made

    return make


def test_a_call_may_wait_less_than_its_client(spent, method):
    """It fails at once, and nothing is sent."""
    model = spent()
    with pytest.raises(RateLimitError, match=r"longer than its max_wait of 0\.01 s"):
        method(model, max_wait=0.01)
    assert model.usage.attempts == 1


@pytest.mark.parametrize(("name", "max_wait"), [("embed", 60), ("aembed", math.inf)])
def test_a_call_may_wait_longer_than_its_client(spent, name, max_wait):
    """As long as it says, or as long as it takes."""
    model = spent(period=0.8, max_wait=0)
    METHODS[name](model, max_wait=max_wait)
    with pytest.raises(RateLimitError, match="longer than its max_wait of 0 s"):
        METHODS[name](model)


@waiting_in_all_ways()
def test_a_call_ends_at_its_timeout(held, hold, until, method):
    """Its caller goes on, whatever the service does; the request is charged, and later calls work."""
    service, model = held()
    with pytest.raises(APITimeoutError, match=r"did not end within its timeout of 0\.3 s") as caught:
        method(model, timeout=0.3)
    assert caught.value.sent
    hold.release()
    assert method(model, timeout=60) is not None
    until(lambda: model.usage.attempts == len(service.calls))


def test_a_call_that_waits_for_the_limit_ends_at_its_timeout(spent, until, waiting, method):
    """Its texts are withdrawn, and cost nothing."""
    model = spent()
    with pytest.raises(APITimeoutError) as caught:
        method(model, timeout=0.1)
    assert not caught.value.sent
    until(lambda: waiting(model) == 0)
    assert model.usage.attempts == 1


@waiting_in_all_ways(["embed", "aembed_lists"])
def test_what_is_finished_at_the_timeout_is_in_partial(held, method):
    """Vectors that were received are not lost."""
    service, model = held(None, batch_size=2, max_concurrency=1)
    with pytest.raises(APITimeoutError) as caught:
        method(model, timeout=0.6)
    assert sorted(caught.value.partial) == [0, 1]
    assert same([caught.value.partial[0], caught.value.partial[1]], expected_vectors(service, TEXTS[:2]))


def test_a_request_that_was_left_fills_the_cache(held, hold, until, tmp_path):
    """What was paid for after the timeout need not be sent again."""
    service, model = held(cache=tmp_path / "cache")
    with pytest.raises(APITimeoutError):
        model.embed(TEXTS, timeout=0.6)
    hold.release()
    until(lambda: model.usage.texts == 4)
    assert same(model.embed(TEXTS), expected_vectors(service, TEXTS))
    assert len(service.calls) == 2


def test_a_timeout_concerns_nobody_else(spent, hold):
    """Others whose texts share the request get their vectors, and the request is the only one."""
    model = spent(hold.fault, period=0.3)
    with ThreadPoolExecutor(2) as pool:
        short, patient = pool.submit(model.embed, ["short"], timeout=1.0), pool.submit(model.embed, ["patient"])
        with pytest.raises(APITimeoutError):
            short.result()
        hold.release()
        assert patient.result().shape == (1, 1536)
    assert (model.usage.attempts, model.usage.texts) == (2, 3)


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
