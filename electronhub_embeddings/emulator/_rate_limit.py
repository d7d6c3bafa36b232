"""The rate limit of one key: a sliding window and a cooldown.

- Every call counts as one, including failed and rejected calls.
- The window slides: a call stops counting `window` seconds after it was counted.
- A call over the limit starts a cooldown in which every call is rejected, "even if your normal window would
  have reset". A call during the cooldown restarts it.

No clock is read here: `now` is an argument, in seconds, and never decreases.
"""

from __future__ import annotations

from collections import deque
from typing import Final

PLANS: Final = {
    "free": 5,
    "starter": 10,
    "plus": 15,
    "core": 20,
    "pro": 30,
    "business": 60,
    "enterprise": 100,
}
"""Requests per minute by plan. The real table changes often, so a client must learn its limit from the headers."""

DOCUMENTED_WINDOW: Final = 60.0
"""Seconds over which the real service counts calls. It names them in no header; the emulator names other ones."""


def requests_per_minute(plan: str) -> int:
    """Return the requests per minute of `plan`.

    Raises:
        ValueError: there is no such plan.
    """
    if plan not in PLANS:
        raise ValueError(f"unknown plan {plan!r}: expected one of {', '.join(PLANS)}")
    return PLANS[plan]


class RateLimitWindow:
    """Counts the calls of one key.

    Args:
        limit: calls admitted in any window; at least 1.
        window: seconds for which a call counts.
        cooldown: seconds for which calls are rejected after the last call over the limit.
    """

    def __init__(self, limit: int, window: float = DOCUMENTED_WINDOW, cooldown: float = 180.0) -> None:
        self.limit = limit
        self.window = window
        self.cooldown = cooldown
        self.clear()

    def clear(self) -> None:
        """Forget every call and the cooldown."""
        # When each counted call leaves the window, earliest first.
        self._expiries: deque[float] = deque()
        self._cooldown_end = float("-inf")

    def count(self, now: float) -> float | None:
        """Count one call; return None if it is admitted, else the seconds for which calls are rejected."""
        self._expire(now)
        over_limit = len(self._expiries) >= self.limit
        self._expiries.append(now + self.window)
        if over_limit or self.in_cooldown(now):
            self._cooldown_end = now + self.cooldown
            return self.cooldown
        return None

    def in_cooldown(self, now: float) -> bool:
        """Return whether a cooldown is running."""
        return now < self._cooldown_end

    def remaining(self, now: float) -> int:
        """Return how many calls would be admitted now."""
        self._expire(now)
        return 0 if self.in_cooldown(now) else max(0, self.limit - len(self._expiries))

    def reset_after(self, now: float) -> float:
        """Return the seconds until a call is admitted.

        If a call would be admitted now, return the seconds until the oldest counted call leaves the window, or
        0.0 if no call is counted.
        """
        self._expire(now)
        wait = 0.0
        if self._expiries:
            # Rejected calls count too, so more calls than the limit may have to leave the window first.
            wait = self._expiries[max(0, len(self._expiries) - self.limit)] - now
        return max(wait, self._cooldown_end - now, 0.0)

    def _expire(self, now: float) -> None:
        while self._expiries and self._expiries[0] <= now:
            self._expiries.popleft()
