"""A store that a client names takes over from the default one, with what is known; two named ones are refused."""

import os
import threading
from contextlib import closing as closing_now

import pytest

from electronhub_embeddings import ElectronHubError, RateLimitError, StoreConflictError
from electronhub_embeddings._config.account import Account
from electronhub_embeddings._config.secret import Secret
from electronhub_embeddings._storage.state_folder import state_file
from electronhub_embeddings.rate_limit_stores.default_store import NAME
from electronhub_embeddings.rate_limit_stores.memory import MemoryStore
from electronhub_embeddings.rate_limit_stores.sqlite import SQLiteStore
from support.child_processes import slow_except
from support.entry_points import ENTRY_POINTS, same
from support.window_changes import look


@pytest.fixture
def path(tmp_path):
    """Return the path of a file."""
    return str(tmp_path / "limits.db")


def window_in(path, service):
    """Return the window of a service's account in a file."""
    name = Account(service.base_url, Secret(service.api_key)).name
    with closing_now(SQLiteStore(str(path), name)) as store:
        return store.update(look)[0]


@pytest.mark.parametrize("entry_point", slow_except({"client sync", "LlamaIndex async"}, ENTRY_POINTS), indirect=True)
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
