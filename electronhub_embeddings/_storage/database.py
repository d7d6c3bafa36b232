"""The connection to an SQLite file that processes share: its transactions, and how it is closed around a fork.

Invariants:
- A connection whose transaction cannot be ended is closed, and the next use opens a new one.
- No connection is open while the process forks.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from electronhub_embeddings._storage.file_opening import connect, connect_read_only, is_busy, transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from electronhub_embeddings._storage.file_opening import FileFormat

_databases: weakref.WeakSet[Database] = weakref.WeakSet()
_held: list[Database] = []


class Database:
    """One connection to a file, used by one thread at a time and opened at the first use.

    Args:
        path: The file, not on a network drive; created with permission 0600 if it does not exist. Or a function that
            returns the path, called whenever the file is opened.
        busy_timeout: Returns the seconds to wait for another connection's lock.
        file_format: The required format; an empty file is initialised with this format.
        allow_read_only: Whether to open a file read-only if it cannot be written.
    """

    read_only_reason: str | None = None
    """Why the file was last opened read-only; None: it was opened for writing."""

    def __init__(
        self,
        path: str | Callable[[], str],
        busy_timeout: Callable[[], float],
        file_format: FileFormat,
        *,
        allow_read_only: bool = False,
    ) -> None:
        self._connection: sqlite3.Connection | None = None
        self._is_snapshot = False
        self._find_path = path if callable(path) else lambda: path
        self.path = "" if callable(path) else path
        """The path of the file; empty: not known yet."""
        self._busy_timeout = busy_timeout
        self._format = file_format
        self._allow_read_only = allow_read_only
        self._lock = threading.RLock()
        _databases.add(self)

    @contextmanager
    def use(self) -> Generator[sqlite3.Connection, None, None]:
        """Yield the connection, with the lock held.

        Raises:
            ForeignFileError: The file belongs to another program.
            sqlite3.Error: The file is damaged, or cannot be read or written.
            OSError: The file cannot be created.
        """
        with self._lock, self._reusable() as connection:
            yield connection

    @contextmanager
    def change(self) -> Generator[sqlite3.Connection, None, None]:
        """Yield the connection inside a transaction: changes are atomic, and no other process writes meanwhile."""
        with self.use() as connection, transaction(connection):
            yield connection

    @contextmanager
    def _reusable(self) -> Generator[sqlite3.Connection, None, None]:
        """Yield an open connection; close the connection afterwards if it cannot be reused."""
        self._drop_unless_reusable()
        if self._connection is None:
            self._connection = self._open()
        try:
            yield self._connection
        finally:
            self._drop_unless_reusable()

    def _drop_unless_reusable(self) -> None:
        """Close the connection if a transaction is open, which locks out all others, or if it reads a snapshot."""
        if self._connection is not None and (self._is_snapshot or self._connection.in_transaction):
            self._drop()

    def _open(self) -> sqlite3.Connection:
        self.path = self._find_path()
        path = os.path.realpath(self.path)
        self._is_snapshot, self.read_only_reason = False, None
        try:
            return connect(path, self._busy_timeout(), self._format)
        except (sqlite3.OperationalError, OSError) as error:
            if is_busy(error) or not self._allow_read_only:
                raise
            opened = connect_read_only(path, self._busy_timeout(), self._format)
            if opened is None:
                raise
            connection, self._is_snapshot = opened
            self.read_only_reason = str(error)
            return connection

    def hold(self) -> None:
        """Close the file and keep it closed until `let_go`: no open SQLite connection may be carried across a fork."""
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
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    __del__ = _drop  # without the lock: no other reference to this object exists


def _before_fork() -> None:
    """Wait until no thread is inside SQLite and close all files: a child would inherit locks that nobody releases."""
    _held.extend(_databases)
    for database in _held:
        database.hold()


def _after_fork() -> None:
    while _held:
        with suppress(RuntimeError):  # an exception interrupted `_before_fork` before this file was held
            _held.pop().let_go()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
