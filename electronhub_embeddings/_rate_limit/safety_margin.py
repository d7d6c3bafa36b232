"""The safety margin: seconds added to every hold. A 429 doubles it; hours of successful answers halve it again."""

from __future__ import annotations

from dataclasses import dataclass, field

from electronhub_embeddings._rate_limit.good_periods import MAX_GOOD_PERIODS, GoodPeriods, required

SAFETY_MARGIN = 0.1
"""Seconds added to every hold, because clocks run at slightly different speeds."""

MAX_SAFETY_MARGIN = 5.0
"""Largest margin, in seconds. With a hold of 65 s, it costs 8 % of the throughput."""

HALVE_AFTER = 60
"""Good periods (one hour) after which the margin is halved."""


@dataclass
class MarginGrowth:
    """How far the margin has grown.

    A 429 after a halving shows that the halving was a mistake: the service may count over a longer period than it
    says. The next halving then waits twice as long, up to a day of good periods. Otherwise, a necessary margin would
    cost one cooldown per hour.
    """

    doublings: int = 0
    failures: int = 0
    """429s that followed a halving."""
    halved: bool = False
    """Whether the margin was halved since the last 429."""
    good: GoodPeriods = field(default_factory=GoodPeriods)

    def apply(self, margin: float) -> float:
        """Return the current margin in seconds, given the smallest one."""
        return max(margin, min(margin * 2.0**self.doublings, MAX_SAFETY_MARGIN))

    def grow(self, margin: float) -> None:
        """Double the margin, up to the maximum: a 429 arrived although our own count was right."""
        self.failures += self.halved
        self.halved = False
        self.good.restart()
        if self.apply(margin) < MAX_SAFETY_MARGIN:
            self.doublings += 1

    def note_good(self, now: float, period: float) -> None:
        """Record a successful answer, and halve the margin after enough good periods."""
        if not self.good.note(now, period):
            return
        if self.doublings and self.good.count >= required(HALVE_AFTER, self.failures):
            self.doublings -= 1
            self.halved = True
            self.good.restart()
        elif not self.doublings and self.good.count >= MAX_GOOD_PERIODS:
            self.failures, self.halved = 0, False

    def merge(self, other: MarginGrowth) -> None:
        """Adopt another window's growth if it is larger."""
        if other.doublings > self.doublings:
            self.doublings, self.failures, self.halved, self.good = (
                other.doublings,
                other.failures,
                other.halved,
                other.good,
            )
