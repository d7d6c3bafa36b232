"""The share of the limit that other callers use: chat calls, other processes, other users of the same key.

The service counts all calls of a key in one window. `X-RateLimit-Remaining` reveals the calls of others: the slots that
are used and are not ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

FOREIGN_HOLD_PERIODS = 3
"""Periods for which others are assumed to hold the slots that they were seen to hold."""

FOREIGN_EXPIRY_PERIODS = 3
"""Further periods after which a sighting is dropped even if no newer answer has ended it."""

ABSENCE_PERIODS = 2
"""Periods after which no slots are left to others, if every answer in them has shown no other caller."""

FOREIGN_SHARE_TTL = 600.0
"""Seconds after a cooldown for which half of the limit is left to the others who exceeded it together with us."""


@dataclass
class ForeignShare:
    """The slots that others were seen to use, and until when that many are left to them."""

    sightings: list[tuple[float, int]] = field(default_factory=list[tuple[float, int]])
    """(earliest end, slots), most slots first; a sighting with fewer slots is kept only if it ends later."""
    latest: int = 0
    """The slots that others held at the latest answer."""
    absent_since: float | None = None
    """Since when every answer has shown that no other caller uses slots."""

    def reserve(self, limit: int) -> int:
        """Return the slots to leave to others: what they may use soon, but never all of them.

        That is the most they were seen to use of late, or more than they use now: by half of the square root, which is
        how far a count of random arrivals is usually off.
        """
        if not self.sightings:
            return 0
        likely = math.ceil(self.latest + math.sqrt(self.latest) / 2)
        return min(max(likely, self.sightings[0][1]), limit - 1)

    def observe(self, now: float, count: int, likely: int, *, period: float, hold: float) -> None:
        """Record how many slots others held when the service counted one of our calls.

        An expired sighting is dropped only after a newer observation, or much later by `expire`. Others may pause just
        when our own slots are released, and a burst of ours would collide with their next calls.

        Args:
            now: The time.
            count: Their slots for certain; 0 or less: no other caller was seen.
            likely: Their slots, if the service has counted our calls in the order in which they started.
            period: Seconds over which the service counts.
            hold: Seconds for which a slot is held.
        """
        self.sightings = [seen for seen in self.sightings if seen[0] > now]
        self.latest = max(0, likely)
        self.leave(count, now + FOREIGN_HOLD_PERIODS * hold)
        if count > 0:
            self.absent_since = None
        elif self.absent_since is None:
            self.absent_since = now
        elif now - self.absent_since > ABSENCE_PERIODS * period:
            self.sightings = []

    def leave_half(self, limit: int, cooldown_ends: float) -> None:
        """Leave half of the limit to others, and one slot more: a fair share, because their demand is not known."""
        self.absent_since = None
        self.leave(limit // 2 + 1, cooldown_ends + FOREIGN_SHARE_TTL)

    def leave(self, count: int, until: float) -> None:
        """Leave `count` slots to others until a time; fewer slots that are left for longer are kept as well."""
        if count > 0:
            self.sightings = [seen for seen in self.sightings if seen[1] > count or seen[0] > until]
            self.sightings.append((until, count))
            self.sightings.sort(key=lambda seen: -seen[1])

    def expire(self, now: float, period: float) -> None:
        """Drop old sightings that no newer answer has ended."""
        self.sightings = [seen for seen in self.sightings if seen[0] + FOREIGN_EXPIRY_PERIODS * period > now]

    def merge(self, other: ForeignShare) -> None:
        """Add the sightings of another window."""
        self.latest = max(self.latest, other.latest)
        for until, count in other.sightings:
            self.leave(count, until)

    def shift_clock(self, shift: float) -> None:
        """Shift all times by `shift` seconds; `absent_since` is reset."""
        self.sightings = [(until + shift, count) for until, count in self.sightings]
        self.absent_since = None
