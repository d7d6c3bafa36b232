"""SQLite files that processes share: how both of ours are opened."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
import time
from contextlib import suppress

_creating = threading.Lock()


def connect(path: str, patience: float) -> sqlite3.Connection:
    """Open a file, made with permission 0600 if it is not there, for threads and processes that write to it in turn.

    Args:
        path: The file, not on a network drive.
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


def _after_fork_in_child() -> None:
    global _creating  # noqa: PLW0603 - it may be held by a thread that does not exist here
    _creating = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
