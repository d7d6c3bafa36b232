"""A failing shared store: early errors are raised; later, the limiter falls back to memory and returns to the store."""

import copy
import logging
import threading
from contextlib import suppress
from types import SimpleNamespace

import pytest

from electronhub_embeddings._rate_limit.rate_limit_headers import RateLimitHeaders
from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow
from electronhub_embeddings.rate_limit_stores import RateLimitStore, memory_fallback
from electronhub_embeddings.rate_limit_stores.memory import MemoryStore
from electronhub_embeddings.rate_limit_stores.memory_fallback import RETRY_INTERVAL, MemoryFallback

HOLD = 60.1
"""Seconds for which a call that was counted holds its slot."""

FAILED = "the rate limit store failed (it is gone): until it works again, this process limits itself alone"
BACK = "the rate limit store works again"


class Shared(MemoryStore):
    """A store that fails on demand."""

    poll = 0.25

    def __init__(self, window, clock):
        super().__init__(window, clock)
        self.down = False
        self.attempts = 0
        self.closed = False

    def update(self, change):
        """Apply the change, or fail."""
        self.attempts += 1
        if self.down:
            raise OSError("it is gone")
        return super().update(change)

    def after_fork(self):
        """Return a store for a child."""
        return Shared(self._window, self._clock)

    def close(self):
        """Record that the store was closed."""
        self.closed = True


@pytest.fixture
def clock(monkeypatch):
    """Replace the process's clock by one that only the test advances."""
    fake = SimpleNamespace(now=100.0)
    fake.monotonic = lambda: fake.now
    monkeypatch.setattr(memory_fallback, "time", fake)
    return fake


@pytest.fixture
def shared(clock):
    """Return a store for two calls per minute, with its own clock."""
    return Shared(SlidingWindow(limit=2, probing=False), lambda: clock.now + 5000.0)


@pytest.fixture
def logged(caplog):
    """Return a function that lists the log messages."""
    caplog.set_level(logging.INFO, "electronhub_embeddings")
    return lambda: [(record.levelname, record.getMessage()) for record in caplog.records]


def look(window, now):
    """Return the arguments of a change."""
    return window, now


def acquire(slot):
    """Return a change that acquires a slot."""
    return lambda window, now: window.acquire(now, slot, max_duration=70.0)


def complete(slot):
    """Return a change that completes a slot of a call that was counted now."""
    return lambda window, now: window.complete(now, slot, RateLimitHeaders(), counted=now, good=True)


def wait(store):
    """Ask a store for the seconds until a call can start."""
    return store.update(lambda window, now: window.delay(now))


def test_it_is_a_store(shared):
    """It implements `RateLimitStore`, and polls as often as the shared store."""
    assert isinstance(MemoryFallback(shared), RateLimitStore)
    assert MemoryFallback(shared).poll == 0.25


def test_while_all_is_well_the_shared_store_counts(shared, logged):
    """Changes are applied in the shared store, with its clock."""
    store = MemoryFallback(shared)
    assert store.update(acquire("a")) is None
    window, now = shared.update(look)
    assert (now, list(window.slots.in_flight)) == (5100.0, ["a"])
    assert logged() == []


def test_the_first_failure_is_raised(shared, logged):
    """The errors of a store that has never worked are always raised."""
    shared.down, store = True, MemoryFallback(shared)
    for _ in range(2):
        with pytest.raises(OSError, match="it is gone"):
            store.update(acquire("a"))
    assert logged() == []
    shared.down = False
    store.update(acquire("a"))
    assert list(shared.update(look)[0].slots.in_flight) == ["a"]


def test_a_later_failure_is_a_warning(shared, logged):
    """The limiter continues in memory with the known slots, and logs that once."""
    store = MemoryFallback(shared)
    store.update(acquire("a"))
    shared.down = True
    assert store.update(acquire("b")) is None
    assert store.update(acquire("c")) is not None
    assert list(store.update(look)[0].slots.in_flight) == ["a", "b"]
    assert logged() == [("WARNING", FAILED)]


def test_time_goes_on_alone(shared, clock):
    """A slot of the shared store is released in memory at the same time as it would have been there."""
    store = MemoryFallback(shared)
    for slot in "ab":
        store.update(acquire(slot))
        store.update(complete(slot))
    clock.now += 20.0
    shared.down = True
    assert pytest.approx(HOLD - 20.0) == wait(store)
    clock.now += 15.0
    assert pytest.approx(HOLD - 35.0) == wait(store)
    clock.now += HOLD - 35.0
    assert wait(store) == 0.0


