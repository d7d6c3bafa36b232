"""Opening files that processes share: locks are kept even if other code in this process opens the same file."""

import contextlib
import os
import sqlite3
import stat
import threading

import pytest

from electronhub_embeddings._storage import file_opening
from electronhub_embeddings._storage.file_opening import FileFormat, connect, is_busy
from support.child_processes import begin, finish, release

THINGS = FileFormat(application_id=77, schema="CREATE TABLE things (thing)")

READER = """
import sqlite3, sys

print("ready", flush=True)
sys.stdin.readline()
connection = sqlite3.connect(sys.argv[1])
print(connection.execute("SELECT count(*) FROM things").fetchone()[0])
connection.close()
"""


@pytest.fixture
def open_file(tmp_path):
    """Return a function that opens the same file again and again."""
    with contextlib.ExitStack() as opened:
        yield lambda: opened.enter_context(contextlib.closing(connect(str(tmp_path / "shared.db"), 0.05, THINGS)))


def test_a_second_connection_frees_no_lock(open_file, tmp_path):
    """Writes of one connection are visible to all, even after this process has reopened the file.

    Another process that closes the file clears the log away if it believes itself to be the last: our locks tell it
    otherwise.
    """
    writing = open_file()
    open_file().execute("SELECT * FROM things").fetchall()
    seen = []
    for _ in range(2):
        children = begin(READER, tmp_path / "shared.db")
        release(children)
        seen += finish(children)
        writing.execute("INSERT INTO things VALUES ('one')")
    assert seen == ["0\n", "1\n"]


def test_many_may_open_a_new_file_at_once(tmp_path):
    """Threads that create the file concurrently all succeed, in WAL mode, with permission 0600."""
    barrier, modes = threading.Barrier(8), []

    def work():
        barrier.wait()
        with contextlib.closing(connect(str(tmp_path / "shared.db"), 30, THINGS)) as connection:
            modes.append(connection.execute("PRAGMA journal_mode").fetchone()[0])

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert modes == ["wal"] * 8
    if os.name == "posix":
        assert stat.S_IMODE((tmp_path / "shared.db").stat().st_mode) == 0o600


@pytest.mark.skipif(os.name != "posix", reason="needs permissions")
@pytest.mark.parametrize("mode", [0o640, 0o644])
def test_permissions_of_a_file_that_is_there_are_kept(open_file, tmp_path, mode):
    """A file's own permissions are kept, and SQLite's additional files have the same ones."""
    (tmp_path / "shared.db").touch()
    (tmp_path / "shared.db").chmod(mode)
    open_file().execute("INSERT INTO things VALUES (1)")
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert modes == dict.fromkeys(["shared.db", "shared.db-wal", "shared.db-shm"], mode)


def test_a_file_in_another_mode_that_is_in_use(open_file, tmp_path):
    """Failing to switch a file to WAL within the busy timeout raises, and leaves no connection open."""
    with contextlib.closing(sqlite3.connect(tmp_path / "shared.db", isolation_level=None)) as other:
        other.execute("CREATE TABLE things (thing)")
        other.execute("PRAGMA application_id = 77")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            open_file()
        other.execute("ROLLBACK")
    assert open_file().execute("PRAGMA journal_mode").fetchone() == ("wal",)


# Waiting.


class Failing:
    """A connection that refuses every statement for a reason."""

    def __init__(self, reason):
        self._reason = reason

    def execute(self, _statement):
        """Refuse a statement."""
        raise sqlite3.OperationalError(self._reason)


@pytest.fixture
def pauses(monkeypatch):
    """Return the list of all pauses, which only advance a fake clock."""
    made = []

    class Clock:
        sleep = staticmethod(made.append)

        @staticmethod
        def monotonic():
            return sum(made)

    monkeypatch.setattr(file_opening, "time", Clock)
    return made


@pytest.mark.parametrize(
    "reason",
    [
        "attempt to write a readonly database",
        "database or disk is full",
        "disk I/O error",
        "unable to open database file",
    ],
)
def test_what_does_not_get_better_is_not_waited_for(pauses, reason):
    """A full or read-only disk raises at once."""
    with pytest.raises(sqlite3.OperationalError, match=reason):
        file_opening._use_wal(Failing(reason), 30.0)
    assert pauses == []


@pytest.mark.parametrize(
    "reason", ["database is locked", "database table is locked", "database table is locked: things"]
)
def test_a_lock_is_waited_for_until_the_deadline(pauses, reason):
    """A lock of another process is retried."""
    with pytest.raises(sqlite3.OperationalError, match=reason):
        file_opening._use_wal(Failing(reason), 1.0)
    assert sum(pauses) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(
    ("code", "message", "expected"),
    [
        (5, "whatever", True),
        (6 + (1 << 8), "whatever", True),
        (8, "whatever is locked", False),
        (None, "database is locked", True),
        (None, "attempt to write a readonly database", False),
    ],
)
def test_a_code_counts_for_more_than_a_message(code, message, expected):
    """Errors are recognised by SQLite's code, extended or not, and before Python 3.11 by the message."""
    error = sqlite3.OperationalError(message)
    if code is not None:
        error.sqlite_errorcode = code
    assert is_busy(error) is expected
