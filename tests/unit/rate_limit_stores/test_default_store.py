"""The limit is remembered where nothing is set: a file in the user's state folder, or memory with one warning."""

import os
import re
import sqlite3
import stat
import threading
import time
from contextlib import closing as closing_now
from pathlib import Path

import platformdirs
import pytest

from electronhub_embeddings import RateLimitError
from electronhub_embeddings._config.account import Account
from electronhub_embeddings._config.secret import Secret
from electronhub_embeddings._rate_limit import window_state
from electronhub_embeddings._storage.state_folder import state_file
from electronhub_embeddings.emulator import faults
from electronhub_embeddings.rate_limit_stores import default_store, open_store
from electronhub_embeddings.rate_limit_stores.default_store import BUSY_TIMEOUT, NAME
from electronhub_embeddings.rate_limit_stores.memory_fallback import RETRY_INTERVAL
from electronhub_embeddings.rate_limit_stores.sqlite import SQLiteStore
from support.child_processes import begin, finish, kill, release, slow_except
from support.entry_points import ENTRY_POINTS, same
from support.window_changes import look

pytestmark = pytest.mark.usefixtures("quick_retries")

TOO_LONG = 5.0
"""Seconds within which a call ends on a busy machine, although the store cannot be opened."""

SCRIPT = """
import sys
from electronhub_embeddings import EmbeddingsClient, RateLimitError
texts = [f"{sys.argv[1]} {number}" for number in range(int(sys.argv[2]))]
client = EmbeddingsClient(batch_size=1, dimensions=8, max_wait=1)
print("ready", flush=True)
sys.stdin.readline()
try:
    print(len(client.embed(texts)))
except RateLimitError as error:
    print(len(error.partial))
"""
"""Embeds so many texts, a request each, and prints how many vectors came; nothing is set, nothing is closed."""


@pytest.fixture(autouse=True)
def _no_warning_yet(monkeypatch):
    """Forget the warnings of other tests."""
    monkeypatch.setattr(default_store, "_warnings", set())


@pytest.fixture
def script():
    """Return a function that starts a process that embeds texts of a service, once it is released."""
    started = []

    def start(service, name, count):
        settings = {"ELECTRONHUB_API_KEY": service.api_key, "ELECTRONHUB_BASE_URL": service.base_url}
        (child,) = begin(SCRIPT, name, count, **settings)
        started.append(child)
        return child

    yield start
    for child in started:
        kill(child)


@pytest.fixture
def run(script):
    """Return a function that runs a process to its end, and returns how many vectors came."""

    def run(service, name, count):
        child = script(service, name, count)
        release([child])
        return int(finish([child])[0])

    return run


