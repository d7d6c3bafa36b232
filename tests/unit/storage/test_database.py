"""The connection to a file that processes share: read-only if need be, and closed when it cannot be reused."""

import contextlib
import sqlite3
import threading

import pytest

from electronhub_embeddings._storage import database
from electronhub_embeddings._storage.database import Database
from electronhub_embeddings._storage.file_opening import FileFormat, connect

THINGS = FileFormat(application_id=77, schema="CREATE TABLE things (thing)")


@pytest.fixture
def open_file(tmp_path):
    """Return a function that opens the same file again and again."""
    with contextlib.ExitStack() as opened:
        yield lambda: opened.enter_context(contextlib.closing(connect(str(tmp_path / "shared.db"), 0.05, THINGS)))


# Reading alone.


def read_only(_path, _busy_timeout, _file_format):
    """Refuse to open a file for writing, as SQLite does on a read-only disk."""
    raise sqlite3.OperationalError("attempt to write a readonly database")


def test_a_file_that_cannot_be_written_can_be_read(open_file, tmp_path, monkeypatch):
    """Who allows it gets a connection for reading, and the reason; who writes gets the error."""
    open_file().execute("INSERT INTO things VALUES ('one')")
    monkeypatch.setattr(database, "connect", read_only)
    path = str(tmp_path / "shared.db")
    reading, writing = Database(path, float, THINGS, allow_read_only=True), Database(path, float, THINGS)
    with reading.use() as connection:
        assert connection.execute("SELECT * FROM things").fetchall() == [("one",)]
    assert reading.read_only_reason == "attempt to write a readonly database"
    with pytest.raises(sqlite3.OperationalError, match="readonly"), writing.change():
        pass
    reading.close()


def test_reading_alone_takes_nothing_for_a_file_of_ours(tmp_path, monkeypatch):
    """The first error is raised where there is no file, or one of something else."""
    monkeypatch.setattr(database, "connect", read_only)
    with contextlib.closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE diary (day)")
    for name in ("none.db", "other.db"):
        reading = Database(str(tmp_path / name), float, THINGS, allow_read_only=True)
        with pytest.raises(sqlite3.OperationalError, match="readonly"), reading.use():
            pass


# Transactions.


def test_a_transaction_that_cannot_be_ended_closes_the_connection(open_file, tmp_path):
    """A connection in an unknown state is not used again: it would lock out everybody else."""
    ours = Database(str(tmp_path / "shared.db"), float, THINGS)
    with ours.use() as connection:
        connection.execute("BEGIN IMMEDIATE")
    with ours.use() as another:
        assert another is not connection
        assert not another.in_transaction
    open_file().execute("INSERT INTO things VALUES ('one')")
    ours.close()


def test_an_interrupted_fork_holds_nothing_back(open_file, tmp_path, monkeypatch):
    """An interruption while files are closed for a fork leaves every one of them usable, in any thread."""
    databases = [Database(str(tmp_path / "shared.db"), lambda: 1.0, THINGS) for _ in range(3)]
    holding = Database.hold
    held = []

    def interrupted(self):
        if len(held) == 1:
            raise KeyboardInterrupt
        held.append(self)
        holding(self)

    monkeypatch.setattr(database, "_databases", databases)
    monkeypatch.setattr(Database, "hold", interrupted)
    with pytest.raises(KeyboardInterrupt):
        database._before_fork()
    database._after_fork()
    assert database._held == []

    def use(each):
        with each.change() as connection:
            connection.execute("INSERT INTO things VALUES ('one')")

    for each in databases:
        worker = threading.Thread(target=use, args=(each,), daemon=True)
        worker.start()
        worker.join(30)
        assert not worker.is_alive()
    assert open_file().execute("SELECT count(*) FROM things").fetchone() == (3,)
    for each in databases:
        each.close()
