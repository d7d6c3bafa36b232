"""The rate limit as the service sees it: a sliding window of slots. No I/O; the time is an argument.

Invariants:
- Every call acquires one slot before it is sent. Slots in flight, held slots and the share of others count against the
  limit.
- Interactive calls that wait get their slots in the order in which they asked.
- The headers override the local count.
- Only one call at a time is sent until an answer shows that calls are accepted, and again after each 429.
- After a 429, nothing starts before the cooldown is over.

Times are in seconds, on a clock that never jumps. The window's store chooses the clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from electronhub_embeddings._rate_limit.cooldown import Cooldown
from electronhub_embeddings._rate_limit.even_spacing import EvenSpacing
from electronhub_embeddings._rate_limit.foreign_share import ForeignShare
from electronhub_embeddings._rate_limit.guessed_limit import GuessedLimit
from electronhub_embeddings._rate_limit.rate_limit_headers import RateLimitHeaders
from electronhub_embeddings._rate_limit.safety_margin import SAFETY_MARGIN, MarginGrowth
from electronhub_embeddings._rate_limit.slots import Slots
from electronhub_embeddings._rate_limit.wait_queue import WaitQueue

PERIOD = 60.0
"""Seconds over which the service counts requests."""


@dataclass(frozen=True)
class Pause:
    """Why no request may start now."""

    seconds: float | None
    """Minimum seconds until a request may start; None: until the response of a request in flight has arrived."""
    reason: str


@dataclass
class SlidingWindow:
    """The known limit of one account, and its slots in use.

    Plain data that any store can serialise; all changes are made by methods.
    """

    period: float = PERIOD
    """Seconds over which the service counts; a header may name others, as that of an emulator with a short window."""
    margin: float = SAFETY_MARGIN
    """Seconds added to every hold, before any 429 has increased them."""
    margin_growth: MarginGrowth = field(default_factory=MarginGrowth)
    limit: int | None = None
    """Requests per period, as reported by the service; None: it has reported none, or there is no limit."""
    guess: GuessedLimit = field(default_factory=GuessedLimit)
    """Replaces the limit after a 429, as long as the service has not reported one."""
    probing: bool = True
    """Whether only one call at a time is sent, until an answer shows that calls are accepted."""
    slots: Slots = field(default_factory=Slots)
    updated_at: float = 0.0
    """The time of the last change, if a store keeps the window for several processes."""
    unknown_until: float = 0.0
    """Until when unknown earlier calls may fill the service's window."""
    cooldown: Cooldown = field(default_factory=Cooldown)
    foreign: ForeignShare = field(default_factory=ForeignShare)
    spacing: EvenSpacing = field(default_factory=EvenSpacing)
    wait_queue: WaitQueue = field(default_factory=WaitQueue)

    def acquire(
        self,
        now: float,
        slot: str,
        *,
        max_duration: float,
        cap: int | None = None,
        interactive: bool = False,
        documents: int = 0,
    ) -> Pause | None:
        """Acquire a slot and return None, or return why and for how long no slot is available.

        Args:
            now: The time.
            slot: A unique name for the slot.
            max_duration: Seconds after which the request must have ended; the slot is then held.
            cap: The caller's own limit, in requests per period.
            interactive: Whether somebody waits for the request: it carries a query or a chat call.
            documents: How many requests the waiting documents need that may be spread.
        """
        self.expire(now)
        if slot in self.slots.in_flight:  # a store may repeat a change whose success it could not confirm
            return None
        pause = self._pause(now, slot, cap, interactive=interactive, documents=documents)
        if pause is None:
            self.spacing.note_start(now, interactive=interactive)
            self.slots.in_flight[slot] = (now, now + max_duration)
        else:
            self.spacing.note_pause(now, self._spacing(cap), interactive=interactive, documents=documents)
        if pause is not None and interactive:
            self.wait_queue.add(now, slot)
        else:
            self.wait_queue.remove(slot)
        return pause

    def _pause(self, now: float, slot: str, cap: int | None, *, interactive: bool, documents: int) -> Pause | None:
        if now < max(self.cooldown.until, self.unknown_until):
            return self._closed(now)
        share = self.share(cap)
        crowded = bool(self.foreign.sightings) and share is not None and self.slots.taken(now) + documents > share
        is_spread = self.spacing.applies(now, interactive=interactive, documents=documents, crowded=crowded)
        ahead = self.wait_queue.ahead_of(slot) if interactive or is_spread else 0
        if self.probing and (self.slots.in_flight or ahead):
            return Pause(None, "waiting for the first answer")
        if share is None:
            return None
        spacing = self.hold / share
        spread = self.spacing.delay(now, spacing, ahead) if is_spread else 0.0
        if self.slots.taken(now) + ahead >= share:
            return Pause(max(spread, self.delay(now, cap=cap, calls=1 + ahead)) or None, "rate limit")
        if spread:
            whom = "others" if crowded else "interactive calls"
            return Pause(spread, f"requests leave evenly spaced beside {whom}, one in {spacing:.3g} s")
        return None

    def _closed(self, now: float) -> Pause:
        """Return why nothing may start, whatever it is."""
        if now < self.cooldown.until:
            return Pause(self.cooldown.until - now, "cooldown after a refused request")
        return Pause(self.unknown_until - now, "earlier requests are not known")

    def delay(self, now: float, *, cap: int | None = None, calls: int = 1) -> float:
        """Return the minimum seconds until the last of `calls` further calls can start; 0.0: now."""
        earliest = max(now, self.cooldown.until, self.unknown_until)
        share = self.share(cap)
        return (earliest if share is None else self.slots.next_start(earliest, share, self.hold, calls)) - now

    def complete(self, now: float, slot: str, headers: RateLimitHeaders, *, counted: float | None, good: bool) -> None:
        """Hold the slot of a call that has ended.

        Args:
            now: The time.
            slot: The slot.
            headers: The headers of the answer.
            counted: The latest time at which the service can have counted the call: when the headers arrived. None:
                there was no answer.
            good: Whether the answer shows that calls are accepted.
        """
        self._learn_period(headers.period or self.period)
        started = self.slots.complete(now, slot, counted=counted, hold=self.hold)
        if headers.limit is not None:
            self.limit, self.guess = headers.limit, GuessedLimit()
        if started >= self.cooldown.until and (good or (headers.limit is not None and counted is not None)):
            self.probing = False
        if good:
            self.cooldown.refusals = 0
        if good and started >= self.cooldown.until:
            self._note_good(now)
        if self.limit is not None and headers.remaining is not None:
            others = self.limit - headers.remaining - self.slots.taken(started)
            later = self.slots.started_after(started)
            self.foreign.observe(now, others, others + later, period=self.period, hold=self.hold)

    def start_cooldown(self, now: float, seconds: float) -> None:
        """Record a 429: nothing starts for `seconds`, and fewer calls are made afterwards.

        A guessed limit may have been too high. If our own count was right, either other callers with the same key
        exceeded the limit together with us, or the service counts over a longer period than it says. So half of the
        limit is left to others, and the margin grows.
        """
        self.probing, self.foreign.absent_since = True, None
        if not self.cooldown.start(now, seconds, self.hold - self.period):
            return
        if self.limit is None:
            answered = self.slots.answered(now) - 1
            if self.guess.lower(answered, len(self.slots.in_flight), share_is_left=bool(self.foreign.sightings)):
                return
        self.margin_growth.grow(self.margin)
        self.foreign.leave_half(self.effective_limit(None) or 1, self.cooldown.until)

    def release(self, slot: str) -> None:
        """Release the slot of a request that was never sent, or is no longer waited for."""
        self.slots.in_flight.pop(slot, None)
        self.wait_queue.remove(slot)

    def abandon_in_flight(self, now: float) -> None:
        """Consider all calls in flight lost: they belong to the parent process, which cannot complete them here."""
        for slot in list(self.slots.in_flight):
            self.complete(now, slot, RateLimitHeaders(), counted=None, good=False)

    def idle(self, now: float) -> bool:
        """Return whether a new window would know as much after its first answer."""
        self.expire(now)
        known = self.slots.in_flight or self.slots.held or self.foreign.sightings or self.guess.value is not None
        return not (known or now < max(self.cooldown.until, self.unknown_until))

    def is_unlimited(self, now: float) -> bool:
        """Return whether calls are accepted, and nothing limits their number."""
        is_free = now >= max(self.cooldown.until, self.unknown_until) and not self.probing
        return is_free and self.limit is None and self.guess.value is None

    def distrust(self, now: float) -> None:
        """Assume that the whole limit was just used: nothing starts for one period, then one call at a time."""
        self.probing = True
        self.unknown_until = now + self.hold

    @property
    def hold(self) -> float:
        """Seconds for which a slot is held after the service has counted its call."""
        return self.period + self.margin_growth.apply(self.margin)

    def effective_limit(self, cap: int | None) -> int | None:
        """Return the limit in force: the service's, else the guess, or the caller's if lower; None: none is known."""
        return min(filter(None, (self.limit or self.guess.value, cap)), default=None)

    def share(self, cap: int | None) -> int | None:
        """Return the requests per period that are ours: what others leave of the limit, or `cap` if lower."""
        limit = self.effective_limit(None)
        left = None if limit is None else limit - self.foreign.reserve(limit)
        return min(filter(None, (left, cap)), default=None)

    def _learn_period(self, period: float) -> None:
        """Adopt the period that the service has named, also for the slots that are held."""
        change, self.period = period - self.period, period
        if change:
            self.slots.prolong(change)

    def _note_good(self, now: float) -> None:
        """Record a successful answer to a call that started after the last cooldown."""
        self.margin_growth.note_good(now, self.period)
        if self.guess.value is not None and self.slots.taken(now) >= self.guess.value:
            self.guess.note_full(now, self.period)

    def _spacing(self, cap: int | None) -> float:
        """Return the seconds between two slots that are spread evenly; 0.0: no limit is known."""
        return self.hold / (self.share(cap) or math.inf)

    def expire(self, now: float) -> None:
        """Drop what counts no longer."""
        self.slots.expire(now, self.hold, is_limited=self.effective_limit(None) is not None)
        self.wait_queue.expire(now)
        self.foreign.expire(now, self.period)
