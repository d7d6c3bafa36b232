"""The rate limit as the service keeps it.

- Every call counts as one, failed and refused ones too.
- The window slides: a call is forgotten `window` seconds after it was counted.
- A call over the limit starts a cooldown in which every call is refused, "even if your normal window would
  have reset". A call during the cooldown starts it anew.

No clock is read here: `now` is an argument, in seconds, and never goes back.
"""

from __future__ import annotations

from collections import deque


class Meter:
    """Counts the calls of one key.

    Args:
        limit: calls admitted in any window; at least 1.
        window: seconds for which a call counts.
        cooldown: seconds of refusal after the last call too many.
    """

    def __init__(self, limit: int, window: float = 60.0, cooldown: float = 180.0) -> None:
        self.limit = limit
        self.window = window
        self.cooldown = cooldown
        self.reset()

    def reset(self) -> None:
        """Forget every call and the cooldown."""
        # When each counted call leaves the window, earliest first.
        self._leaving: deque[float] = deque()
        self._cool_at = float("-inf")

    def count(self, now: float) -> float | None:
        """Count one call; return None when it is admitted, else for how many seconds calls are refused."""
        self._forget(now)
        over = len(self._leaving) >= self.limit
        self._leaving.append(now + self.window)
        if over or self.cooling(now):
            self._cool_at = now + self.cooldown
            return self.cooldown
        return None

    def cooling(self, now: float) -> bool:
        """Return whether a cooldown is running."""
        return now < self._cool_at

    def remaining(self, now: float) -> int:
        """Return how many calls would be admitted now."""
        self._forget(now)
        return 0 if self.cooling(now) else max(0, self.limit - len(self._leaving))

    def reset_in(self, now: float) -> float:
        """Return the seconds until a call is admitted.

        While one is admitted now: until the oldest counted call is forgotten; 0.0 when nothing is counted.
        """
        self._forget(now)
        slot = 0.0
        if self._leaving:
            # Refused calls count too, so more of them than the limit may have to leave first.
            slot = self._leaving[max(0, len(self._leaving) - self.limit)] - now
        return max(slot, self._cool_at - now, 0.0)

    def _forget(self, now: float) -> None:
        while self._leaving and self._leaving[0] <= now:
            self._leaving.popleft()
