"""What is known of the limit, and what is left of it: for people, who read it. No request is decided by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow


@dataclass(frozen=True)
class LimitStatus:
    """The limit of an account at one moment."""

    limit: int | None
    """Requests per period; None: no limit is known, or there is none."""
    left: int | None
    """Requests that can start now; None if `limit` is None."""
    period: float
    """Seconds over which the service counts."""
    wait: float
    """Seconds until the next request can start."""


def read_status(window: SlidingWindow, now: float, *, cap: int | None = None) -> LimitStatus:
    """Return the status of a window, with the caller's own limit if that is lower; changes nothing."""
    share, wait = window.share(cap), window.delay(now, cap=cap)
    left = None if share is None else 0 if wait else max(0, share - window.slots.taken(now))
    return LimitStatus(window.effective_limit(cap), left, window.period, wait)
