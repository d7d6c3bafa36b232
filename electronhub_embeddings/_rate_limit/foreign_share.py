"""The share of the limit that others spend: chat calls, other processes, whoever has the same key.

The service counts all calls of a key in one window. Others show in `X-RateLimit-Remaining`: what is gone and was not
ours was theirs.
"""

from __future__ import annotations

from dataclasses import dataclass, field

FOREIGN_HOLD_PERIODS = 2
"""Periods for which others are taken to hold what they were seen to hold."""

FOREIGN_EXPIRY_PERIODS = 3
"""Periods after that in which the sighting is forgotten, if no newer answer has ended it."""

ABSENCE_PERIODS = 2
"""Periods in which every answer has shown nobody else, after which nothing is left to others any more."""

FOREIGN_SHARE_TTL = 600.0
"""Seconds after a cooldown for which half of the limit is left to others who passed the limit with us."""


@dataclass
class ForeignShare:
    """What others were seen to spend, and until when that much is left to them."""

    sightings: list[tuple[float, int]] = field(default_factory=list)
    """(until when it counts at least, how many slots); of later ones, those with fewer slots."""
    absent_since: float | None = None
    """Since when every answer has shown that nobody else spends."""

    def reserve(self, limit: int) -> int:
        """Count the slots to leave to others, a quarter more than they were seen to take; one slot stays ours."""
        if not self.sightings:
            return 0
        count = self.sightings[0][1]
        return min(count + max(1, count // 4), limit - 1)

    def see(self, now: float, count: int, *, period: float, hold: float) -> None:
        """Note how many slots others held when a call of ours was counted.

        A sighting that has run out ends only now, with a newer look: others may have had a rest just when our own
        slots came free, and a burst of ours would meet their next one.

        Args:
            now: The time.
            count: Their slots; none or fewer: nobody else was seen.
            period: Seconds over which the service counts.
            hold: Seconds for which a slot is held.
        """
        self.sightings = [seen for seen in self.sightings if seen[0] > now]
        self.leave(count, now + FOREIGN_HOLD_PERIODS * hold)
        if count > 0:
            self.absent_since = None
        elif self.absent_since is None:
            self.absent_since = now
        elif now - self.absent_since > ABSENCE_PERIODS * period:
            self.sightings = []

    def leave_half(self, limit: int, cooldown_ends: float) -> None:
        """Leave half of the limit to others: their fair share, for what they want is not known."""
        self.absent_since = None
        self.leave(max(1, limit // 2), cooldown_ends + FOREIGN_SHARE_TTL)

    def leave(self, count: int, until: float) -> None:
        """Leave so many slots to others until a time; more for a shorter time does not undo fewer for a longer one."""
        if count > 0:
            self.sightings = [seen for seen in self.sightings if seen[1] > count or seen[0] > until]
            self.sightings.append((until, count))
            self.sightings.sort(key=lambda seen: -seen[1])

    def expire(self, now: float, period: float) -> None:
        """Forget sightings that no newer answer has ended."""
        self.sightings = [seen for seen in self.sightings if seen[0] + FOREIGN_EXPIRY_PERIODS * period > now]

    def merge(self, other: ForeignShare) -> None:
        """Add what another window has seen."""
        for until, count in other.sightings:
            self.leave(count, until)

    def shift_clock(self, shift: float) -> None:
        """Move every time by `shift` seconds; how long others have been absent is not known any more."""
        self.sightings = [(until + shift, count) for until, count in self.sightings]
        self.absent_since = None