def test_a_change_that_was_not_kept_is_applied_once(clock):
    """A store that fails after it has applied a change, as by a lost connection, costs no second slot."""

    class Forgetful(Shared):
        def update(self, change):
            if not self.down:
                return super().update(change)
            change(copy.deepcopy(self._window), self._clock())
            raise OSError("it is gone")

    forgetful = Forgetful(SlidingWindow(limit=2, probing=False), lambda: clock.now + 5000.0)
    store = MemoryFallback(forgetful)
    store.update(acquire("a"))
    forgetful.down = True
    assert store.update(acquire("b")) is None
    assert list(store.update(look)[0].slots.in_flight) == ["a", "b"]


def test_threads_that_fail_together_go_alone_together(clock, logged):
    """Calls that hit the failure at the same time share one fallback, with one warning."""
    meeting = threading.Barrier(2)

    class Hanging(Shared):
        def update(self, change):
            if not self.down:
                return super().update(change)
            with suppress(threading.BrokenBarrierError):
                meeting.wait(0.5)
            raise OSError("it is gone")

    hanging = Hanging(SlidingWindow(limit=5, probing=False), lambda: clock.now + 5000.0)
    store = MemoryFallback(hanging)
    store.update(acquire("a"))
    hanging.down = True
    threads = [threading.Thread(target=store.update, args=(acquire(slot),)) for slot in "bc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(store.update(look)[0].slots.in_flight) == ["a", "b", "c"]
    assert logged() == [("WARNING", FAILED)]


def test_it_is_tried_again_after_a_while(shared, clock, logged):
    """Attempts to return to the store are RETRY_INTERVAL seconds apart, and failed ones are not logged."""
    store = MemoryFallback(shared)
    store.update(acquire("a"))
    shared.down = True
    store.update(look)
    attempts = []
    for seconds in (0.0, RETRY_INTERVAL - 0.1, 0.1, RETRY_INTERVAL - 0.1, 0.1):
        clock.now += seconds
        store.update(look)
        attempts.append(shared.attempts)
    assert attempts == [2, 2, 3, 3, 4]
    assert logged() == [("WARNING", FAILED)]


def test_what_was_counted_alone_is_adopted(shared, clock, logged):
    """When the store works again, the slots acquired meanwhile are merged with those of other processes."""
    shared.update(lambda window, _: setattr(window, "limit", 10))
    store = MemoryFallback(shared)
    store.update(acquire("a"))
    shared.down = True
    store.update(complete("a"))
    store.update(acquire("b"))
    shared.down = False
    shared.update(acquire("of others"))
    clock.now += RETRY_INTERVAL
    store.update(acquire("c"))
    window, now = shared.update(look)
    assert sorted(window.slots.in_flight) == ["b", "c", "of others"]
    assert window.slots.in_flight["b"][0] == now - RETRY_INTERVAL
    assert {"a": pytest.approx(now - RETRY_INTERVAL + HOLD)} == window.slots.held
    assert logged() == [("WARNING", FAILED), ("WARNING", BACK)]
    store.update(acquire("d"))
    assert len(logged()) == 2


def test_a_store_that_comes_back_with_another_clock(shared, clock):
    """Slots acquired in memory are held for their full time, whatever the store's clock says."""
    store = MemoryFallback(shared)
    store.update(acquire("a"))
    shared.down = True
    store.update(acquire("b"))
    store.update(complete("b"))
    shared.down = False
    shared._window, shared._clock = SlidingWindow(limit=1, probing=False), lambda: clock.now - 50.0  # a new server
    clock.now += RETRY_INTERVAL
    assert pytest.approx(HOLD - RETRY_INTERVAL) == store.update(
        lambda window, now: max(end for end in window.slots.held.values()) - now
    )


def test_it_may_fail_again(shared, clock, logged):
    """Each failure and each return is logged."""
    store = MemoryFallback(shared)
    store.update(look)
    for _ in range(2):
        shared.down = True
        store.update(look)
        shared.down = False
        clock.now += RETRY_INTERVAL
        store.update(look)
    assert logged() == [("WARNING", FAILED), ("WARNING", BACK)] * 2


def test_a_child_process_guards_a_store_of_its_own(shared):
    """After a fork, the child has a new store, whose first failure is raised."""
    store = MemoryFallback(shared)
    store.update(acquire("a"))
    child = store.after_fork()
    assert list(child.update(look)[0].slots.in_flight) == ["a"]
    fresh = store.after_fork()
    fresh._shared.down = True
    with pytest.raises(OSError, match="it is gone"):
        fresh.update(look)


def test_closing_closes_what_is_guarded(shared):
    """The same while the store is failing."""
    MemoryFallback(shared).close()
    assert shared.closed
