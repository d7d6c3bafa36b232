"""The rate limit as the service sees it: a sliding window and a cooldown. Pure: time is an argument.

Laws of this module:
- Every call takes one slot before it is sent. Slots in flight, slots held, and what others spend stay in the limit.
- A slot is free again one period after the service can have counted the call at the latest: not one period after
  we began to send.
- What the headers say corrects what we counted.
- Until an answer shows that calls are welcome, and again after each 429, one call at a time: no burst into the unknown.
- After a 429 nobody starts before the cooldown is over.

Times are seconds of one clock that never jumps; which one, the store of the window knows.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import msgspec

from electronhub_embeddings.headers import Report

PERIOD = 60.0
"""Seconds over which the service counts requests."""

MARGIN = 0.1
"""Seconds added to every hold, for clocks that do not run quite alike; doubled by each 429."""

LARGEST_MARGIN = 5.0
"""Seconds that the margin can grow to."""

STRAGGLER = 2.0
"""Seconds a call that got no answer can still be under way to the service after we gave it up."""

MEMORY = 2
"""Periods for which others are taken to hold what they were seen to hold."""

UNSEEN = 3
"""Periods after which what others held is forgotten without a newer look."""

ALONE = 2
"""Periods in which every answer has shown nobody else, after which nothing is left to others any more."""

MOST_DOUBLINGS = 2
"""Times that the wait for the cooldown is doubled at most."""

GRUDGE = 600.0
"""Seconds after a cooldown for which the share that others took when the limit was passed is left to them."""

REMEMBERED = 1000
"""Slots remembered while no limit is known."""


@dataclass(frozen=True)
class Pause:
    """Why no call may start now."""

    seconds: float | None
    """Until one may, at the earliest; None: as soon as an answer that is under way has come, whenever that is."""
    reason: str


class Window(msgspec.Struct):
    """What is known of one account's limit, and the slots that are taken.

    It is plain data, so that a store can keep it anywhere; every change is one of the methods.
    """

    period: float = PERIOD
    margin: float = MARGIN
    limit: int | None = None
    """Requests a period, as the service says; None: it has not said, or there is none."""
    probing: bool = True
    """One call at a time, until an answer shows that calls are welcome."""
    cooldown_until: float = 0.0
    flying: dict[str, tuple[float, float]] = {}
    """Slots of calls without an answer yet: slot -> start, and when to take it for lost (its process may have died)."""
    held: dict[str, float] = {}
    """Slots of finished calls: slot -> when it is free again."""
    stamp: float = 0.0
    """The time of the last change, where a store keeps the window for several processes."""
    strikes: int = 0
    """Refusals since the last good answer."""
    alone_since: float | None = None
    """Since when every answer has shown that nobody else spends."""
    others: list[tuple[float, int]] = []
    """What others were seen to spend: (until when it counts at least, how many slots), fewer slots later."""

    def start(self, now: float, slot: str, *, lease: float, cap: int | None = None) -> Pause | None:
        """Take a slot and return None, or return why and for how long not.

        Args:
            now: The time.
            slot: A name for the slot, not used before.
            lease: Seconds after which the call must have ended; then its slot counts as held.
            cap: Requests a period that the caller wants at most, whatever the service allows.
        """
        self._expire(now)
        if slot in self.flying:  # a store that did not hear of its success applies a change once more
            return None
        if now < self.cooldown_until:
            return Pause(self.cooldown_until - now, "cooldown after a refused request")
        if self.probing and self.flying:
            return Pause(None, "waiting for the first answer")
        limit = self.least(cap)
        if limit is not None and self._taken(now) + self._reserve(limit) >= limit:
            return Pause(self.wait(now, cap=cap) or None, "rate limit")
        self.flying[slot] = (now, now + lease)
        return None

    def wait(self, now: float, *, cap: int | None = None, starts: int = 1) -> float:
        """Tell the seconds until the last of `starts` more calls can start, at the earliest; 0.0: now."""
        wait = max(0.0, self.cooldown_until - now)
        limit = self.least(cap)
        if limit is None:
            return wait
        limit -= self._reserve(limit)
        hold = self.period + self.margin
        taken = [
            *(end for end in self.held.values() if end > now),
            *(start + hold for start, _ in self.flying.values()),
        ]
        heapq.heapify(taken)
        moment = now + wait
        for _ in range(starts):
            while len(taken) >= limit:
                moment = max(moment, heapq.heappop(taken))
            heapq.heappush(taken, moment + hold)
        return moment - now

    def settle(self, now: float, slot: str, report: Report, *, counted: float | None, good: bool) -> None:
        """Turn the slot of a call that has ended into one that is held.

        Args:
            now: The time.
            slot: The slot.
            report: What the headers say.
            counted: When the service has counted the call at the latest: the arrival of the headers; None: no
                answer came.
            good: Whether the answer shows that calls are welcome.
        """
        started, _ = self.flying.pop(slot, (now, now))
        self.held[slot] = (now + STRAGGLER if counted is None else counted) + self.period + self.margin
        self.limit = report.limit or self.limit
        if started >= self.cooldown_until and (good or (report.limit is not None and counted is not None)):
            self.probing = False
        if good:
            self.strikes = 0
        if self.limit is not None and report.remaining is not None:
            used = self.limit - report.remaining
            self._see_others(now, used - self._ours(started))

    def refuse(self, now: float, seconds: float) -> None:
        """Take note of a 429: nobody starts for `seconds`, and we become more careful.

        If our own count was right, others on the same key have passed the limit with us. What they want is not known;
        half of the limit is their fair share, and left to them for ten minutes or until they are seen to be gone.
        Refused once more right after the cooldown we wait for twice and four times as long: two who prolong each
        other's cooldown, and wait equally long, would never come out of it. Without any header, the calls that were
        answered are the best guess of the limit.
        """
        first = now >= self.cooldown_until  # the others were under way with it, and teach nothing new
        seconds *= 2 ** min(self.strikes, MOST_DOUBLINGS) if first else 1
        self.cooldown_until = max(self.cooldown_until, now + seconds + self.margin)
        self.probing, self.alone_since = True, None
        if first:
            self.strikes += 1
            self.margin = min(2 * self.margin, LARGEST_MARGIN)
            self.limit = self.limit or max(1, len(self.held) - 1)
            self._remember(max(1, self.limit // 2), self.cooldown_until + GRUDGE)

    def give_back(self, slot: str) -> None:
        """Free the slot of a call that was never sent."""
        self.flying.pop(slot, None)

    def orphan(self, now: float) -> None:
        """Take all calls in flight for lost: they were somebody else's, who is not here to settle them."""
        for slot in list(self.flying):
            self.settle(now, slot, Report(), counted=None, good=False)

    def idle(self, now: float) -> bool:
        """Tell whether nothing is known any more that a new window would not know."""
        self._expire(now)
        return not (self.flying or self.held or self.others or now < self.cooldown_until)

    def arrive(self, now: float) -> None:
        """Note the time of a change; where it is before the last one's, the clock was started anew, as by a reboot.

        Then no time is taken to have passed, and all times are moved: too careful, if at all.
        """
        if now < self.stamp:
            self.rebase(now - self.stamp)
        self.stamp = now

    def adopt(self, other: Window, shift: float) -> None:
        """Add what was counted in another window of the same account, whose clock is behind this one's by `shift`."""
        other.rebase(shift)
        self.limit = other.limit or self.limit
        self.margin = max(self.margin, other.margin)
        self.cooldown_until = max(self.cooldown_until, other.cooldown_until)
        self.probing = self.probing and other.probing
        self.flying.update((slot, times) for slot, times in other.flying.items() if slot not in self.held)
        for slot, end in other.held.items():
            self.flying.pop(slot, None)
            self.held[slot] = max(end, self.held.get(slot, end))
        for until, count in other.others:
            self._remember(count, until)

    def rebase(self, shift: float) -> None:
        """Move every time by `shift` seconds: the clock was started anew, as after a reboot."""
        self.cooldown_until += shift
        self.flying = {slot: (start + shift, end + shift) for slot, (start, end) in self.flying.items()}
        self.held = {slot: end + shift for slot, end in self.held.items()}
        self.others = [(until + shift, count) for until, count in self.others]
        self.alone_since = None

    def least(self, cap: int | None) -> int | None:
        """Find the limit that holds: the service's or the caller's, whichever is lower; None: neither is known."""
        return min(filter(None, (self.limit, cap)), default=None)

    def _taken(self, now: float) -> int:
        return len(self.flying) + sum(end > now for end in self.held.values())

    def _ours(self, since: float) -> int:
        """Count the calls of ours that the service can have had in its window at any time from `since` on."""
        return len(self.flying) + sum(end > since for end in self.held.values())

    def _reserve(self, limit: int) -> int:
        """Count the slots to leave to others, a quarter more than they were seen to take; one stays ours."""
        if not self.others:
            return 0
        count = self.others[0][1]
        return min(count + max(1, count // 4), limit - 1)

    def _see_others(self, now: float, count: int) -> None:
        """Note how many slots others held when a call was counted.

        What was seen before and is over by the clock ends only now that there is a newer look: others may have had a
        rest just when our own slots came free, and a burst of ours would meet the next one of theirs.
        """
        self.others = [seen for seen in self.others if seen[0] > now]
        self._remember(count, now + MEMORY * (self.period + self.margin))
        if count > 0:
            self.alone_since = None
        elif self.alone_since is None:
            self.alone_since = now
        elif now - self.alone_since > ALONE * self.period:
            self.others = []

    def _remember(self, count: int, until: float) -> None:
        if count > 0:
            self.others = [seen for seen in self.others if seen[1] > count or seen[0] > until]
            self.others.append((until, count))
            self.others.sort(key=lambda seen: -seen[1])

    def _expire(self, now: float) -> None:
        for slot, (_, end) in list(self.flying.items()):
            if end <= now:
                del self.flying[slot]
                self.held[slot] = end + self.period + self.margin
        if self.limit is None and len(self.held) > REMEMBERED:
            self.held = dict(list(self.held.items())[-REMEMBERED // 2 :])
        oldest = min((start for start, _ in self.flying.values()), default=now)
        if next(iter(self.held.values()), now) <= oldest:  # about the first to end: no look at all of them each time
            self.held = {slot: end for slot, end in self.held.items() if end > oldest}
        self.others = [seen for seen in self.others if seen[0] + UNSEEN * self.period > now]
