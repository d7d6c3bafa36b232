"""The cooldown after a 429: how long nothing may be sent.

The service's documentation: exceeding the limit starts a cooldown of 180 s, "even if your normal window would have
reset". We assume that a call during the cooldown restarts it.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_COOLDOWN_DOUBLINGS = 2
"""Maximum number of times a cooldown is doubled: from the service's 180 s to 12 minutes."""


@dataclass
class Cooldown:
    """When the cooldown ends, and how many cooldowns in a row there have been."""

    until: float = 0.0
    """The time from which calls may start again."""
    refusals: int = 0
    """Cooldowns since the last successful answer."""

    def start(self, now: float, seconds: float, margin: float) -> bool:
        """Start a cooldown, or extend the current one; return whether a new one was started.

        Two clients that trigger each other's cooldowns would stay in step if they always waited equally long. A
        cooldown that follows another one with no successful answer in between therefore lasts twice as long, the next
        one four times.

        Args:
            now: The time.
            seconds: The duration that the service asks for.
            margin: Seconds added, because clocks run at slightly different speeds.
        """
        is_new = now >= self.until  # else the call was in flight together with the refused one
        if is_new:
            seconds *= 2 ** min(self.refusals, MAX_COOLDOWN_DOUBLINGS)
            self.refusals += 1
        self.until = max(self.until, now + seconds + margin)
        return is_new
