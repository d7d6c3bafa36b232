"""Spreads documents over the period while interactive calls are made, so that one of those never waits for long.

A job that fills the window in its first seconds leaves no slot for a search during the rest of the minute. As long as
queries or chat calls were seen within the last minutes, documents therefore leave one by one, a slot's spacing apart.
The job keeps its rate, because slots are free again just as evenly.
"""

from __future__ import annotations

from dataclasses import dataclass

INTERACTIVE_MEMORY = 300.0
"""Seconds after the last interactive call for which documents still leave evenly spaced."""

PRECEDENCE = 1.0
"""Seconds after a slot became free for which it is kept for an interactive call that was denied one."""


@dataclass
class EvenSpacing:
    """When the next request with documents alone may start."""

    until: float = 0.0
    """Until when documents leave evenly spaced."""
    last_start: float = 0.0
    """The latest start of any request."""
    kept_until: float = 0.0
    """Until when the next free slot is kept for an interactive call that is waiting, perhaps in another process."""

    def note_interactive(self, now: float) -> None:
        """Note that somebody makes interactive calls."""
        self.until = now + INTERACTIVE_MEMORY

    def keep_slot(self, free_at: float) -> None:
        """Keep the slot that is free at `free_at` for an interactive call that was denied one."""
        self.kept_until = free_at + PRECEDENCE

    def delay(self, now: float, spacing: float, free: int) -> float:
        """Return the seconds until documents may start.

        Args:
            now: The time.
            spacing: Seconds between two slots that are spread evenly over the period.
            free: Slots that are free now.
        """
        if now >= self.until:
            return 0.0
        kept = self.kept_until - now if free <= 1 else 0.0
        return max(0.0, self.last_start + spacing - now, kept)

    def note_start(self, now: float, *, interactive: bool) -> None:
        """Note that a request starts."""
        self.last_start = now
        if interactive:
            self.kept_until = 0.0

    def merge(self, other: EvenSpacing) -> None:
        """Merge what another window knows."""
        self.until = max(self.until, other.until)
        self.last_start = max(self.last_start, other.last_start)
        self.kept_until = max(self.kept_until, other.kept_until)

    def shift_clock(self, shift: float) -> None:
        """Shift all times by `shift` seconds."""
        self.until += shift
        self.last_start += shift
        self.kept_until += shift
