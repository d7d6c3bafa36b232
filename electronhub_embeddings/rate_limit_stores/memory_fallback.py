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

logger: logging.Logger = logging.getLogger("electronhub_embeddings")

RETRY_INTERVAL = 30.0
"""Seconds between two attempts to return to a store that has failed."""


class MemoryFallback:
    """Keeps the window in a shared store, and in memory while the store fails.

    Before the first success, errors are raised: a wrong path or address must not go unnoticed. Later errors are logged
    as a warning, and the last known window is continued in memory, so that running calls can finish. When the store
    works again, the requests counted meanwhile are merged into its window.

    Args:
        shared: The store.
        on_failed_start: For a store that the user has not named: called with an error before the first success, instead
            of raising it, and a new window is begun in memory.
    """

    def __init__(self, shared: RateLimitStore, *, on_failed_start: Callable[[Exception], None] | None = None) -> None:
        self._shared = shared
        self._on_failed_start = on_failed_start
        self._lock = threading.Lock()
        self._known: tuple[bytes, float, float] | None = None
        self._fallback: MemoryStore | None = None
        self._retry_at = 0.0
        self.has_worked: bool = False
        """Whether a change has ever been saved, in this process or a parent; until then the store may be replaced."""
        self.has_failed: bool = False
        """Whether the store has ever failed to save a change."""

    @property
    def poll(self) -> float | None:
        """Seconds between two checks for changes by other processes that share the window."""
        return self._shared.poll

    @property
    def may_lag_behind(self) -> bool:
        """Whether requests that no limit applies to may be saved a moment later: for a store that nobody has named."""
        return self._on_failed_start is not None and self._fallback is None

    def update(self, change: Callable[[SlidingWindow, float], T]) -> T:
        """Apply `change(window, now)` in the store, or in memory while the store fails, and return its result."""
        with self._lock:
            if self._fallback is not None:
                return self._update_fallback(self._fallback, change)
            try:
                return self._update_shared(change)
            except Exception as error:
                self.has_failed = True
                self._fallback = self._start_fallback(error)
                if self._fallback is None:
                    raise
                self._retry_at = time.monotonic() + RETRY_INTERVAL
                return self._fallback.update(change)

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

    def _start_fallback(self, error: Exception) -> MemoryStore | None:
        """Return a store in memory, after a warning; None: the error must be raised."""
        if self._known is not None:
            logger.warning(
                "the rate limit store failed (%s): until it works again, this process limits itself alone", error
            )
            return _continued(*self._known)
        if self._on_failed_start is None:
            return None
        self._on_failed_start(error)
        self.has_worked = True
        return MemoryStore()

    def _return_to_shared(self, fallback: MemoryStore, change: Callable[[SlidingWindow, float], T]) -> T:
        result = self._update_shared(fallback.merging(change))
        self._fallback = None
        logger.warning("the rate limit store works again")
        return result

    def last_known(self) -> MemoryStore | None:
        """Return a copy of the window as this process has seen it last; None: the store has never worked."""
        with self._lock:
            if self._fallback is None and self._known is not None:
                return _continued(*self._known)
            return self._fallback

    @property
    def is_disposable(self) -> bool:
        """Whether nothing is lost if this object is dropped: all that it knows is in the shared store."""
        fallback = self._fallback
        return fallback is None or fallback.idle

    def after_fork(self) -> MemoryFallback:
        """Return a store for a forked child, with its own connections.

        A child of a process that limits itself alone knows what that process has sent, if no error may be raised.
        """
        child = MemoryFallback(self._shared.after_fork(), on_failed_start=self._on_failed_start)
        child.has_worked, child.has_failed = self.has_worked, self.has_failed
        if self._fallback is not None and self._on_failed_start is not None:
            child._fallback, child._retry_at = self._fallback.after_fork(), self._retry_at
        return child

    def close(self) -> None:
        """Close files and connections."""
        self._shared.close()


def _continued(state: bytes, now: float, then: float) -> MemoryStore:
    """Return a store in memory that continues a window, which was encoded at `now` by its store's clock.

    Args:
        state: The encoded window.
        now: The time of the state, by the clock of its store.
        then: The same time, by the clock of this process.
    """
    return MemoryStore(decode(state), clock=lambda: now + time.monotonic() - then)
