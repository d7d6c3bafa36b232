"""How long the limiter waits before it becomes bolder: a number of good periods, twice as many after each failure."""

from __future__ import annotations

from dataclasses import dataclass

MAX_GOOD_PERIODS = 1440
"""Good periods that are waited for at most: a day's, of 60 s each. Failing once a day costs 0.2 % of the time."""


@dataclass
class GoodPeriods:
    """Counts periods in which the service has answered well."""

    count: int = 0
    """Whole periods, from one good answer to another one."""
    since: float | None = None
    """The good answer at which the period under way has begun."""

    def note(self, now: float, period: float) -> bool:
        """Take note of a good answer; return whether it ends a period. Time without answers ends one at most."""
        if self.since is None:
            self.since = now
        ends = now - self.since >= period
        if ends:
            self.count, self.since = self.count + 1, now
        return ends

    def restart(self) -> None:
        """Count from nothing again."""
        self.count, self.since = 0, None


def required(periods: int, failures: int) -> int:
    """Return how many good periods to wait for: `periods`, doubled by each failure, up to a day."""
    return int(min(periods * 2.0 ** min(failures, 64), MAX_GOOD_PERIODS))
