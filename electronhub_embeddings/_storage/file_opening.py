"""Opens the SQLite files that processes share, and refuses those of other programs.

Invariants:
- A file of another program is rejected before anything is written to it or next to it.
- A transaction ends when its block ends, also by an exception.
- Only locks of others are waited for: waiting does not help against a full or read-only disk.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

SQLITE_BUSY, SQLITE_LOCKED, SQLITE_NOTADB = 5, 6, 26
"""Primary result codes (https://www.sqlite.org/rescode.html); `sqlite3` defines these names from Python 3.11 on."""

_creating = threading.Lock()


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


def connect_read_only(
    path: str, busy_timeout: float, file_format: FileFormat
) -> tuple[sqlite3.Connection, bool] | None:
    """Open a file read-only.

    In WAL mode a reader also writes, to the index next to the file. If the index cannot be written, the file is
    opened as immutable. If another process changes the file nevertheless, the reader may see an incomplete change.
    Readers must therefore verify entries, and the connection must not be reused.

    Args:
        path: The file, with links resolved.
        busy_timeout: Seconds to wait for another connection's lock.
        file_format: The required format.

    Returns:
        The connection, and whether the file was opened as immutable. None: the file cannot be read, or belongs to
        another program.
    """
    for is_snapshot, parameters in enumerate(("mode=ro", "mode=ro&immutable=1")):
        with suppress(sqlite3.Error):
            connection = _connect_by_uri(path, busy_timeout, parameters)
            try:
                if _application_id(connection) == file_format.application_id:
                    return connection, bool(is_snapshot)
            except BaseException:
                connection.close()
                raise
            connection.close()
    return None


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
    with suppress(sqlite3.Error), closing(_connect_by_uri(path, 0.0, "mode=ro&immutable=1")) as connection:
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
        with transaction(connection):
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


def _connect_by_uri(path: str, busy_timeout: float, parameters: str) -> sqlite3.Connection:
    uri = f"{Path(path).as_uri()}?{parameters}"
    return sqlite3.connect(uri, timeout=busy_timeout, isolation_level=None, check_same_thread=False, uri=True)


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


@contextmanager
def transaction(connection: sqlite3.Connection) -> Generator[None, None, None]:
    """Commit all changes of the block, or roll all of them back if anything interrupts the block."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            with suppress(sqlite3.Error):  # keep the first error; the connection will be closed
                connection.execute("ROLLBACK")
