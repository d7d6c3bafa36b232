"""Opens the SQLite files that processes share (vector cache and rate limit window), and closes them around a fork.

Invariants:
- A file of another program is rejected before anything is written to it or next to it.
- A transaction ends when its block ends, also by an exception. A connection whose transaction cannot be ended is
  closed, and the next use opens a new one.
- Only locks of others are waited for: waiting does not help against a full or read-only disk.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
import time
import weakref
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SQLITE_BUSY, SQLITE_LOCKED, SQLITE_NOTADB = 5, 6, 26
"""Primary result codes (https://www.sqlite.org/rescode.html); `sqlite3` defines these names from Python 3.11 on."""

_creating = threading.Lock()
_databases: weakref.WeakSet[Database] = weakref.WeakSet()
_held: list[Database] = []


class ForeignFileError(Exception):
    """The file belongs to another program and was left unchanged; the message completes "the file is ...".

    Args:
        is_database: Whether the file is certainly another program's database; otherwise it may be a damaged file of
            this package.
    """

    def __init__(self, *, is_database: bool) -> None:
        super().__init__("a database of something else" if is_database else "not a database")
        self.is_database = is_database


@dataclass(frozen=True)
class FileFormat:
    """Identifies one type of this package's files."""

    application_id: int
    """SQLite's application id in the file header; not 0, the default of all databases."""
    schema: str
    """The statement that creates the table."""


class Database:
    """One connection to a file, used by one thread at a time and opened at the first use.

    Args:
        path: The file, not on a network drive; created with permission 0600 if it does not exist.
        busy_timeout: Returns the seconds to wait for another connection's lock.
        file_format: The required format; an empty file is initialised with this format.
        allow_read_only: Whether to open a file read-only if it cannot be written.
    """

    read_only_reason: str | None = None
    """Why the file was last opened read-only; None: it was opened for writing."""

    def __init__(
        self,
        path: str,
        busy_timeout: Callable[[], float],
        file_format: FileFormat,
        *,
        allow_read_only: bool = False,
    ) -> None:
        self._connection: sqlite3.Connection | None = None
        self._is_snapshot = False
        self._path = path
        self._busy_timeout = busy_timeout
        self._format = file_format
        self._allow_read_only = allow_read_only
        self._lock = threading.RLock()
        _databases.add(self)

    @contextmanager
    def use(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection, with the lock held.

        Raises:
            ForeignFileError: The file belongs to another program.
            sqlite3.Error: The file is damaged, or cannot be read or written.
            OSError: The file cannot be created.
        """
        with self._lock, self._reusable() as connection:
            yield connection

    @contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection inside a transaction: changes are atomic, and no other process writes meanwhile."""
        with self.use() as connection, _transaction(connection):
            yield connection

    @contextmanager
    def _reusable(self) -> Iterator[sqlite3.Connection]:
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
        path = os.path.realpath(self._path)
        self._is_snapshot, self.read_only_reason = False, None
        try:
            return connect(path, self._busy_timeout(), self._format)
        except (sqlite3.OperationalError, OSError) as error:
            connection = None if is_busy(error) or not self._allow_read_only else self._open_read_only(path)
            if connection is None:
                raise
            self.read_only_reason = str(error)
            return connection

    def _open_read_only(self, path: str) -> sqlite3.Connection | None:
        """Open a file read-only; None: the file cannot be read, or belongs to another program.

        In WAL mode a reader also writes, to the index next to the file. If the index cannot be written, the file is
        opened as immutable. If another process changes the file nevertheless, the reader may see an incomplete change.
        Readers must therefore verify entries, and the connection is not reused.
        """
        for is_snapshot, parameters in enumerate(("mode=ro", "mode=ro&immutable=1")):
            with suppress(sqlite3.Error):
                connection = _connect_read_only(path, self._busy_timeout(), parameters)
                try:
                    if _application_id(connection) == self._format.application_id:
                        self._is_snapshot = bool(is_snapshot)
                        return connection
                except BaseException:
                    connection.close()
                    raise
                connection.close()
        return None

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


def connect(path: str, busy_timeout: float, file_format: FileFormat) -> sqlite3.Connection:
    """Open a file that threads and processes write in turn.

    Args:
        path: The file, with links resolved and not on a network drive; created with permission 0600 if it does not
            exist.
        busy_timeout: Seconds to wait for another connection's lock.
        file_format: The required format; an empty file is initialised with this format.

    Raises:
        ForeignFileError: The file belongs to another program.
        sqlite3.Error: The file is damaged, or cannot be read or written.
        OSError: The file cannot be created.
    """
    if os.path.isdir(path):  # noqa: PTH112 - SQLite's own error is unclear
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    deadline = time.monotonic() + busy_timeout
    _create(path)
    _refuse_foreign(path, file_format)
    connection = sqlite3.connect(path, timeout=busy_timeout, isolation_level=None, check_same_thread=False)
    try:
        _claim(connection, file_format)
        _use_wal(connection, deadline)
        connection.execute("PRAGMA synchronous = NORMAL")  # a power cut may lose the last second, never the file
        return connection  # noqa: TRY300 - an exception before the return must close the connection
    except BaseException:
        connection.close()
        raise


def is_busy(error: Exception) -> bool:
    """Return whether the error is caused by another connection's lock; only then does waiting help."""
    return _has_code(error, SQLITE_BUSY, SQLITE_LOCKED) or (
        _code(error) is None and " is locked" in str(error) and isinstance(error, sqlite3.OperationalError)
    )


def _code(error: Exception) -> int | None:
    """Return SQLite's primary result code; None before Python 3.11, which provides only the message."""
    extended: int | None = getattr(error, "sqlite_errorcode", None)
    return None if extended is None else extended & 0xFF


def _has_code(error: Exception, *codes: int) -> bool:
    return _code(error) in codes


def _create(path: str) -> None:
    """Create the file if it does not exist.

    An existing file must not be opened and closed here: under POSIX, closing any descriptor of a file releases all
    locks that this process holds on it, and concurrent writes would be lost. `_creating` ensures that no other thread
    has opened a file that is being created.
    """
    with _creating, suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _refuse_foreign(path: str, file_format: FileFormat) -> None:
    """Reject another program's file, without taking a lock, replaying a log or creating files next to the file.

    A file of this package is never rejected, because its application id becomes visible before its table and both
    remain. Uncertain cases are left to `_claim`, which checks under a lock.

    Raises:
        ForeignFileError: The file certainly belongs to another program.
    """
    with suppress(sqlite3.Error), closing(_connect_read_only(path, 0.0, "mode=ro&immutable=1")) as connection:
        if not _may_become(connection, file_format):
            raise ForeignFileError(is_database=True)


def _claim(connection: sqlite3.Connection, file_format: FileFormat) -> None:
    """Initialise an empty file, before WAL mode is enabled, so that its id is in the file and not only in the log.

    Raises:
        ForeignFileError: The file belongs to another program.
    """
    try:
        if _application_id(connection) == file_format.application_id:
            return
        with _transaction(connection):
            if not _may_become(connection, file_format):
                raise ForeignFileError(is_database=True)
            if _application_id(connection) == 0:
                connection.execute(file_format.schema)
                connection.execute(f"PRAGMA application_id = {file_format.application_id}")
    except sqlite3.DatabaseError as error:
        if _has_code(error, SQLITE_NOTADB) or (_code(error) is None and "not a database" in str(error)):
            raise ForeignFileError(is_database=False) from error
        raise


def _may_become(connection: sqlite3.Connection, file_format: FileFormat) -> bool:
    """Return whether a file has the format, or is empty."""
    number = _application_id(connection)
    if number == 0:
        return connection.execute("SELECT 1 FROM sqlite_master").fetchone() is None
    return number == file_format.application_id


def _application_id(connection: sqlite3.Connection) -> int:
    number: int = connection.execute("PRAGMA application_id").fetchone()[0]
    return number


def _connect_read_only(path: str, busy_timeout: float, parameters: str) -> sqlite3.Connection:
    uri = f"{Path(path).as_uri()}?{parameters}"
    return sqlite3.connect(uri, timeout=busy_timeout, isolation_level=None, check_same_thread=False, uri=True)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit all changes of the block, or roll all of them back if anything interrupts the block."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            with suppress(sqlite3.Error):  # keep the first error; the connection will be closed
                connection.execute("ROLLBACK")


def _use_wal(connection: sqlite3.Connection, deadline: float) -> None:
    """Enable WAL mode, so that readers and a writer do not block each other; retry while another connection does."""
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:  # noqa: PERF203 - the busy timeout does not apply here
            if not is_busy(error) or time.monotonic() >= deadline:
                raise
            time.sleep(0.005)
        else:
            return


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
