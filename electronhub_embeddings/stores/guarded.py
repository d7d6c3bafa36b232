"""A shared store that may fail in the middle of a job: then this process goes on alone, and comes back later."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, TypeVar

import msgspec

from electronhub_embeddings.limits import Window
from electronhub_embeddings.stores.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from electronhub_embeddings.stores.base import RateLimitStore

T = TypeVar("T")

logger = logging.getLogger("electronhub_embeddings")

RETRY = 30.0
"""Seconds between two attempts to come back to a store that failed."""


class GuardedStore:
    """Keeps the window in a shared store, and in memory while that one fails.

    Before the first success a failure is the caller's to see: a wrong path or address must not go unnoticed. After it,
    a job is worth more than the sharing: a warning is logged, and the last window known is carried on in memory. What
    was counted meanwhile is handed to the store as soon as it answers again.
    """

    def __init__(self, shared: RateLimitStore) -> None:
        self._shared = shared
        self._lock = threading.Lock()
        self._known: tuple[bytes, float, float] | None = None
        self._alone: MemoryStore | None = None
        self._retry_at = 0.0

    @property
    def poll(self) -> float | None:
        """Seconds after which to look again for an answer of others who share the window."""
        return self._shared.poll

    def update(self, change: Callable[[Window, float], T]) -> T:
        """Apply `change(window, now)` where the window is kept at the moment, and return what it returns."""
        with self._lock:
            if self._alone is not None:
                return self._update_alone(self._alone, change)
            try:
                return self._update_shared(change)
            except Exception as error:
                if self._known is None:
                    raise
                return self._go_alone(error, self._known).update(change)

    def _update_alone(self, alone: MemoryStore, change: Callable[[Window, float], T]) -> T:
        if time.monotonic() >= self._retry_at:
            try:
                return self._come_back(alone, change)
            except Exception:  # noqa: BLE001 - it was announced once
                self._retry_at = time.monotonic() + RETRY
        return alone.update(change)

    def _update_shared(self, change: Callable[[Window, float], T]) -> T:
        """Change the shared window, and know it as it is then: but not if the change was not kept."""

        def watched(window: Window, now: float) -> tuple[T, tuple[bytes, float, float]]:
            result = change(window, now)
            return result, (msgspec.msgpack.encode(window), now, time.monotonic())

        result, self._known = self._shared.update(watched)
        return result

    def _go_alone(self, error: Exception, known: tuple[bytes, float, float]) -> MemoryStore:
        logger.warning("the rate limit store failed (%s): limiting in this process alone until it is back", error)
        state, now, then = known
        window = msgspec.msgpack.decode(state, type=Window)
        self._alone = MemoryStore(window, clock=lambda: now + time.monotonic() - then)
        self._retry_at = time.monotonic() + RETRY
        return self._alone

    def _come_back(self, alone: MemoryStore, change: Callable[[Window, float], T]) -> T:
        own, then = alone.update(lambda window, now: (msgspec.msgpack.encode(window), now))

        def adopt_and_change(window: Window, now: float) -> T:
            window.adopt(msgspec.msgpack.decode(own, type=Window), now - then)
            return change(window, now)

        result = self._update_shared(adopt_and_change)
        self._alone = None
        logger.warning("the rate limit store is back")
        return result

    def after_fork(self) -> GuardedStore:
        """Return a store for a forked child, with connections of its own."""
        return GuardedStore(self._shared.after_fork())

    def close(self) -> None:
        """Close files and connections."""
        self._shared.close()
