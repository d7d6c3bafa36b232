"""The keeper of a window: no request is lost when another store takes over, or while the default one lags behind."""

from types import SimpleNamespace

import pytest

from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow
from electronhub_embeddings._workers import window_keeper
from electronhub_embeddings._workers.window_keeper import WindowKeeper
from electronhub_embeddings.rate_limit_stores import open_store
from electronhub_embeddings.rate_limit_stores.memory import MemoryStore
from support.window_changes import acquire, complete, look


def take(keeper, slot):
    """Acquire a slot; return whether there was one."""
    return keeper.update(acquire(slot)) is None


class Failing(MemoryStore):
    """A store that fails on demand, and counts how often it was closed."""

    fails = True
    closed = 0

    def update(self, change):
        """Apply the change, or fail."""
        if self.fails:
            raise OSError("it is gone")
        return super().update(change)

    def close(self):
        """Count."""
        self.closed += 1


def limited(limit):
    """Return a store with a limit."""
    return MemoryStore(SlidingWindow(limit=limit, probing=False))


def test_slots_move_with_the_window():
    """Held slots and those in flight are taken in the new store, too, where the latter are completed."""
    old, new = limited(3), limited(3)
    keeper = WindowKeeper(old, owns_store=False)
    assert take(keeper, "a")
    assert take(keeper, "b")
    old.update(complete("a"))
    keeper.replace_store(new, owns_store=False)
    assert keeper.store is new
    assert take(keeper, "c")
    assert not take(keeper, "d")
    keeper.update(complete("b"))
    window, _ = new.update(look)
    assert (sorted(window.slots.held), sorted(window.slots.in_flight)) == (["a", "b"], ["c"])
    assert "c" not in old.update(look)[0].slots.in_flight


def test_a_new_store_that_fails_gets_the_window_later():
    """Its error is raised, and the window is not lost; the old store is closed if it is ours."""
    old, new = Failing(SlidingWindow(limit=2, probing=False)), Failing(SlidingWindow(limit=2, probing=False))
    old.fails = False
    keeper = WindowKeeper(old, owns_store=True)
    assert take(keeper, "a")
    keeper.replace_store(new, owns_store=False)
    for _ in range(2):
        with pytest.raises(OSError, match="it is gone"):
            take(keeper, "b")
    assert not keeper.is_disposable
    third = keeper.with_store(limited(2), owns_store=False)
    assert [take(third, slot) for slot in "cd"] == [True, False]
    new.fails = False
    assert take(keeper, "b")
    assert not take(keeper, "c")
    assert (old.closed, new.closed) == (1, 0)


@pytest.mark.parametrize("is_used", [False, True])
def test_a_child_inherits_what_is_under_way(is_used):
    """A fork between the change of stores and the next request loses nothing."""
    old, new = limited(2), Failing(SlidingWindow(limit=2, probing=False))
    keeper = WindowKeeper(old, owns_store=False)
    assert take(keeper, "a")
    keeper.replace_store(new, owns_store=False)
    if is_used:
        with pytest.raises(OSError, match="it is gone"):
            take(keeper, "b")
    new.fails = False
    child = keeper.after_fork()
    assert take(child, "b")
    assert not take(child, "c")


def test_what_may_be_dropped(tmp_path, monkeypatch):
    """One whose window is in the default file, or empty; not one that knows more, nor one of a custom store."""
    keeper = WindowKeeper(open_store(None, "an account"), owns_store=True)
    assert take(keeper, "a")
    assert keeper.is_disposable
    keeper.close()
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    keeper = WindowKeeper(open_store(None, "an account"), owns_store=True)
    assert keeper.is_disposable
    assert take(keeper, "a")
    assert not keeper.is_disposable
    assert WindowKeeper(MemoryStore(), owns_store=False).is_disposable
    custom = SimpleNamespace(poll=None)
    assert not WindowKeeper(custom, owns_store=False).is_disposable
    memory = MemoryStore()
    memory.update(acquire("a"))
    assert not WindowKeeper(memory, owns_store=False).is_disposable


# While no limit is in force, the default store lags behind.


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Return a clock of the keeper, which is moved by hand."""
    fake = SimpleNamespace(now=100.0)
    monkeypatch.setattr(window_keeper, "time", SimpleNamespace(monotonic=lambda: fake.now))
    return fake


def lagging(**fields):
    """Return a store that may lag behind, and a keeper of its window, in which one request was accepted."""
    store = MemoryStore(SlidingWindow(probing=False, **fields))
    store.may_lag_behind = True
    keeper = WindowKeeper(store, owns_store=False)
    assert take(keeper, "a")
    return store, keeper


def slots_in(store):
    """Return the slots of the window in a store."""
    window, _ = store.update(look)
    return sorted([*window.slots.held, *window.slots.in_flight])


def test_without_a_limit_the_store_has_the_requests_a_second_later(clock):
    """A file is not written with each query to a service without limits."""
    store, keeper = lagging()
    keeper.update(complete("a"))
    assert take(keeper, "b")
    assert slots_in(store) == ["a"]
    clock.now += window_keeper.SHARE_INTERVAL
    assert take(keeper, "c")
    assert slots_in(store) == ["a", "b", "c"]
    assert sorted(store.update(look)[0].slots.held) == ["a"]


@pytest.mark.parametrize("news", ["a limit", "a refusal"])
def test_what_limits_requests_is_shared_at_once(news):
    """So are the requests before it."""
    store, keeper = lagging()
    assert take(keeper, "b")
    keeper.update(
        complete("a", limit=5) if news == "a limit" else lambda window, now: window.start_cooldown(now, 180.0)
    )
    assert slots_in(store) == ["a", "b"]
    window, now = store.update(look)
    assert not window.is_unlimited(now)
    assert take(keeper, "c") is (news == "a limit")
    assert ("c" in slots_in(store)) is (news == "a limit")


def test_with_a_limit_of_ones_own_each_request_is_shared():
    """`requests_per_minute` holds for all processes, whatever the service says."""
    store, keeper = lagging()
    assert take(keeper, "b")
    assert keeper.update(acquire("c", cap=5), cap=5) is None
    assert slots_in(store) == ["a", "b", "c"]


@pytest.mark.parametrize("end", ["closed", "replaced", "forked"])
def test_what_the_store_does_not_have_is_not_lost(clock, end):
    """It is shared when the keeper closes, when another store takes over, and when the process forks."""
    store, keeper = lagging()
    assert take(keeper, "b")
    other = MemoryStore()
    if end == "closed":
        keeper.close()
        other = store
    elif end == "replaced":
        keeper.replace_store(other, owns_store=False)
        assert take(keeper, "c")
    else:
        child = keeper.after_fork()
        clock.now += window_keeper.SHARE_INTERVAL
        assert take(child, "c")
        other = child.store
    assert slots_in(other) == ["a", "b", "c"][: 2 if end == "closed" else 3]


def test_a_store_that_was_named_never_lags_behind():
    """Only the default one does."""
    store = MemoryStore(SlidingWindow(probing=False))
    keeper = WindowKeeper(store, owns_store=False)
    assert [take(keeper, slot) for slot in "ab"] == [True, True]
    assert slots_in(store) == ["a", "b"]
