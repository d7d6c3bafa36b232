"""The window of one process, in its memory."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, TypeVar

from electronhub_embeddings.limits import Window

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class MemoryStore:
    """Keeps the window in memory, for all clients of an account in this process.

    Args:
        window: The state to begin with; a service with another period than 60 s is told here.
        clock: Seconds that never jump.
    """

    poll: float | None = None

    def __init__(self, window: Window | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._window = window or Window()
        self._clock = clock
        self._lock = threading.Lock()

    def update(self, change: Callable[[Window, float], T]) -> T:
        """Apply `change(window, now)` while nobody else does, and return what it returns."""
        with self._lock:
            return change(self._window, self._clock())

    @property
    def idle(self) -> bool:
        """Whether the window holds nothing any more that a new one would not know."""
        return self.update(lambda window, now: window.idle(now))

    def after_fork(self) -> MemoryStore:
        """Return a store for a child process: what was counted stays counted, the parent's threads and lock do not."""
        self._window.orphan(self._clock())
        return MemoryStore(self._window, self._clock)

    def __reduce__(self) -> tuple[type[MemoryStore], tuple[Window]]:
        """Pickle what was counted; the copy keeps count for itself, by the clock of its process."""
        return MemoryStore, (self._window,)

    def close(self) -> None:
        """Nothing to close."""
