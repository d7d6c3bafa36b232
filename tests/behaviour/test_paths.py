"""Paths: resolved once at construction, and only files of this package are accepted."""

import contextlib
import copy
import gc
import os
import pickle
import sqlite3
import stat
import threading
from pathlib import Path

import pytest

from electronhub_embeddings import CacheError, ElectronHubError, RateLimitError
from electronhub_embeddings._config.paths import absolute_path, file_identity
from electronhub_embeddings._workers import account_workers
from electronhub_embeddings.rate_limit_stores import is_replaceable, same_store
from electronhub_embeddings.rate_limit_stores.memory import MemoryStore
from electronhub_embeddings.rate_limit_stores.memory_fallback import MemoryFallback
from electronhub_embeddings.rate_limit_stores.sqlite import SQLiteStore
from support.entry_points import SYNC, expected_vectors, paired, same
from support.window_changes import look

ARGUMENTS = ["cache", "rate_limit_store"]

TEXTS = ["one", "two"]


class BytesPath:
    """A path-like object whose path is bytes."""

    def __fspath__(self):
        return b"limit.sqlite"

    def __repr__(self):
        return "BytesPath()"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Return an empty directory, which is the current one."""
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def elsewhere(tmp_path):
    """Return another empty directory."""
    place = tmp_path / "elsewhere"
    place.mkdir()
    return place


# What is refused.


@pytest.mark.parametrize("entry_point", SYNC, indirect=True)
@pytest.mark.parametrize("argument", ARGUMENTS)
@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("", "empty string"),
        ("limit\0.sqlite", "null byte"),
        (Path("limit\0.sqlite"), "null byte"),
        (":memory:", "':memory:'"),
        (Path(":memory:"), "':memory:'"),
        ("file:limit.sqlite", "URL"),
        ("file:///tmp/limit.sqlite?mode=ro", "URL"),
        ("FILE:limit.sqlite", "URL"),
        ("postgresql://localhost/limit", "URL"),
        ("\ud800.sqlite", "cannot encode"),
        (BytesPath(), "bytes"),
        (".", "directory"),
        ("nowhere/", "directory"),
        (Path("folder"), "directory"),
    ],
    ids=repr,
)
def test_what_cannot_be_a_file_is_refused_at_once(entry_point, emulator, here, *, argument, wrong, why):
    """The error names the argument, says what is wrong and what None would do; no file is created."""
    (here / "folder").mkdir()
    service = emulator(rpm=0)
    with pytest.raises(ValueError, match=rf"{argument} must be a path to a file, not .*{why}.*None keeps") as caught:
        entry_point.make(service, **{argument: wrong})
    assert "null byte" in why or "embedded" not in str(caught.value)
    assert os.listdir(here) == ["folder"]  # noqa: PTH208 - the names are enough


def test_a_url_is_not_quoted():
    """The value may contain a password."""
    with pytest.raises(ValueError, match="a URL") as caught:
        absolute_path("cache", "postgresql://me:canary@localhost/limit", "None keeps no vectors")
    assert "canary" not in str(caught.value)


# One file, from then on.

DOUBLES = {
    "itself": lambda thing: thing,
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda thing: pickle.loads(pickle.dumps(thing)),  # noqa: S301 - our own
}


@pytest.mark.parametrize(
    ("entry_point", "argument", "double"),
    paired({f"{it}, {name}": (it, double) for it in ARGUMENTS for name, double in DOUBLES.items()}),
    indirect=["entry_point"],
)
def test_a_relative_path_means_the_same_after_a_change_of_directory(
    entry_point, closing, emulator, here, elsewhere, *, monkeypatch, argument, double
):
    """An object and its copies use the file as resolved at construction, and create no other."""
    service = emulator(rpm=0)
    thing = entry_point.make(service, **{argument: "file.sqlite"})
    monkeypatch.chdir(elsewhere)
    entry_point.query(closing(double(thing)), "one")
    assert (here / "file.sqlite").exists()
    assert list(elsewhere.iterdir()) == []


def test_a_closed_client_opens_the_same_file_again(client, emulator, here, elsewhere, monkeypatch):
    """Requests sent before a change of directory count after it."""
    service = emulator(rpm=1)
    ours = client(service, rate_limit_store="limit.sqlite", max_wait=0)
    ours.embed_query("one")
    ours.close()
    monkeypatch.chdir(elsewhere)
    ours.reopen()
    with pytest.raises(RateLimitError):
        ours.embed_query("two")
    assert (here / "limit.sqlite").exists()
    assert list(elsewhere.iterdir()) == []


@pytest.mark.usefixtures("here")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # of a fork with threads
def test_a_child_process_elsewhere_uses_the_same_file(client, emulator, elsewhere):
    """A forked child that changes its directory still opens its parent's file."""
    service = emulator(rpm=0)
    ours = client(service, rate_limit_store="limit.sqlite")
    ours.embed_query("before")
    pid = os.fork()
    if pid == 0:
        os.chdir(elsewhere)
        os._exit(0 if same(ours.embed_query("child"), service.vector("child")) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert list(elsewhere.iterdir()) == []


def test_names_of_one_file_are_one_store(client, emulator, here, elsewhere):
    """Clients that name the same file share it: as strings or paths, relative, absolute or through links."""
    service = emulator(rpm=0)
    (elsewhere / "link.sqlite").symlink_to(here / "limit.sqlite")
    (elsewhere / "linked").symlink_to(here)
    names = [
        "limit.sqlite",
        Path("limit.sqlite"),
        "./limit.sqlite",
        here / "limit.sqlite",
        f"{here}//x/../limit.sqlite",
        elsewhere / "link.sqlite",
        elsewhere / "linked" / "limit.sqlite",
    ]
    for number, name in enumerate(names):
        client(service, rate_limit_store=name).embed_query(f"text {number}")
    with pytest.raises(ValueError, match="same store"):
        client(service, rate_limit_store="another.sqlite").embed_query("one")
    assert len(service.calls) == len(names)


def test_what_is_one_store(here):
    """URLs are compared as strings, and stores by identity."""
    store = MemoryStore()
    assert same_store(store, store)
    assert not same_store(store, MemoryStore())
    assert same_store("redis://host/0", "redis://host/0")
    assert not same_store("redis://host/0", "redis://host")
    assert not same_store("redis://host/0", str(here / "limit.sqlite"))
    assert not same_store(None, str(here / "limit.sqlite"))
    assert file_identity(str(here / "a")) != file_identity(str(here / "b"))


# A mistyped path.


def fail(entry_point, thing):
    """Embed a query with a store that cannot be opened."""
    with pytest.raises(ElectronHubError, match="rate limit store failed"):
        entry_point.query(thing, "one")


@pytest.mark.parametrize("corrected", ["limit.sqlite", None], ids=["a path", "none"])
def test_a_mistyped_path_does_not_lock_out_the_corrected_one(entry_point, emulator, here, corrected):
    """A corrected path works although the first object still exists, as in a notebook; the first one still raises."""
    service = emulator(rpm=0)
    mistyped = entry_point.make(service, rate_limit_store=here / "nowhere" / "limit.sqlite")
    for _ in range(2):
        fail(entry_point, mistyped)
    thing = entry_point.make(service, rate_limit_store=corrected)
    assert same(entry_point.query(thing, "one"), service.vector("one"))
    with pytest.raises(ElectronHubError, match="same store" if corrected else "rate limit store failed"):
        entry_point.query(mistyped, "two")
    assert same(entry_point.query(thing, "three"), service.vector("three"))
    assert len(service.calls) == 2


def test_a_path_that_works_is_kept(client, emulator, here):
    """Two working files would exceed the limit together, even after a failure of the first."""
    service = emulator(rpm=0)
    first = client(service, rate_limit_store=here / "later" / "limit.sqlite")
    with pytest.raises(ElectronHubError, match="rate limit store failed"):
        first.embed_query("one")
    (here / "later").mkdir()
    first.embed_query("one")
    with pytest.raises(ValueError, match="same store"):
        client(service, rate_limit_store="limit.sqlite").embed_query("two")
    client(service).embed_query("three")
    assert len(service.calls) == 2


@pytest.mark.usefixtures("here")
def test_a_client_that_is_gone_keeps_no_path(client, emulator):
    """A path is released with its last client, whether closed or garbage-collected."""
    service = emulator(rpm=0)
    first = client(service, rate_limit_store="one.sqlite")
    first.embed_query("one")
    first.close()
    second = copy.copy(client(service, rate_limit_store="two.sqlite"))
    second.embed_query("two")
    del second
    gc.collect()
    client(service, rate_limit_store="three.sqlite").embed_query("three")
    assert len(service.calls) == 3


@pytest.mark.usefixtures("here")
def test_a_call_that_waits_for_its_store_keeps_it(client, emulator, monkeypatch):
    """A store is not replaced during a call, which may be opening the file."""
    service = emulator(rpm=0)
    asked, answer = threading.Event(), threading.Event()
    update = SQLiteStore.update

    def slowly(self, change):
        asked.set()
        assert answer.wait(30)
        return update(self, change)

    monkeypatch.setattr(SQLiteStore, "update", slowly)
    monkeypatch.setattr(account_workers, "STATE_TIMEOUT", 0.2)  # the workers are busy for longer than that
    first = client(service, rate_limit_store="limit.sqlite")
    thread = threading.Thread(target=first.embed_query, args=("one",))
    thread.start()
    try:
        assert asked.wait(30)
        with pytest.raises(ValueError, match="same store"):
            client(service, rate_limit_store="another.sqlite").embed_query("two")
    finally:
        answer.set()
        thread.join()
    assert len(service.calls) == 1


def test_only_what_never_worked_is_replaceable():
    """A custom store is never replaced, nor is one that has worked, even in the parent of a fork."""
    path, other = "/limits/one.sqlite", "/limits/two.sqlite"
    assert not is_replaceable(MemoryStore(), None, path)
    guarded = MemoryFallback(MemoryStore())
    assert is_replaceable(guarded, path, other)
    assert not is_replaceable(guarded, path, path)
    assert not is_replaceable(guarded, path, None)
    guarded.has_failed = True
    assert is_replaceable(guarded.after_fork(), path, None)
    guarded.update(look)
    assert not is_replaceable(guarded, path, other)
    assert not is_replaceable(guarded.after_fork(), path, None)


# Somebody else's file.


def text(path):
    """Write something that is not a database."""
    path.write_bytes(b"Dear diary, " * 1000)


def line(path):
    """Write less than the header of a database."""
    path.write_bytes(b"Dear diary")


def database(path):
    """Create an ordinary database."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE diary (day TEXT)")


def database_in_wal_mode(path):
    """Create a database in WAL mode, like those of this package."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE diary (day TEXT)")


