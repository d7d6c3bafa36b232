"""Keeps the window in an SQLite file, for the processes of one machine and for a script that is restarted."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, TypeVar

from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow
from electronhub_embeddings._rate_limit.window_state import encode
from electronhub_embeddings._storage.database import Database
from electronhub_embeddings._storage.file_opening import FileFormat, ForeignFileError
from electronhub_embeddings.errors import ElectronHubError
from electronhub_embeddings.rate_limit_stores.window_reader import WindowReader

if TYPE_CHECKING:
    from collections.abc import Callable

    from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow

T = TypeVar("T")

BUSY_TIMEOUT = 5.0
"""Seconds to wait for another process's write, which takes about a millisecond."""

FORMAT = FileFormat(
    application_id=0x45487731,  # "EHw1"
    schema="CREATE TABLE windows (account TEXT PRIMARY KEY, state BLOB NOT NULL) WITHOUT ROWID",
)
"""The format of window files; a table is never added to another program's database."""


class SQLiteStore:
    """Keeps the window in a file that the processes of one machine share.

    The clock is `time.monotonic()`, which is the same for all processes of a machine and never jumps. After a reboot
    the clock restarts, and `SlidingWindow.note_time` assumes that no time has passed since the last change.

    Args:
        path: The file, not on a network drive; created with permission 0600 if it does not exist. A relative path is
            resolved once, so that a later chdir does not change its meaning.
        account: The account of the window, as in `Account.name`: a keyed hash.
        window: The initial state, if the file has none.
        clock: Monotonic seconds, the same in every process.
    """

    poll: float | None = 0.1

    def __init__(
        self,
        path: str,
        account: str,
        window: SlidingWindow | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._account = account
        self._reader = WindowReader(window)
        self._clock = clock
        self._path = os.path.abspath(path)  # noqa: PTH100 - links are not resolved: the target may be created later
        self._database = Database(self._path, lambda: BUSY_TIMEOUT, FORMAT)

    def update(self, change: Callable[[SlidingWindow, float], T]) -> T:
        """Apply `change(window, now)` in an exclusive transaction, and return its result.

        Raises:
            ElectronHubError: The file belongs to another program and was left unchanged.
            sqlite3.Error: The file cannot be opened, read or written.
            OSError: The file cannot be created.
        """
        try:
            return self._update(change)
        except ForeignFileError as error:
            raise ElectronHubError(
                f"{self._path} cannot keep the rate limit: the file is {error}, and was left as it was. "
                "Name a new file in rate_limit_store, or one that this package has made for it."
            ) from error

    def _update(self, change: Callable[[SlidingWindow, float], T]) -> T:
        with self._database.change() as connection:
            row = connection.execute("SELECT state FROM windows WHERE account = ?", (self._account,)).fetchone()
            now = self._clock()
            window = self._reader.read(row[0] if row else None, now)
            window.note_time(now)
            result = change(window, now)
            connection.execute("REPLACE INTO windows VALUES (?, ?)", (self._account, encode(window)))
            return result

    def after_fork(self) -> SQLiteStore:
        """Return this store: its file was closed before the fork, and each process opens the file again."""
        return self

    def close(self) -> None:
        """Close the file."""
        self._database.close()
