"""The interactive calls that wait for a slot, wherever they wait: in a worker, another thread, or another process.

All of them ask again at the moment when the next slot is free. Whoever asked first gets it, and documents that leave
evenly spaced come after all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

RECHECK_INTERVAL = 1.0
"""Seconds after which whoever waits asks again: a limit can be raised, or shared with another process."""

WAITER_TTL = 2.0
"""Seconds after which a call that has not asked again is no longer waited for: it was cancelled, or its process died.

Two recheck intervals, so that a busy process keeps its place."""

MAX_WAITERS = 100
"""Most calls whose order is kept, a whole minute of the highest limit: they are part of the window's state."""


@dataclass
class WaitQueue:
    """The interactive calls that wait, in the order in which they asked first."""

    waiting: dict[str, float] = field(default_factory=dict[str, float])
    """The name of the slot for each call -> when the call must have asked again."""

    def ahead_of(self, slot: str) -> int:
        """Count the calls that have asked before this one, or all of them if it does not wait yet."""
        return list(self.waiting).index(slot) if slot in self.waiting else len(self.waiting)

    def add(self, now: float, slot: str) -> None:
        """Record that a call has asked, and has to wait."""
        if slot in self.waiting or len(self.waiting) < MAX_WAITERS:
            self.waiting[slot] = now + WAITER_TTL

    def remove(self, slot: str) -> None:
        """Record that a call waits no longer."""
        self.waiting.pop(slot, None)

    def expire(self, now: float) -> None:
        """Drop the calls that have not asked again."""
        if self.waiting and min(self.waiting.values()) <= now:
            self.waiting = {slot: until for slot, until in self.waiting.items() if until > now}

    def merge(self, other: WaitQueue) -> None:
        """Add the calls of another window; which of them asked first is not known."""
        self.waiting.update(other.waiting)

    def shift_clock(self, shift: float) -> None:
        """Shift all times by `shift` seconds."""
        self.waiting = {slot: until + shift for slot, until in self.waiting.items()}
