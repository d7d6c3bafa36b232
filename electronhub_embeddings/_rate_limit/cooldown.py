"""The cooldown after a 429: for how long nothing may be sent.

The service: exceeding the limit starts 180 s in which nothing may be sent, "even if your normal window would have
reset". A call during the cooldown is taken to begin it anew.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_COOLDOWN_DOUBLINGS = 2
"""Times that a cooldown is doubled at most: with the service's 180 s, to 12 minutes."""


@dataclass
class Cooldown:
    """When the cooldown ends, and how often in a row the service has refused."""

    until: float = 0.0
    """The time at which calls may start again."""
    refusals: int = 0
    """Cooldowns since the last good answer."""

    def start(self, now: float, seconds: float, margin: float) -> bool:
        """Begin a cooldown, or prolong the one in force; return whether this one has begun.

        Two clients that lock each other out, and wait equally long, would never get apart. So a cooldown that
        follows another one without a good answer in between lasts twice as long, then four times.

        Args:
            now: The time.
            seconds: What the service asks for.
            margin: Seconds added, for clocks that do not run quite alike.
        """
        begins = now >= self.until  # else the call was in flight with the refused one, and teaches nothing new
        if begins:
            seconds *= 2 ** min(self.refusals, MAX_COOLDOWN_DOUBLINGS)
            self.refusals += 1
        self.until = max(self.until, now + seconds + margin)
        return begins
