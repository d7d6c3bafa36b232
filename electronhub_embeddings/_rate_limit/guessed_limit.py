"""A limit for a service that names none: guessed after a 429, and raised by careful trials.

Invariants:
- What the service says in a header always wins; then nothing is guessed.
- The guess is raised only after periods in which it was used in full and no 429 came.
- A trial that fails costs one cooldown. After it no trial is made for an hour's full periods at least, twice as many
  after each further failure, up to a day's: so less than a twentieth of the time is spent in cooldowns, in the long
  run 0.2 %.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from electronhub_embeddings._rate_limit.good_periods import GoodPeriods, required

RAISE_AFTER = 2
"""Full periods after which the guess is raised by a quarter, where nothing was refused yet, or more has worked before.
So what has worked when a trial fails is four fifths of the limit at least."""

RETRY_AFTER = 30
"""Full periods (half an hour's) after which the guess is raised by a tenth towards what was refused; an hour's and more
after trials that failed."""


@dataclass
class GuessedLimit:
    """How many calls a period seem to be allowed."""

    value: int | None = None
    """Calls a period; None: nothing was refused yet."""
    proven: int = 0
    """The most that has worked; a larger value is on trial."""
    ceiling: int | None = None
    """The fewest calls that were refused; None: not known."""
    failures: int = 0
    """Refusals of what seemed to work or was on trial, since a ceiling was last found to be wrong."""
    full: GoodPeriods = field(default_factory=GoodPeriods)
    """Periods at this value, used in full."""

    def lower(self, answered: int, in_flight: int, *, share_is_left: bool) -> bool:
        """Take note of a 429; return whether the guess is to blame, else it is others on the same key.

        Args:
            answered: Calls of ours in the period before the refused one.
            in_flight: Calls of ours without an answer yet; the service may have counted them before the refused one.
            share_is_left: Whether a part of the limit is left to others already.
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
        if used > max(1, self.value // 2):  # of more than half: it is the limit, or others who always spend
            self.ceiling, self.value = used, used - max(1, used // 10)
            self.proven = self.value
            self.failures += 1
            return True
        if share_is_left:  # a few, and not for the first time: the limit may have become much smaller
            self.value = max(1, self.value // 2)
        return share_is_left

    def note_full(self, now: float, period: float) -> None:
        """Take note of a good answer while the guess was used in full, and raise it after enough periods of them."""
        if self.value is None or not self.full.note(now, period):
            return
        if self.value < self.proven or self.ceiling is None:
            if self.full.count >= RAISE_AFTER:
                step = self.value + max(1, self.value // 4)
                self._raise(min(step, self.proven) if self.value < self.proven else step)
        elif self.full.count >= required(RETRY_AFTER, self.failures):
            if self.value >= self.ceiling:  # it has worked for long: the ceiling was wrong, or is higher now
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
        """Adopt another window's guess, if it is lower or the only one."""
        if other.value is not None and (self.value is None or other.value < self.value):
            self.value, self.proven, self.ceiling = other.value, other.proven, other.ceiling
            self.failures, self.full = other.failures, other.full
