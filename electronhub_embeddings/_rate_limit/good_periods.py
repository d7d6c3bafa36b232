"""How long the limiter waits before it tries more: a number of good periods, doubled by each failure."""

from __future__ import annotations

from dataclasses import dataclass

MAX_GOOD_PERIODS = 1440
"""Most good periods to wait for: one day of 60 s periods. A failure once a day costs 0.2 % of the time."""


@dataclass
class GoodPeriods:
    """Counts periods in which the service answered successfully."""

    count: int = 0
    """Complete periods, each from one successful answer to another."""
    since: float | None = None
    """The time of the successful answer that started the current period."""

    def note(self, now: float, period: float) -> bool:
        """Record a successful answer; return whether it ends a period. A gap between answers ends at most one."""
        if self.since is None:
            self.since = now
        ends = now - self.since >= period
        if ends:
            self.count, self.since = self.count + 1, now
        return ends

    def restart(self) -> None:
        """Start counting from zero."""
        self.count, self.since = 0, None


def required(periods: int, failures: int) -> int:
    """Return how many good periods to wait for: `periods`, doubled by each failure, up to a day."""
    return int(min(periods * 2.0 ** min(failures, 64), MAX_GOOD_PERIODS))
