"""The slots of an account's calls: in flight until the answer, and held until the service no longer counts the call.

A slot is held for one period after the latest time at which the service can have counted its call, not for one period
after the call was sent.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

LATE_ARRIVAL = 2.0
"""Seconds for which an abandoned call without an answer can still be on its way to the service."""

MAX_HELD_WITHOUT_LIMIT = 1000
"""Most held slots that are kept while no limit is known."""


@dataclass
class Slots:
    """The slots that count against the limit, by name."""

    in_flight: dict[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    """Slots of calls without an answer: slot -> (start, when to consider the call lost: its process may have died)."""
    held: dict[str, float] = field(default_factory=dict[str, float])
    """Slots of finished calls: slot -> when it is released."""

    def complete(self, now: float, slot: str, *, counted: float | None, hold: float) -> float:
        """Hold the slot of a call that has ended; return when the call started.

        Args:
            now: The time.
            slot: The slot.
            counted: The latest time at which the service can have counted the call; None: there was no answer.
            hold: Seconds for which the slot is held after that time.
        """
        started, _ = self.in_flight.pop(slot, (now, now))
        self.held[slot] = (now + LATE_ARRIVAL if counted is None else counted) + hold
        return started

    def taken(self, now: float) -> int:
        """Count the slots that are not free at a time, or were not at any time since."""
        return len(self.in_flight) + self.answered(now)

    def started_after(self, start: float) -> int:
        """Count the calls without an answer that started later than another call."""
        return sum([began > start for began, _ in self.in_flight.values()])

    def answered(self, now: float) -> int:
        """Count the slots that are held."""
        return sum([end > now for end in self.held.values()])  # a list: each query counts the slots several times

    def next_start(self, now: float, share: int, hold: float, calls: int) -> float:
        """Return when the last of `calls` further calls can start, if the first may start at `now`.

        Args:
            now: The earliest time.
            share: Calls that may have slots at the same time.
            hold: Seconds for which each further slot will be held.
            calls: The number of calls.
        """
        ends = [*self.held.values(), *(start + hold for start, _ in self.in_flight.values())]
        taken = [end for end in ends if end > now]
        heapq.heapify(taken)
        for _ in range(calls):
            while len(taken) >= share:
                now = max(now, heapq.heappop(taken))
            heapq.heappush(taken, now + hold)
        return now

    def expire(self, now: float, hold: float, *, is_limited: bool) -> None:
        """Hold the slots of lost calls, and drop those that count no longer."""
        for slot, (_, end) in list(self.in_flight.items()):
            if end <= now:
                del self.in_flight[slot]
                self.held[slot] = end + hold
        if not is_limited and len(self.held) > MAX_HELD_WITHOUT_LIMIT:
            self.held = dict(list(self.held.items())[-MAX_HELD_WITHOUT_LIMIT // 2 :])
        oldest = min((start for start, _ in self.in_flight.values()), default=now)
        if next(iter(self.held.values()), now) <= oldest:  # checks only the first slot, usually the earliest to end
            self.held = {slot: end for slot, end in self.held.items() if end > oldest}

    def merge(self, other: Slots) -> None:
        """Merge the slots of another window; a call that has ended in one of them has ended."""
        self.in_flight.update((slot, times) for slot, times in other.in_flight.items() if slot not in self.held)
        for slot, end in other.held.items():
            self.in_flight.pop(slot, None)
            self.held[slot] = max(end, self.held.get(slot, end))

    def prolong(self, seconds: float) -> None:
        """Hold all held slots for longer, or for less long."""
        self.held = {slot: end + seconds for slot, end in self.held.items()}

    def shift_clock(self, shift: float) -> None:
        """Shift all times by `shift` seconds."""
        self.in_flight = {slot: (start + shift, end + shift) for slot, (start, end) in self.in_flight.items()}
        self.prolong(shift)
