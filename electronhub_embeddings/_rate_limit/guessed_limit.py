"""A guessed limit, for a service that sends none: lowered by a 429, and raised by careful trials.

Invariants:
- A limit in a header always takes precedence; nothing is guessed then.
- The guess is raised only after periods in which it was fully used and no 429 arrived.
- A failed trial costs one cooldown. The next trial is made after at least one hour of full periods; each further
  failure doubles that, up to a day. Less than 5 % of the time is spent in cooldowns, and 0.2 % in the long run.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from electronhub_embeddings._rate_limit.good_periods import GoodPeriods, required

RAISE_AFTER = 2
"""Full periods after which the guess is raised by a quarter, if no higher number has been refused or a higher one has
worked before. When such a trial fails, the number that has worked is at least four fifths of the limit."""

RETRY_AFTER = 30
"""Full periods (half an hour) after which the guess is raised by a tenth, towards the number that was refused; an hour
or more after failed trials."""


@dataclass
class GuessedLimit:
    """The number of calls per period that the service seems to allow."""

    value: int | None = None
    """Calls per period; None: no call has been refused yet."""
    proven: int = 0
    """The highest number that has worked; a larger `value` is a trial."""
    ceiling: int | None = None
    """The lowest number that was refused; None: not known."""
    failures: int = 0
    """Refusals of a trial or of a number that seemed to work, since a ceiling was last found to be wrong."""
    full: GoodPeriods = field(default_factory=GoodPeriods)
    """Periods in which this value was fully used."""

    def lower(self, answered: int, in_flight: int, *, share_is_left: bool) -> bool:
        """Record a 429; return whether the guess was too high. Otherwise other callers with the same key are the cause.

        Args:
            answered: Our answered calls in the period before the refused one.
            in_flight: Our calls without an answer; the service may have counted them before the refused one.
            share_is_left: Whether part of the limit is already left to others.
        """
        self.full.restart()
        used = answered + 1
        if self.value is None:
            self.value = self.proven = max(1, answered)
            self.ceiling = used if answered else None
            return True
        if self.value > self.proven and used + in_flight > self.proven:  # a trial
            self.ceiling, self.value = min(max(used, self.proven + 1), self.value), self.proven
            self.failures += 1
            return True
        used = min(used, self.value)
        if used > max(1, self.value // 2):  # more than half was used: the limit is lower, or others take a steady share
            self.ceiling, self.value = used, used - max(1, used // 10)
            self.proven = self.value
            self.failures += 1
            return True
        if share_is_left:  # few calls were used, and not for the first time: the limit may be much lower now
            self.value = max(1, self.value // 2)
        return share_is_left

    def note_full(self, now: float, period: float) -> None:
        """Record a successful answer while the guess was fully used, and raise the guess after enough such periods."""
        if self.value is None or not self.full.note(now, period):
            return
        if self.value < self.proven or self.ceiling is None:
            if self.full.count >= RAISE_AFTER:
                step = self.value + max(1, self.value // 4)
                self._raise(min(step, self.proven) if self.value < self.proven else step)
        elif self.full.count >= required(RETRY_AFTER, self.failures):
            if self.value >= self.ceiling:  # the value has worked for long: the ceiling was wrong, or was raised
                self.ceiling, self.failures = None, 0
                self._raise(self.value + max(1, self.value // 4))
            else:
                step = self.value + max(1, self.value // 10)
                self._raise(min(step, max(self.ceiling - 1, self.value + 1)))

    def _raise(self, value: int) -> None:
        self.proven = max(self.proven, self.value or 0)
        self.value = value
        self.full.restart()

    def merge(self, other: GuessedLimit) -> None:
        """Adopt another window's guess if it is lower or the only one."""
        if other.value is not None and (self.value is None or other.value < self.value):
            self.value, self.proven, self.ceiling = other.value, other.proven, other.ceiling
            self.failures, self.full = other.failures, other.full
