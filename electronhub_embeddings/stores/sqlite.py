"""The window in an SQLite file: for the processes of one machine, and for a script that is started again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

import msgspec

from electronhub_embeddings.database import Database
from electronhub_embeddings.limits import Window

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

PATIENCE = 5.0
"""Seconds to wait for another process's change, which takes about a millisecond."""

SCHEMA = "CREATE TABLE IF NOT EXISTS windows (account TEXT PRIMARY KEY, state BLOB NOT NULL) WITHOUT ROWID"


class SQLiteStore:
    """Keeps the window in a file that the processes of one machine share.

    The clock is `time.monotonic()`: on one machine the same for all processes, and it never jumps. After a reboot it
    begins anew, and `Window.arrive` then takes it that no time has passed since the last change.

    Args:
        path: The file, not on a network drive; made with permission 0600 if it is not there.
        account: Whose window it is, as `Account.name` gives it: no key.
        window: The state to begin with, where the file has none.
        clock: Seconds that never jump, the same in every process.
    """

    poll: float | None = 0.1

    def __init__(
        self,
        path: str,
        account: str,
        window: Window | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._account = account
        self._fresh = window or Window()
        self._clock = clock
        self._database = Database(path, lambda: PATIENCE, lambda connection: connection.execute(SCHEMA))

    def update(self, change: Callable[[Window, float], T]) -> T:
        """Apply `change(window, now)` while no other thread or process does, and return what it returns.

        Raises:
            sqlite3.Error: The file cannot be opened, read or written.
            OSError: It cannot be made.
        """
        with self._database.change() as connection:
            row = connection.execute("SELECT state FROM windows WHERE account = ?", (self._account,)).fetchone()
            state = row[0] if row else msgspec.msgpack.encode(self._fresh)
            window = msgspec.msgpack.decode(state, type=Window)
            now = self._clock()
            window.arrive(now)
            result = change(window, now)
            state = msgspec.msgpack.encode(window)
            connection.execute("REPLACE INTO windows VALUES (?, ?)", (self._account, state))
            return result

    def after_fork(self) -> SQLiteStore:
        """Return the same store: it closes its file before a fork, and each side opens it anew."""
        return self

    def close(self) -> None:
        """Close the file."""
        self._database.close()
