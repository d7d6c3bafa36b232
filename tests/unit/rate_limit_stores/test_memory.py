"""The store of one process: changes are atomic, use the store's own clock, and work after a fork."""

import sys
import threading
from itertools import count

import pytest

from electronhub_embeddings._rate_limit.rate_limit_headers import RateLimitHeaders
from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow
from electronhub_embeddings.rate_limit_stores import RateLimitStore
from electronhub_embeddings.rate_limit_stores.memory import MemoryStore


def look(window, now):
    """Return the arguments of a change."""
    return window, now


@pytest.fixture
def quick_switching():
    """Make the interpreter switch threads as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_it_is_a_store():
    """It implements `RateLimitStore`."""
    assert isinstance(MemoryStore(), RateLimitStore)
    assert MemoryStore.poll is None


def test_changes_are_kept_and_answered_on_the_store_s_clock():
    """A change sees the window as left by the previous change, and the time of the injected clock."""
    times = iter([5.0, 6.5])
    store = MemoryStore(clock=lambda: next(times))
    assert store.update(lambda window, now: window.acquire(now, "a", max_duration=70.0)) is None
    window, now = store.update(look)
    assert (now, window.slots.in_flight) == (6.5, {"a": (5.0, 75.0)})


def test_two_stores_share_nothing():
    """Each account has its own window."""
    one, other = MemoryStore(clock=float), MemoryStore(clock=float)
    one.update(lambda window, now: window.acquire(now, "a", max_duration=70.0))
    assert SlidingWindow() == other.update(look)[0]


def test_a_window_to_begin_with():
    """A window can have another period."""
    store = MemoryStore(SlidingWindow(limit=1, period=10.0, probing=False), clock=float)
    store.update(lambda window, now: window.acquire(now, "a", max_duration=70.0))
    store.update(lambda window, now: window.complete(now, "a", RateLimitHeaders(), counted=now, good=True))
    assert pytest.approx(10.1) == store.update(lambda window, now: window.delay(now))


def test_a_change_that_raises_leaves_the_store_usable():
    """An error in a change is raised to the caller; the next change works."""
    store = MemoryStore(clock=float)
    with pytest.raises(ZeroDivisionError):
        store.update(lambda *_: 1 / 0)
    assert store.update(lambda _window, now: now) == 0.0


@pytest.mark.usefixtures("quick_switching")
def test_no_two_changes_at_once():
    """If many threads compete for the last slots, exactly as many get one as there are slots."""
    store = MemoryStore(SlidingWindow(limit=100, probing=False), clock=float)
    inside, most, started, names = 0, 0, [], count()

    def change(window, now):
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        pause = window.acquire(now, str(next(names)), max_duration=70.0)
        inside -= 1
        return pause

    def work():
        started.extend(None for _ in range(40) if store.update(change) is None)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, len(started)) == (1, 100)


def test_a_child_process_finds_what_was_counted_and_no_lock():
    """After a fork while another thread holds the lock, the child's store works, and calls in flight count as lost."""
    store = MemoryStore(SlidingWindow(limit=1, probing=False), clock=lambda: 5.0)
    store.update(lambda window, now: window.acquire(now, "of the parent", max_duration=70.0))
    children = []

    def fork(*_):
        children.append(store.after_fork())
        return children[0]._lock.locked()  # asked here, for to use a lock that is held would wait for ever

    assert store.update(fork) is False
    window, now = children[0].update(look)
    assert (now, window.slots.in_flight, list(window.slots.held)) == (5.0, {}, ["of the parent"])
    assert children[0].update(lambda window, now: window.acquire(now, "b", max_duration=70.0)) is not None