def numbered_database(path):
    """Create an empty database with another program's application id."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA application_id = 252006674")


def interrupted_database(path):
    """Create a database whose program was killed: its newest change is only in the WAL."""
    whole = path.with_name("whole")
    with contextlib.closing(sqlite3.connect(whole, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE diary (day TEXT)")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("INSERT INTO diary VALUES ('Monday')")
        path.write_bytes(whole.read_bytes())
        path.with_name(f"{path.name}-wal").write_bytes(whole.with_name("whole-wal").read_bytes())
    whole.unlink()


FOREIGN = [text, line, database, database_in_wal_mode, numbered_database, interrupted_database]


@pytest.mark.parametrize("make", FOREIGN)
@pytest.mark.parametrize("argument", ARGUMENTS)
def test_a_file_of_something_else_is_left_as_it_is(client, emulator, here, argument, make):
    """Another program's file is rejected with advice; nothing is sent, and no file is changed."""
    make(here / "app.db")
    before = {file.name: file.read_bytes() for file in here.iterdir()}
    service = emulator(rpm=0)
    ours = client(service, **{argument: "app.db"})
    for _ in range(2):
        with pytest.raises(ElectronHubError, match=r"app\.db.*left as it was.*Name a") as caught:
            ours.embed(TEXTS)
        assert isinstance(caught.value, CacheError) is (argument == "cache")
    ours.close()
    assert {file.name: file.read_bytes() for file in here.iterdir()} == before
    assert service.calls == []


