"""A store that a client names takes over from the default one, with what is known; two named ones are refused."""

import os
import threading
from contextlib import closing as closing_now
from types import SimpleNamespace

import pytest
from entry_points import same
from window_changes import acquire, complete, look

from electronhub_embeddings import ElectronHubError, RateLimitError, StoreConflictError
from electronhub_embeddings._config.account import Account
from electronhub_embeddings._config.secret import Secret
from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow
from electronhub_embeddings._storage.state_folder import state_file
from electronhub_embeddings._workers import window_keeper
from electronhub_embeddings._workers.window_keeper import WindowKeeper
from electronhub_embeddings.rate_limit_stores import open_store
from electronhub_embeddings.rate_limit_stores.default_store import NAME
from electronhub_embeddings.rate_limit_stores.memory import MemoryStore
from electronhub_embeddings.rate_limit_stores.sqlite import SQLiteStore


@pytest.fixture
def path(tmp_path):
    """Return the path of a file."""
    return str(tmp_path / "limits.db")


def window_in(path, service):
    """Return the window of a service's account in a file."""
    name = Account(service.base_url, Secret(service.api_key)).name
    with closing_now(SQLiteStore(str(path), name)) as store:
        return store.update(look)[0]


# Through clients.


def test_a_named_store_takes_over(entry_point, emulator, path):
    """The store that a later client names has the requests of the first, which goes on in it."""
    service = emulator(rpm=3)
    first = entry_point.make(service, max_wait=0, dimensions=8)
    entry_point.query(first, "one")
    second = entry_point.make(service, max_wait=0, dimensions=8, rate_limit_store=path)
    assert same(entry_point.query(second, "two"), service.vector("two", dimensions=8))
    assert same(entry_point.query(first, "three"), service.vector("three", dimensions=8))
    for model in (first, second):
        with pytest.raises(RateLimitError):
            entry_point.query(model, "four")
    assert len(window_in(path, service).slots.held) == 3
    assert len(window_in(state_file(NAME), service).slots.held) == 1
    assert [call.status for call in service.calls] == [200] * 3


def test_memory_and_a_store_of_ones_own_take_over(client, emulator):
    """So do "memory" and an object."""
    for store in ("memory", MemoryStore()):
        service = emulator(rpm=2)
        client(service, max_wait=0).embed_query("one")
        client(service, max_wait=0, rate_limit_store=store).embed_query("two")
        with pytest.raises(RateLimitError):
            client(service, max_wait=0).embed_query("three")
        assert [call.status for call in service.calls] == [200] * 2


def test_a_store_takes_over_in_the_middle_of_a_call(client, emulator, hold, path, until):
    """A request on the wire is completed in the new store."""
    service = emulator(rpm=3, faults=[None, hold.fault])
    first = client(service, dimensions=8)
    first.embed(["before"])
    thread = threading.Thread(target=first.embed, args=(hold.texts,))
    thread.start()
    until(lambda: len(service.calls) == 2)
    second = client(service, dimensions=8, rate_limit_store=path, max_wait=0)
    second.embed_query("meanwhile")
    assert len(window_in(path, service).slots.in_flight) == 1
    hold.release()
    thread.join()
    until(lambda: len(window_in(path, service).slots.held) == 3)
    assert window_in(path, service).slots.in_flight == {}
    with pytest.raises(RateLimitError):
        second.embed_query("one too many")
    assert [call.status for call in service.calls] == [200] * 3


def test_a_store_that_cannot_be_opened_does_not_stay(client, emulator, tmp_path):
    """The client that names it is told, and the one that names none goes on in the default store."""
    service = emulator(rpm=3)
    first = client(service, max_wait=0)
    first.embed_query("one")
    wrong = client(service, max_wait=0, rate_limit_store=tmp_path / "nowhere" / "limits.db")
    for _ in range(2):
        with pytest.raises(ElectronHubError, match=r"rate limit store failed.*nowhere"):
            wrong.embed_query("never sent")
    first.embed_query("two")
    first.embed_query("three")
    with pytest.raises(RateLimitError):
        first.embed_query("four")
    assert [call.status for call in service.calls] == [200] * 3


def test_the_next_store_knows_of_the_last_one(client, emulator, path):
    """After the last client of a file has closed, a client that names nothing knows of its requests."""
    service = emulator(rpm=1)
    with client(service, rate_limit_store=path) as ours:
        ours.embed_query("one")
    with pytest.raises(RateLimitError):
        client(service, max_wait=0).embed_query("two")
    assert len(service.calls) == 1


def test_two_named_stores_are_refused(entry_point, emulator, path, tmp_path):
    """The error is an `ElectronHubError` and a `ValueError`, and names the cure, which works."""
    service = emulator(rpm=0)
    first = entry_point.make(service, rate_limit_store=path)
    entry_point.query(first, "one")
    second = entry_point.make(service, rate_limit_store=tmp_path / "other.db")
    with pytest.raises(StoreConflictError, match=r"same store in rate_limit_store, or close the others") as caught:
        entry_point.query(second, "two")
    assert isinstance(caught.value, ElectronHubError)
    assert isinstance(caught.value, ValueError)
    assert path not in str(caught.value)
    first.close()
    entry_point.query(second, "two")
    assert len(service.calls) == 2


def test_memory_is_no_path(client, emulator, tmp_path, monkeypatch):
    """A file of that name in the current directory is another store."""
    monkeypatch.chdir(tmp_path)
    service = emulator(rpm=0)
    client(service, rate_limit_store="memory").embed_query("one")
    with pytest.raises(StoreConflictError):
        client(service, rate_limit_store="./memory").embed_query("two")
    other = emulator(rpm=0)
    client(other, rate_limit_store="./memory").embed_query("one")
    assert os.listdir(tmp_path)[0].startswith("memory")  # noqa: PTH208 - the name is enough


# Of the keeper.


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
