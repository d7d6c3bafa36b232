"""Keeps the window in memory, for one process."""

from __future__ import annotations

import copy
import threading
import time
from typing import TYPE_CHECKING, TypeVar

from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow
from electronhub_embeddings._rate_limit.window_merge import merge

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class MemoryStore:
    """Keeps the window in memory, for all clients of an account in this process.

    Args:
        window: The initial state; pass one for a service whose period is not 60 s.
        clock: Monotonic seconds.
    """

    poll: float | None = None

    def __init__(self, window: SlidingWindow | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._window = window or SlidingWindow()
        self._clock = clock
        self._lock = threading.Lock()

    def update(self, change: Callable[[SlidingWindow, float], T]) -> T:
        """Apply `change(window, now)` under the lock, and return its result."""
        with self._lock:
            return change(self._window, self._clock())

    def merging(self, change: Callable[[SlidingWindow, float], T]) -> Callable[[SlidingWindow, float], T]:
        """Return a change that first merges this window into the window of another store."""
        own, then = self.update(lambda window, now: (copy.deepcopy(window), now))

        def merge_and_change(window: SlidingWindow, now: float) -> T:
            merge(window, copy.deepcopy(own), now - then)  # a store may repeat a change
            return change(window, now)

        return merge_and_change

    def last_known(self) -> MemoryStore:
        """Return this store, for another one that takes over from it."""
        return self

    @property
    def is_disposable(self) -> bool:
        """Whether nothing is lost if this store is dropped."""
        return self.idle

    @property
    def idle(self) -> bool:
        """Whether the window holds no more information than a new one."""
        return self.update(lambda window, now: window.idle(now))

    def after_fork(self) -> MemoryStore:
        """Return a store for a forked child; it keeps the counted requests and considers those in flight lost."""
        self._window.abandon_in_flight(self._clock())
        return MemoryStore(self._window, self._clock)

    def __reduce__(self) -> tuple[type[MemoryStore], tuple[SlidingWindow]]:
        """Pickle the window; the copy counts separately, by the clock of its process."""
        return MemoryStore, (self._window,)

    def close(self) -> None:
        """Do nothing: a store in memory has nothing to close."""