@pytest.mark.usefixtures("here")
def test_a_database_in_use_is_left_as_it_is(client, emulator):
    """The other program can still use its file, in its own journal mode, and finds no table of this package."""
    service = emulator(rpm=0)
    with contextlib.closing(sqlite3.connect("app.db", isolation_level=None)) as app:
        app.execute("CREATE TABLE diary (day TEXT)")
        app.execute("BEGIN IMMEDIATE")
        app.execute("INSERT INTO diary VALUES ('Monday')")
        for argument in ARGUMENTS:
            with pytest.raises(ElectronHubError, match="database of something else"):
                client(service, **{argument: "app.db"}).embed(TEXTS)
        app.execute("COMMIT")
        assert app.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert app.execute("SELECT name FROM sqlite_master").fetchall() == [("diary",)]


@pytest.mark.usefixtures("here")
def test_a_cache_is_not_a_store_nor_a_store_a_cache(client, emulator):
    """A cache file is rejected as a rate limit store, and vice versa."""
    service = emulator(rpm=0)
    with client(service, cache="vectors.sqlite", rate_limit_store="limit.sqlite") as ours:
        ours.embed(TEXTS)
    with pytest.raises(ElectronHubError, match=r"vectors\.sqlite cannot keep the rate limit"):
        client(service, rate_limit_store="vectors.sqlite").embed(TEXTS)
    with pytest.raises(CacheError, match=r"limit\.sqlite cannot be a cache"):
        client(service, cache="limit.sqlite").embed(TEXTS)


def test_an_empty_file_becomes_ours(client, emulator, here):
    """An empty file is accepted."""
    service = emulator(rpm=0)
    for name in ("vectors.sqlite", "limit.sqlite"):
        (here / name).touch()
    ours = client(service, cache="vectors.sqlite", rate_limit_store="limit.sqlite")
    assert same(ours.embed(TEXTS), expected_vectors(service, TEXTS))


# Permissions.


@pytest.mark.skipif(os.name != "posix", reason="needs permissions")
@pytest.mark.parametrize("argument", ARGUMENTS)
def test_a_link_to_a_file_that_is_not_there_yet(client, emulator, here, elsewhere, argument):
    """The target of a link is created with mode 0600, and so are SQLite's additional files."""
    (here / "link.sqlite").symlink_to(elsewhere / "target.sqlite")
    before = os.umask(0)
    try:
        client(emulator(rpm=0), **{argument: "link.sqlite"}).embed(TEXTS)
    finally:
        os.umask(before)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in elsewhere.iterdir()}
    assert modes == dict.fromkeys(["target.sqlite", "target.sqlite-wal", "target.sqlite-shm"], 0o600)
    assert [file.name for file in here.iterdir()] == ["link.sqlite"]
