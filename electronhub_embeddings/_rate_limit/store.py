"""The interface of stores for the rate limiter's window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable

    from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow

T = TypeVar("T")


@runtime_checkable
class RateLimitStore(Protocol):
    """Keeps one account's window for all threads or processes that share it."""

    @property
    def poll(self) -> float | None:
        """Seconds between two checks for changes by other processes; None: the window is not shared."""
        ...

    def update(self, change: Callable[[SlidingWindow, float], T]) -> T:
        """Apply `change(window, now)` atomically and return its result."""
        ...

    def after_fork(self) -> RateLimitStore:
        """Return the store that a forked child uses."""
        ...

    def close(self) -> None:
        """Close files and connections."""
        ...
