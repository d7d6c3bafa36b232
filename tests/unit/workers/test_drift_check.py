"""The check against the reference vectors in cache files, whatever state these are in."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest

from electronhub_embeddings import ModelChangedError
from electronhub_embeddings._codec.reference_vector import REFERENCE_TEXT
from electronhub_embeddings._storage.vector_cache import VectorCache
from support.cache_files import contents, overwrite
from support.entry_points import expected_vectors, same

TEXTS = [f"text {number}" for number in range(6)]


def test_a_file_that_was_replaced_is_another_one(client, emulator, cache_path, forget_checks):
    """After the file is deleted, the cache is used again, in this process as well."""
    service = emulator(rpm=0)
    client(service, cache=cache_path).embed(TEXTS)
    forget_checks()
    service.model_version = 2
    with client(service, cache=cache_path, on_model_change="raise") as ours, pytest.raises(ModelChangedError):
        ours.embed(["new"])
    for file in cache_path.parent.glob(f"{cache_path.name}*"):
        file.unlink()
    with client(service, cache=cache_path, on_model_change="raise") as again:
        assert same(again.embed(TEXTS), expected_vectors(service, TEXTS))
        assert same(again.embed(TEXTS), expected_vectors(service, TEXTS))
        assert again.usage.cache_hits == len(TEXTS)


def test_each_cache_has_its_own_reference(client, emulator, hold, tmp_path, forget_checks, waiting, until):  # noqa: PLR0917
    """Clients whose texts share a request are told apart: only the cache of one has the old model's vectors."""
    service = emulator(rpm=0)
    for name, version in (("old.db", 1), ("new.db", 2)):
        service.model_version = version
        client(service, cache=tmp_path / name).embed(["seen"])
    forget_checks()
    service.reset()
    options = [{"cache": tmp_path / "old.db"}, {"cache": tmp_path / "new.db"}, {}]
    clients = [client(service, **one, max_concurrency=1, on_model_change="raise") for one in options]
    service.script(hold.fault)
    with ThreadPoolExecutor(4) as pool:
        held = pool.submit(clients[2].embed, hold.texts)
        until(lambda: len(service.calls) == 1)
        asked = [pool.submit(one.embed, [f"new {number}"]) for number, one in enumerate(clients)]
        until(lambda: [waiting(one) for one in clients] == [1, 1, 1])
        hold.release()
        held.result()
        with pytest.raises(ModelChangedError, match=r"old\.db"):
            asked[0].result()
        for number in (1, 2):
            assert same(asked[number].result(), expected_vectors(service, [f"new {number}"]))
    assert len(service.calls) == 2
    assert [len(contents(tmp_path / name)) for name in ("old.db", "new.db")] == [2, 3]


def test_a_cache_that_cannot_be_checked_is_not_written(  # noqa: PLR0917 - fixtures
    client, emulator, cache_path, forget_checks, monkeypatch, caplog
):
    """If the reference vector cannot be read, vectors are returned and not kept, with one warning in the log."""
    service = emulator(rpm=0)
    client(service, cache=cache_path).embed(TEXTS)
    forget_checks()
    before, read = contents(cache_path), VectorCache._select

    def fail(self, keys):
        if keys == [self._key(REFERENCE_TEXT)]:
            raise sqlite3.OperationalError("disk I/O error")
        return read(self, keys)

    monkeypatch.setattr(VectorCache, "_select", fail)
    ours = client(service, cache=cache_path, on_model_change="raise")
    for text in ("one", "two"):
        assert same(ours.embed([text]), expected_vectors(service, [text]))
    assert contents(cache_path) == before
    assert ["cannot be written" in record.getMessage() for record in caplog.records] == [True]


@pytest.mark.parametrize("damage", [lambda vector: vector[:-8], lambda vector: b"\xff" * len(vector)])
def test_a_damaged_reference_is_made_anew(client, emulator, cache_path, forget_checks, damage):
    """A reference vector that no answer could be is replaced by the next one."""
    service = emulator(rpm=0)
    client(service, cache=cache_path, dimensions=8).embed(["one"])
    reference = client(service, cache=cache_path, dimensions=8)._lifecycle._cache
    key = reference._key(REFERENCE_TEXT)
    overwrite(cache_path, key, damage(contents(cache_path)[key][:-4]))
    forget_checks()
    ours = client(service, cache=cache_path, dimensions=8, on_model_change="raise")
    ours.embed(["two"])
    assert same(reference.recall_reference(), service.vector(REFERENCE_TEXT, dimensions=8))
