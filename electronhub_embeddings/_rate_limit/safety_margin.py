"""The safety margin: seconds added to every hold. A 429 doubles it, hours of good answers halve it again."""

from __future__ import annotations

from dataclasses import dataclass, field

from electronhub_embeddings._rate_limit.good_periods import MAX_GOOD_PERIODS, GoodPeriods, required

SAFETY_MARGIN = 0.1
"""Seconds added to every hold, for clocks that do not run quite alike."""

MAX_SAFETY_MARGIN = 5.0
"""Seconds that the margin can grow to: of a hold of 65 s, 8 % of the throughput."""

HALVE_AFTER = 60
"""Good periods (an hour's) after which the margin is halved."""


@dataclass
class MarginGrowth:
    """How much the margin has grown.

    A halving that is followed by another 429 was a mistake: the service may count over more than it says. Then the
    next halving waits twice as long, up to a day's good periods, so that a margin that is needed is not paid for with
    a cooldown an hour.
    """

    doublings: int = 0
    failures: int = 0
    """429s that came after a halving."""
    halved: bool = False
    """Whether the margin was halved since the last 429."""
    good: GoodPeriods = field(default_factory=GoodPeriods)

    def apply(self, margin: float) -> float:
        """Return the margin as it has grown, in seconds, from its smallest."""
        return max(margin, min(margin * 2.0**self.doublings, MAX_SAFETY_MARGIN))

    def grow(self, margin: float) -> None:
        """Double the margin, up to its bound: a 429 came although our own count was right."""
        self.failures += self.halved
        self.halved = False
        self.good.restart()
        if self.apply(margin) < MAX_SAFETY_MARGIN:
            self.doublings += 1

    def note_good(self, now: float, period: float) -> None:
        """Take note of a good answer, and halve the margin after enough periods of them."""
        if not self.good.note(now, period):
            return
        if self.doublings and self.good.count >= required(HALVE_AFTER, self.failures):
            self.doublings -= 1
            self.halved = True
            self.good.restart()
        elif not self.doublings and self.good.count >= MAX_GOOD_PERIODS:
            self.failures, self.halved = 0, False

    def merge(self, other: MarginGrowth) -> None:
        """Adopt another window's growth, if it is more."""
        if other.doublings > self.doublings:
            self.doublings, self.failures, self.halved, self.good = (
                other.doublings,
                other.failures,
                other.halved,
                other.good,
            )
