"""How files that processes share are opened: locks hold, whoever else in this process opens the same file."""

import contextlib
import sqlite3
import stat
import threading

import pytest
from processes import begin, finish, release

from electronhub_embeddings.database import connect

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
        yield lambda: opened.enter_context(contextlib.closing(connect(str(tmp_path / "shared.db"), 0.05)))


def test_a_second_connection_frees_no_lock(open_file, tmp_path):
    """What one connection writes is there for all, also after this process has opened the file again.

    Another process that closes the file clears the log away if it believes itself to be the last: our locks tell it
    otherwise.
    """
    writing = open_file()
    writing.execute("CREATE TABLE things (thing)")
    open_file().execute("SELECT * FROM things").fetchall()
    seen = []
    for _ in range(2):
        children = begin(READER, tmp_path / "shared.db")
        release(children)
        seen += finish(children)
        writing.execute("INSERT INTO things VALUES ('one')")
    assert seen == ["0\n", "1\n"]


def test_many_may_open_a_new_file_at_once(tmp_path):
    """Threads that make the file at the same moment all get it, in WAL mode, and only its owner may read it."""
    barrier, modes = threading.Barrier(8), []

    def work():
        barrier.wait()
        with contextlib.closing(connect(str(tmp_path / "shared.db"), 30)) as connection:
            modes.append(connection.execute("PRAGMA journal_mode").fetchone()[0])

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert modes == ["wal"] * 8
    assert stat.S_IMODE((tmp_path / "shared.db").stat().st_mode) == 0o600


def test_a_file_in_another_mode_that_is_in_use(open_file, tmp_path):
    """Whoever cannot switch a file to WAL within the patience is told so, and leaves no connection open."""
    with contextlib.closing(sqlite3.connect(tmp_path / "shared.db", isolation_level=None)) as other:
        other.execute("CREATE TABLE things (thing)")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            open_file()
        other.execute("ROLLBACK")
    assert open_file().execute("PRAGMA journal_mode").fetchone() == ("wal",)