@pytest.fixture
def warned(caplog):
    """Return a function that lists the warnings."""
    return lambda: [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def beside(service):
    """Return the window of a service's account in the file."""
    with closing_now(SQLiteStore(str(state_file(NAME)), name_of(service))) as store:
        return store.update(look)[0]


def name_of(service):
    """Return the name of a service's account."""
    return Account(service.base_url, Secret(service.api_key)).name


def statuses(service):
    """Return the set of what was answered."""
    return {call.status for call in service.calls}


# Processes.


def test_a_script_started_again(run, emulator):
    """A second run within a minute knows that the first one has used the whole limit, and sends nothing."""
    service = emulator(rpm=5)
    assert (run(service, "first run", 5), run(service, "second run", 5)) == (5, 0)
    assert (statuses(service), len(service.calls)) == ({200}, 5)


@pytest.mark.parametrize("entry_point", slow_except({"LangChain async"}, ENTRY_POINTS), indirect=True)
def test_another_process_of_every_face(entry_point, run, emulator):
    """In every framework, the requests of another process count; nothing is set."""
    service = emulator(rpm=3)
    run(service, "elsewhere", 2)
    model = entry_point.make(service, max_wait=0, dimensions=8)
    assert same(entry_point.query(model, "one"), service.vector("one", dimensions=8))
    with pytest.raises(RateLimitError, match="max_wait") as caught:
        entry_point.query(model, "two")
    assert caught.value.retry_after == pytest.approx(60, abs=20)
    assert (statuses(service), len(service.calls)) == ({200}, 3)


def test_two_processes_at_once(script, emulator):
    """Together they get exactly what the limit allows, and none is refused."""
    service = emulator(rpm=6)
    children = [script(service, f"job {number}", 6) for number in range(2)]
    release(children)
    assert sum(map(int, finish(children))) == 6
    assert (statuses(service), len(service.calls)) == ({200}, 6)
    assert len(beside(service).slots.held) == 6


def test_a_killed_process_started_again(script, run, emulator, until):
    """After SIGKILL with a request in flight, the next run counts that request, too."""
    service = emulator(rpm=3, faults=[None, None, faults.delay(60.0)])
    victim = script(service, "victim", 3)
    release([victim])
    until(lambda: len(service.calls) >= 3)
    kill(victim)
    assert run(service, "again", 3) == 0
    assert (statuses(service) <= {200, None, 0}, len(service.calls)) == (True, 3)
    assert [call.limited for call in service.calls] == [False] * 3


# What is done when.


def test_nothing_is_made_before_the_first_text(entry_point, emulator, state_folder):
    """A constructor creates no folder and no file; the first text creates both."""
    service = emulator(rpm=5)
    model = entry_point.make(service, dimensions=8)
    assert not state_folder.exists()
    entry_point.query(model, "one")
    assert state_file(NAME).is_relative_to(state_folder)
    assert state_file(NAME).exists()


def test_only_workers_touch_the_file(entry_point, emulator, monkeypatch):
    """Neither a caller's thread nor an event loop reads or writes the file."""
    service, threads = emulator(rpm=5), set()
    update = SQLiteStore.update

    def watched(self, change):
        threads.add(threading.current_thread())
        return update(self, change)

    monkeypatch.setattr(SQLiteStore, "update", watched)
    entry_point.query(entry_point.make(service, dimensions=8), "one")
    assert threads
    assert threading.current_thread() not in threads


def test_memory_opts_out(entry_point, emulator, state_folder):
    """With "memory" nothing is created, and the limit is kept in the process."""
    service = emulator(rpm=1)
    model = entry_point.make(service, rate_limit_store="memory", max_wait=0, dimensions=8)
    entry_point.query(model, "one")
    with pytest.raises(RateLimitError):
        entry_point.query(model, "two")
    assert not state_folder.exists()
    assert len(service.calls) == 1


def test_a_client_made_anew_remembers_in_memory(client, emulator):
    """With "memory", requests count after the last client of the account is gone."""
    service = emulator(rpm=1)
    for error in (None, RateLimitError):
        with client(service, rate_limit_store="memory", max_wait=0) as ours:
            if error is None:
                ours.embed_query("one")
            else:
                with pytest.raises(error):
                    ours.embed_query("one")
    assert len(service.calls) == 1


@pytest.mark.skipif(os.name != "posix", reason="needs permissions")
def test_permissions(client, emulator, state_folder):
    """The folder has mode 0700 and its files 0600, however open the umask."""
    before = os.umask(0)
    try:
        client(emulator(rpm=5)).embed_query("one")
    finally:
        os.umask(before)
    folder = state_folder / "electronhub-embeddings"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}
    path = state_file(NAME)
    assert modes == dict.fromkeys([path.name, f"{path.name}-wal", f"{path.name}-shm"], 0o600)


def test_neither_keys_nor_texts_are_in_the_file(client, emulator):
    """Nor are addresses and vectors."""
    service = emulator(rpm=5)
    ours = client(service, rate_limit_store=None)
    ours.embed_query("a canary sings")
    found = b"".join(file.read_bytes() for file in state_file(NAME).parent.iterdir())
    ours.close()
    found += state_file(NAME).read_bytes()
    assert name_of(service).encode() in found
    for secret in (service.api_key, service.base_url.split("/")[2], "canary"):
        assert secret.encode() not in found


# What can go wrong.


