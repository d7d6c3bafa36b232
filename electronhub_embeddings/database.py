"""SQLite files that processes share: how both of ours are opened, and what they need around a fork."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
import time
import weakref
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_creating = threading.Lock()
_databases: weakref.WeakSet[Database] = weakref.WeakSet()
_held: list[Database] = []


class Database:
    """One connection to a file, for one thread at a time; opened when it is first needed.

    Args:
        path: The file, not on a network drive; made with permission 0600 if it is not there.
        patience: Returns the seconds to wait for another's change.
        prepare: Called with each new connection, to make tables.
    """

    def __init__(
        self, path: str, patience: Callable[[], float], prepare: Callable[[sqlite3.Connection], object]
    ) -> None:
        self._path = path
        self._patience = patience
        self._prepare = prepare
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        _databases.add(self)

    @contextmanager
    def use(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection.

        Raises:
            sqlite3.Error: The file is none of SQLite's, or cannot be read or written.
            OSError: It cannot be made.
        """
        with self._lock:
            if self._connection is None:
                self._connection = self._open()
            yield self._connection

    @contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection for a change that is made whole, or not at all, while no other process makes one."""
        with self.use() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    with suppress(sqlite3.Error):  # the first error is the one to tell
                        connection.execute("ROLLBACK")
                raise

    def _open(self) -> sqlite3.Connection:
        connection = connect(self._path, self._patience())
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def hold(self) -> None:
        """Close the file and keep it closed until it is let go: nothing of SQLite's may be carried across a fork."""
        self._lock.acquire()
        self._drop()

    def let_go(self) -> None:
        """End `hold`; the next use opens the file again."""
        self._lock.release()

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    __del__ = _drop  # without the lock: nobody else has this object any more


def connect(path: str, patience: float) -> sqlite3.Connection:
    """Open a file for threads and processes that write to it in turn.

    Args:
        path: The file, not on a network drive; made with permission 0600 if it is not there.
        patience: Seconds to wait for another's change.

    Raises:
        sqlite3.Error: The file is none of SQLite's, or cannot be read or written.
        OSError: It cannot be made.
    """
    if os.path.isdir(path):  # noqa: PTH112 - SQLite would not say so
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    _create(path)
    connection = sqlite3.connect(path, timeout=patience, isolation_level=None, check_same_thread=False)
    try:
        _use_wal(connection, time.monotonic() + patience)
        connection.execute("PRAGMA synchronous = NORMAL")  # a power cut may lose the last second, never the file
    except BaseException:
        connection.close()
        raise
    return connection


def _create(path: str) -> None:
    """Make the file if it is not there; one that is there is left alone.

    To open and close it ourselves would let go of the locks that other connections of this process hold on it: so
    POSIX wants it, and then writings of two processes get lost. Hence the lock: nobody is at a file that is being made.
    """
    with _creating, suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _use_wal(connection: sqlite3.Connection, deadline: float) -> None:
    """Let readers and a writer work side by side; two that open a new file at once must try again by themselves."""
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:  # noqa: PERF203 - SQLite does not wait here by itself
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.005)
        else:
            return


def _before_fork() -> None:
    """Wait until no thread is inside SQLite, and close all files: a child would inherit locks that nobody frees."""
    _held.extend(_databases)
    for database in _held:
        database.hold()


def _after_fork() -> None:
    while _held:
        _held.pop().let_go()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
