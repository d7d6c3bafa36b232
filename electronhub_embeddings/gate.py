"""The limiter as the line meets it: a slot is taken here before a request leaves, and settled when it has ended."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from electronhub_embeddings.limits import Pause, Window
    from electronhub_embeddings.stores import RateLimitStore

logger = logging.getLogger("electronhub_embeddings")

GATHER = 0.02
"""Share of the time that a slot is worth (the period over the limit: 12 s at 5 a minute) for which a request that is
not full waits for company, when another one has only just left. So 500 queries at once become two requests: the first
leaves at once, the others together."""


class Gate:
    """Asks the store that keeps the window.

    Args:
        store: Where the window is kept.
        owns_store: Whether the store is closed with the gate.
    """

    def __init__(self, store: RateLimitStore, *, owns_store: bool) -> None:
        self.store = store
        self.gap: float | None = None
        """Seconds for which to gather texts after a start; None: no limit is in force."""
        self._owns_store = owns_store

    def take(self, slot: str, *, lease: float, cap: int | None) -> Pause | None:
        """Take a slot and return None, or return why not now; whatever the store raises is the caller's to handle."""

        def start(window: Window, now: float) -> tuple[Pause | None, float | None]:
            pause = window.start(now, slot, lease=lease, cap=cap)
            limit = window.least(cap)
            gap = GATHER * window.period / limit if limit else 0.0
            return pause, gap if limit or window.probing else None

        pause, self.gap = self.store.update(start)
        return pause

    def settle(self, change: Callable[[Window, float], None]) -> None:
        """Change the window for a slot that is taken; if the store fails, the slot's lease ends it some time."""
        try:
            self.store.update(change)
        except Exception:
            logger.exception("the rate limit store failed")

    def forecast(self, starts: list[int], *, cap: int | None) -> list[float] | None:
        """Tell for each number of starts the seconds until the last, at the earliest; None: it is too early to tell."""

        def look(window: Window, now: float) -> list[float] | None:
            return None if window.probing else [window.wait(now, cap=cap, starts=number) for number in starts]

        return self.store.update(look)

    def close(self) -> None:
        """Close the store, if it is ours."""
        if self._owns_store:
            self.store.close()