def folder_that_is_a_file(path, _monkeypatch):
    """Put a file where the folder should be."""
    path.parent.parent.mkdir()
    path.parent.write_text("Dear diary", encoding="utf-8")
    return "delete|writable"


def no_home(_path, monkeypatch):
    """Let the home folder be one that cannot be made."""
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/proc/nowhere")
    return "writable"


def no_folder(_path, monkeypatch):
    """Let platformdirs find no home folder, as newer ones say."""

    def fail(*_, **__):
        raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr(platformdirs, "user_state_path", fail)
    return "could not determine"


def relative_home(_path, monkeypatch):
    """Let platformdirs find no home folder, as older ones say."""
    monkeypatch.setattr(platformdirs, "user_state_path", lambda *_, **__: Path("~/.local/state"))
    return "no home folder"


def read_only(_path, monkeypatch):
    """Let the state folder be on a file system that cannot be written."""
    monkeypatch.setenv("XDG_STATE_HOME", "/sys/kernel")
    return "writable"


def text(path, _monkeypatch):
    """Write a file that is not a database."""
    path.parent.mkdir(parents=True)
    path.write_bytes(b"Dear diary, " * 1000)
    return "not a database.*delete the file"


def damaged(path, _monkeypatch):
    """Overwrite all of our file but its header."""
    ours(path)
    data = path.read_bytes()
    path.write_bytes(data[:100] + b"\xff" * (len(data) - 100))
    return "malformed.*delete the file"


