"""The outlook of a window: when further requests can start, if all stays as it is now.

Unlike `SlidingWindow.delay`, which is the earliest moment that is possible, this is what to expect: it counts the time
that answers take, the connections, and the even spacing beside interactive calls.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow

LimitSource = Literal["service", "guess", "option"]
"""Who says what the limit is: the service's headers, a guess after a 429, or the caller's `requests_per_minute`."""


@dataclass(frozen=True)
class RequestFlow:
    """How the requests of one configuration travel."""

    connections: int
    """Requests with documents that can be on the wire at once."""
    busy: int
    """Requests that are on the wire now."""
    round_trip: float
    """Seconds that a request takes."""
    is_spread: bool
    """Whether documents leave evenly spaced beside interactive calls, and beside others with the same key."""
    requests: int
    """Requests that the waiting documents need."""


@dataclass(frozen=True)
class Outlook:
    """What a window allows from now on; times are in seconds from now."""

    share: int | None
    """Requests per period that are ours; None: no limit is known."""
    source: LimitSource | None
    """Who says what the limit is; None: no limit is known."""
    others: int
    """Requests per minute that are left to others with the same key."""
    period: float
    """Seconds over which the service counts."""
    hold: float
    """Seconds for which a slot is held after its answer."""
    held: tuple[float, ...]
    """When the slots of answered requests are free again."""
    in_flight: tuple[float, ...]
    """When the requests without an answer started."""
    earliest: float
    """When the first request may start, at the earliest: later than 0.0 in a cooldown."""
    is_probing: bool
    """Whether requests leave one by one until an answer shows that they are accepted."""
    last_start: float
    """When the latest request started."""
    spread_until: float
    """Until when documents leave evenly spaced."""
    waiting: int
    """Interactive calls that wait for a slot, and are served before."""

    @property
    def is_known(self) -> bool:
        """Whether it is known how fast requests can leave: by a limit, or by answers that have named none."""
        return self.share is not None or not self.is_probing

    @property
    def requests_per_minute(self) -> int | None:
        """The requests that are ours in a minute; None: no limit is known."""
        return None if self.share is None else max(1, round(self.share * 60.0 / self.period))

    def starts(self, flow: RequestFlow) -> Iterator[float]:
        """Yield when each further request starts, without end."""
        slots = [*self.held, *(start + flow.round_trip + self.hold for start in self.in_flight)]
        connections = [flow.round_trip] * flow.busy
        heapq.heapify(slots)
        heapq.heapify(connections)
        spacing = self._spacing(flow)
        now, last, alone = self.earliest, self.last_start, self.is_probing
        if alone and self.in_flight:
            now = max(now, flow.round_trip + max(self.in_flight))
        ahead, to_come = self.waiting, flow.requests
        while True:
            while slots and (slots[0] <= now or (self.share is not None and len(slots) >= self.share)):
                now = max(now, heapq.heappop(slots))
            while len(connections) >= flow.connections:
                now = max(now, heapq.heappop(connections))
            exceeds = self.others and self.share is not None and len(slots) + to_come > self.share
            if now < self.spread_until or exceeds:
                now = max(now, last + spacing)
            if ahead:
                ahead -= 1
            else:
                yield now
                to_come -= 1
            last = now
            heapq.heappush(slots, now + flow.round_trip + self.hold)
            heapq.heappush(connections, now + flow.round_trip)
            if alone:
                now, alone = now + flow.round_trip, False

    def after_many(self, flow: RequestFlow, requests: int) -> tuple[int, float]:
        """Return whole cycles of a long job, as the number of their requests, `requests` at most, and their seconds.

        After its first requests, a job repeats itself: as many requests as the window has slots take one hold.
        """
        per_cycle = self.share or flow.connections
        seconds = per_cycle * flow.round_trip / flow.connections
        if self.share is not None:
            seconds = max(seconds, self.hold + flow.round_trip)
        cycles = requests // per_cycle
        return cycles * per_cycle, cycles * seconds

    def _spacing(self, flow: RequestFlow) -> float:
        return self.hold / self.share if self.share and flow.is_spread else 0.0


def look_ahead(window: SlidingWindow, now: float, cap: int | None) -> Outlook:
    """Return the outlook of a window.

    Args:
        window: The window; what counts no longer is dropped.
        now: The time.
        cap: The caller's own limit, in requests per period.
    """
    window.expire(now)
    limit = window.effective_limit(None)
    share = window.share(cap)
    source: LimitSource | None = None
    if share is not None:
        is_capped = limit is None or (cap is not None and share == cap < limit)
        source = "option" if is_capped else "guess" if window.limit is None else "service"
    return Outlook(
        share=share,
        source=source,
        others=0 if limit is None else round(window.foreign.reserve(limit) * 60.0 / window.period),
        period=window.period,
        hold=window.hold,
        held=tuple(end - now for end in window.slots.held.values() if end > now),
        in_flight=tuple(start - now for start, _ in window.slots.in_flight.values()),
        earliest=max(0.0, max(window.cooldown.until, window.unknown_until) - now),
        is_probing=window.probing,
        last_start=window.spacing.last_start - now,
        spread_until=window.spacing.interactive_until - now,
        waiting=len(window.wait_queue.waiting),
    )
