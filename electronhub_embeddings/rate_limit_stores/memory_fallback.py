"""Falls back to memory while a shared store fails, and returns to the store when it works again."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, TypeVar

from electronhub_embeddings._rate_limit.window_state import decode, encode
from electronhub_embeddings.rate_limit_stores.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow
    from electronhub_embeddings._rate_limit.store import RateLimitStore

T = TypeVar("T")

logger = logging.getLogger("electronhub_embeddings")

RETRY_INTERVAL = 30.0
"""Seconds between two attempts to return to a store that has failed."""


class MemoryFallback:
    """Keeps the window in a shared store, and in memory while the store fails.

    Before the first success, errors are raised: a wrong path or address must not go unnoticed. Later errors are logged
    as a warning, and the last known window is continued in memory, so that running calls can finish. When the store
    works again, the requests counted meanwhile are merged into its window.
    """

    def __init__(self, shared: RateLimitStore) -> None:
        self._shared = shared
        self._lock = threading.Lock()
        self._known: tuple[bytes, float, float] | None = None
        self._fallback: MemoryStore | None = None
        self._retry_at = 0.0
        self.has_worked = False
        """Whether the store has ever saved a change, in this process or a parent; until then it may be replaced."""
        self.has_failed = False
        """Whether the store has ever failed to save a change."""

    @property
    def poll(self) -> float | None:
        """Seconds between two checks for changes by other processes that share the window."""
        return self._shared.poll

    def update(self, change: Callable[[SlidingWindow, float], T]) -> T:
        """Apply `change(window, now)` in the store, or in memory while the store fails, and return its result."""
        with self._lock:
            if self._fallback is not None:
                return self._update_fallback(self._fallback, change)
            try:
                return self._update_shared(change)
            except Exception as error:
                self.has_failed = True
                if self._known is None:
                    raise
                return self._start_fallback(error, self._known).update(change)

    def _update_fallback(self, fallback: MemoryStore, change: Callable[[SlidingWindow, float], T]) -> T:
        if time.monotonic() >= self._retry_at:
            try:
                return self._return_to_shared(fallback, change)
            except Exception:  # noqa: BLE001 - already logged once
                self._retry_at = time.monotonic() + RETRY_INTERVAL
        return fallback.update(change)

    def _update_shared(self, change: Callable[[SlidingWindow, float], T]) -> T:
        """Change the shared window, and remember its new state if the store has saved the change."""

        def watched(window: SlidingWindow, now: float) -> tuple[T, tuple[bytes, float, float]]:
            result = change(window, now)
            return result, (encode(window), now, time.monotonic())

        result, self._known = self._shared.update(watched)
        self.has_worked = True
        return result

    def _start_fallback(self, error: Exception, known: tuple[bytes, float, float]) -> MemoryStore:
        logger.warning(
            "the rate limit store failed (%s): until it works again, this process limits itself alone", error
        )
        state, now, then = known
        self._fallback = MemoryStore(decode(state), clock=lambda: now + time.monotonic() - then)
        self._retry_at = time.monotonic() + RETRY_INTERVAL
        return self._fallback

    def _return_to_shared(self, fallback: MemoryStore, change: Callable[[SlidingWindow, float], T]) -> T:
        own, then = fallback.update(lambda window, now: (encode(window), now))

        def merge_and_change(window: SlidingWindow, now: float) -> T:
            window.merge(decode(own), now - then)
            return change(window, now)

        result = self._update_shared(merge_and_change)
        self._fallback = None
        logger.warning("the rate limit store works again")
        return result

    def after_fork(self) -> MemoryFallback:
        """Return a store for a forked child, with its own connections."""
        child = MemoryFallback(self._shared.after_fork())
        child.has_worked, child.has_failed = self.has_worked, self.has_failed
        return child

    def close(self) -> None:
        """Close files and connections."""
        self._shared.close()