def foreign(path, _monkeypatch):
    """Write another program's database."""
    path.parent.mkdir(parents=True)
    with closing_now(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE diary (day TEXT)")
    return "database of something else.*delete the file"


def newer(path, _monkeypatch):
    """Write a file as a later version may do."""
    path.parent.mkdir(parents=True)
    with closing_now(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA application_id = {0x45487739}")
    return "database of something else.*delete the file"


def newer_window(path, _monkeypatch):
    """Write a window as a later version may do."""
    ours(path)
    with closing_now(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE windows SET state = ?", (bytes([window_state.VERSION + 1]) + b"later",))
    return "version 2, not 1.*update this package"


def locked(path, _monkeypatch):
    """Lock our file for ever."""
    ours(path)
    LOCKS.append(sqlite3.connect(path, isolation_level=None, check_same_thread=False))
    LOCKS[-1].execute("PRAGMA locking_mode = EXCLUSIVE")
    LOCKS[-1].execute("BEGIN EXCLUSIVE")
    return "locked.*close the program"


def cannot_lock(_path, monkeypatch):
    """Let SQLite fail as on a network file system that cannot lock."""

    def fail(*_, **__):
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(sqlite3, "connect", fail)
    return "disk I/O error"


LOCKS = []
"""Connections to close after a test."""

TROUBLES = [
    folder_that_is_a_file,
    no_folder,
    relative_home,
    text,
    damaged,
    foreign,
    newer,
    newer_window,
    locked,
    cannot_lock,
]
if os.name == "posix" and os.path.isdir("/proc/self"):  # noqa: PTH112 - a str
    TROUBLES += [no_home, read_only]


def ours(path):
    """Create our file, with a window of the account that `service` has."""
    path.parent.mkdir(parents=True)
    with closing_now(SQLiteStore(str(path), NAMES[-1])) as store:
        store.update(look)


NAMES = []
"""The account of the running test."""


@pytest.fixture
def trouble(emulator, state_folder, monkeypatch):
    """Return a function that makes a service and lets the store of its account fail; returns what is to be said."""

    def make(kind):
        service = emulator(rpm=4)
        NAMES.append(name_of(service))
        assert state_file(NAME).is_relative_to(state_folder)
        return service, kind(state_file(NAME), monkeypatch)

    yield make
    NAMES.clear()
    while LOCKS:
        LOCKS.pop().close()


@pytest.mark.parametrize(
    "kind", slow_except({folder_that_is_a_file, damaged, locked}, TROUBLES), ids=lambda kind: kind.__name__
)
def test_no_trouble_with_the_file_reaches_a_call(client, trouble, warned, kind):
    """Vectors come at once, the limit is kept in memory, and one warning says why and what to do."""
    service, said = trouble(kind)
    first, second = client(service, max_wait=0), client(service, max_wait=0, dimensions=8)
    began = time.monotonic()
    assert same(first.embed(["one"])[0], service.vector("one"))
    assert time.monotonic() - began < TOO_LONG
    assert same(second.embed_query("two"), service.vector("two", dimensions=8))
    assert same(first.embed_query("three"), service.vector("three"))
    (warning,) = warned()
    assert warning.startswith("the rate limit cannot be kept in ")
    assert re.search(said, warning)
    assert 'rate_limit_store to another path, or set it to "memory"' in warning
    assert service.api_key not in warning
    first.embed_query("four")
    with pytest.raises(RateLimitError):
        first.embed_query("five")
    assert (statuses(service), len(service.calls)) == ({200}, 4)


def test_trouble_through_every_face(entry_point, trouble, warned):
    """The same in every framework."""
    service, _ = trouble(folder_that_is_a_file)
    model = entry_point.make(service, dimensions=8)
    assert same(entry_point.query(model, "one"), service.vector("one", dimensions=8))
    assert len(warned()) == 1


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs permissions that hold")
@pytest.mark.parametrize("mode", [0o500, 0o000])
def test_a_folder_without_permission(client, emulator, state_folder, warned, mode):
    """A folder that may not be written is one warning."""
    service = emulator(rpm=5)
    state_folder.mkdir()
    state_folder.chmod(mode)
    try:
        client(service).embed_query("one")
    finally:
        state_folder.chmod(0o700)
    assert len(warned()) == 1


def test_other_files_are_left_as_they_are(client, trouble):
    """A foreign database is neither changed nor joined by other files."""
    service, _ = trouble(foreign)
    before = {file.name: file.read_bytes() for file in state_file(NAME).parent.iterdir()}
    client(service).embed_query("one")
    assert {file.name: file.read_bytes() for file in state_file(NAME).parent.iterdir()} == before


def test_accounts_with_the_same_trouble_warn_once(client, emulator, trouble, warned):
    """A server with the keys of many users and no home folder is warned once, not once for each key."""
    service, _ = trouble(folder_that_is_a_file)
    for each in (service, emulator(rpm=5), emulator(rpm=5)):
        client(each).embed_query("one")
    assert len(warned()) == 1


def test_the_wait_for_a_lock_is_short(trouble):
    """A locked file delays an update by less than a second, and then no more for a while."""
    assert BUSY_TIMEOUT < 1.0
    service, _ = trouble(locked)
    with closing_now(open_store(None, name_of(service))) as store:
        began = time.monotonic()
        store.update(look)
        first = time.monotonic()
        store.update(look)
    assert BUSY_TIMEOUT * 0.5 < first - began < TOO_LONG
    assert time.monotonic() - first < BUSY_TIMEOUT
    assert RETRY_INTERVAL > 10


def test_a_file_that_fails_in_the_middle_of_a_job(client, emulator, warned):
    """The job is finished within the limit, with one warning."""
    other = []

    def lock(answer):
        other.append(sqlite3.connect(state_file(NAME), isolation_level=None, check_same_thread=False))
        other[0].execute("BEGIN EXCLUSIVE")
        return answer

    service = emulator(rpm=8, faults=[None, None, faults.edit(lock)])
    rows = client(service, batch_size=1, dimensions=8).embed([f"text {number}" for number in range(8)])
    assert (len(rows), statuses(service)) == (8, {200})
    assert [warning[:27] for warning in warned()] == ["the rate limit store failed"]
    other[0].close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # of a fork with threads
def test_a_child_knows_what_its_parent_sent_in_memory(client, trouble):
    """Without a file, the requests of the parent count in a forked child."""
    service, _ = trouble(folder_that_is_a_file)
    parent = client(service, max_wait=0)
    for text in "abcd":
        parent.embed_query(text)
    pid = os.fork()
    if pid == 0:
        try:
            parent.embed_query("child")
        except RateLimitError:
            os._exit(0)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert len(service.calls) == 4
