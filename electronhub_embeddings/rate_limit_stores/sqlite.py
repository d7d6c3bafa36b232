"""Keeps the window in an SQLite file, for the processes of one machine and for a script that is restarted."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, TypeVar

from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow
from electronhub_embeddings._rate_limit.window_merge import note_time
from electronhub_embeddings._rate_limit.window_state import differ_only_in_time, encode
from electronhub_embeddings._storage.database import Database
from electronhub_embeddings._storage.file_opening import FileFormat, ForeignFileError
from electronhub_embeddings.errors import ElectronHubError
from electronhub_embeddings.rate_limit_stores.window_reader import WindowReader

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow

T = TypeVar("T")

BUSY_TIMEOUT = 5.0
"""Seconds to wait for another process's write, which takes about a millisecond."""

IDLE_TTL = 3600.0
"""Seconds after which the window of an account is removed if nobody has used it and no cooldown is left."""

MAX_COOLDOWN = 6 * 3600.0
"""More seconds than a cooldown lasts. A later time is one of before a reboot, when the clock was further on."""

REWRITE_INTERVAL = 60.0
"""Seconds after which an unchanged window is written again, to show that it is in use."""

FORMAT = FileFormat(
    application_id=0x45487732,  # "EHw2"
    schema=(
        "CREATE TABLE windows (account TEXT PRIMARY KEY, state BLOB NOT NULL, idle_since REAL NOT NULL) WITHOUT ROWID"
    ),
)
"""The format of window files; a table is never added to another program's database."""


class SQLiteStore:
    """Keeps the window in a file that the processes of one machine share.

    The clock is `time.monotonic()`, which is the same for all processes of a machine and never jumps. After a reboot
    the clock restarts, and `SlidingWindow.note_time` assumes that no time has passed since the last change.

    Args:
        path: The file, not on a network drive; created with permission 0600 if it does not exist. A relative path is
            resolved once, so that a later chdir does not change its meaning. Or a function that returns an absolute
            path, called whenever the file is opened.
        account: The account of the window, as in `Account.name`: a keyed hash.
        window: The initial state, if the file has none.
        clock: Monotonic seconds, the same in every process.
        busy_timeout: Seconds to wait for another process's write. None: `BUSY_TIMEOUT`.
        replaces_unreadable: Whether an unreadable window is replaced by a cautious new one, or left, with an error.
    """

    poll: float | None = 0.1

    def __init__(
        self,
        path: str | Callable[[], str],
        account: str,
        window: SlidingWindow | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        busy_timeout: float | None = None,
        replaces_unreadable: bool = True,
    ) -> None:
        self._account = account
        self._reader = WindowReader(window, replaces_unreadable=replaces_unreadable)
        self._clock = clock
        self._clean_at = 0.0
        self._decoded: tuple[bytes, SlidingWindow] | None = None
        """The state that this process has seen last, and its window."""
        if isinstance(path, str):  # links are not resolved: the target may be created later
            path = os.path.abspath(path)  # noqa: PTH100
        self._database = Database(path, lambda: BUSY_TIMEOUT if busy_timeout is None else busy_timeout, FORMAT)

    def update(self, change: Callable[[SlidingWindow, float], T]) -> T:
        """Apply `change(window, now)` in an exclusive transaction, and return its result.

        Raises:
            ElectronHubError: The file belongs to another program and was left unchanged.
            UnreadableStateError: The window cannot be read, and is not to be replaced.
            sqlite3.Error: The file cannot be opened, read or written.
            OSError: The file cannot be created.
        """
        try:
            return self._update(change)
        except ForeignFileError as error:
            raise ElectronHubError(
                f"{self._database.path} cannot keep the rate limit: the file is {error}, and was left as it was.",
            ) from error

    def _update(self, change: Callable[[SlidingWindow, float], T]) -> T:
        with self._database.change() as connection:
            row = connection.execute("SELECT state FROM windows WHERE account = ?", (self._account,)).fetchone()
            before: bytes | None = row[0] if row else None
            now = self._clock()
            window = self._window(before, now)
            written_at = window.updated_at
            note_time(window, now)
            result = change(window, now)
            after = encode(window)
            if before is not None and 0.0 <= now - written_at < REWRITE_INTERVAL and differ_only_in_time(before, after):
                after, window.updated_at = before, written_at
            else:
                idle_since = max(now, window.cooldown.until)
                connection.execute("REPLACE INTO windows VALUES (?, ?, ?)", (self._account, after, idle_since))
            self._remove_idle(connection, now)
        self._decoded = after, window
        return result

    def _window(self, state: bytes | None, now: float) -> SlidingWindow:
        """Return the window of a state; it is decoded only if another process has changed it."""
        decoded, self._decoded = self._decoded, None  # a change that fails leaves no window behind
        if decoded is not None and decoded[0] == state:
            return decoded[1]
        return self._reader.read(state, now)

    def _remove_idle(self, connection: sqlite3.Connection, now: float) -> None:
        """Remove the windows of idle accounts, every now and then."""
        if now < self._clean_at:
            return
        connection.execute("UPDATE windows SET idle_since = ? WHERE idle_since > ?", (now, now + MAX_COOLDOWN))
        connection.execute("DELETE FROM windows WHERE idle_since < ?", (now - IDLE_TTL,))
        self._clean_at = now + IDLE_TTL / 2

    def after_fork(self) -> SQLiteStore:
        """Return this store: its file was closed before the fork, and each process opens the file again."""
        return self

    def close(self) -> None:
        """Close the file."""
        self._database.close()
