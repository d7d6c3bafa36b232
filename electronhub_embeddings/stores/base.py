"""What a store of the limiter's window has to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable

    from electronhub_embeddings.limits import Window

T = TypeVar("T")


@runtime_checkable
class RateLimitStore(Protocol):
    """Keeps one account's window where all who must share it can reach it."""

    @property
    def poll(self) -> float | None:
        """Seconds after which to look again for an answer of others who share the window; None: there are none."""
        ...

    def update(self, change: Callable[[Window, float], T]) -> T:
        """Apply `change(window, now)` atomically and return what it returns."""
        ...

    def after_fork(self) -> RateLimitStore:
        """Return the store that a forked child uses."""
        ...

    def close(self) -> None:
        """Close files and connections."""
        ...
