"""The progress of a call: counters updated by workers, and a progress bar drawn by the caller's thread."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from electronhub_embeddings._wording import counted, in_words

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

REDRAW_INTERVAL = 0.25
"""Seconds between two updates of the bar."""

RATE_LIMIT = "rate limit"
"""The usual reason for a wait, which needs no words."""

BAR = "{percentage:3.0f}%|{bar}| {desc}"
BAR_WIDTH = len("100%|#| ")
"""Columns that are taken by all but the words, if the bar is as short as it can be."""


class _Wait(NamedTuple):
    reason: str
    until: float

    def words(self) -> str:
        """Say how long it is, and why if that is not usual; nothing in its last second, and later."""
        left = self.until - time.monotonic()
        if left <= 1:
            return ""
        return f"next in {left:.0f} s" + ("" if self.reason == RATE_LIMIT else f" ({self.reason})")


_NO_WAIT = _Wait(RATE_LIMIT, 0.0)


class Progress:
    """The counters of one call; workers update them and never draw, so that no worker waits for a terminal.

    Args:
        is_shown: Whether a bar shows them, so that forecasts are worth their time.
        total: The texts of the call; None: not known, because they come from an iterable.
    """

    def __init__(self, total: int | None = None, *, is_shown: bool = False) -> None:
        self.is_shown = is_shown
        self.done = 0
        """Texts whose vectors have been received."""
        self.requests = 0
        """Requests answered with vectors."""
        self.total = total
        """All texts; None: not known."""
        self._started_at = time.monotonic()
        self._to_come: int | None = None
        """Requests without an answer, at the last forecast, when `_answered` had one; None: there was none."""
        self._answered = 0
        self._ends_at: float | None = None
        self._per_minute: int | None = None
        self._limit = _NO_WAIT
        self._retry = _NO_WAIT

    def advance(self, count: int) -> None:
        """Record that `count` vectors have been received."""
        self.done += count
        self._limit = _NO_WAIT

    def wait(self, reason: str, until: float) -> None:
        """Record that the limit allows the next request at `until`, in seconds of `time.monotonic()`, and why."""
        self._limit = _Wait(reason, until)

    def wait_to_retry(self, reason: str, until: float) -> None:
        """Record that some texts are sent again at `until`, in seconds of `time.monotonic()`, and why."""
        self._retry = _Wait(reason, until)

    def foresee(self, requests: int, ends_at: float | None, requests_per_minute: int | None) -> None:
        """Record a forecast.

        Args:
            requests: Requests without an answer, those in flight included.
            ends_at: When the last answer is expected, in seconds of `time.monotonic()`; None: not known.
            requests_per_minute: The limit; None: none is known.
        """
        self._to_come, self._answered = requests, self.requests
        self._ends_at, self._per_minute = ends_at, requests_per_minute

    def status(self, width: int | None = None) -> str:
        """Say what is done, and what is still to come.

        Args:
            width: Columns that there are; what is least important is left out until the rest fits. None: any number.
        """
        texts = f"{self.done:,} texts" if self.total is None else f"{self.done:,}/{self.total:,} texts"
        if self.done == self.total:
            took = in_words(time.monotonic() - self._started_at)
            return f"{texts}, {counted(self.requests, 'request')} in {took}" if self.requests else texts
        per_minute = "" if self._per_minute is None else f" ({self._per_minute:,} a minute)"
        so_far, wait = self._so_far(), self._limit.words() or self._retry.words()
        briefly = wait.partition(" (")[0]
        for parts in (
            (so_far, self._left(per_minute), wait),
            (so_far, self._left(per_minute), briefly),
            (so_far, self._left(""), briefly),
            (self._left(""), briefly),
        ):
            words = ", ".join(filter(None, (texts, *parts)))
            if width is None or len(words) <= width:
                break
        return words

    def _so_far(self) -> str:
        if self._to_come is None or self.total is None:
            return counted(self.requests, "request") if self.requests else ""
        return f"{self.requests:,} of {counted(self._answered + self._to_come, 'request')}"

    def _left(self, pace: str) -> str:
        if self.total is None:
            return pace.strip(" ()")
        if self._ends_at is None:
            return ""
        left = self._ends_at - time.monotonic()
        return f"about {in_words(left)} left{pace}" if left > 0 else f"waiting for an answer{pace}"


class ProgressBar:
    """A tqdm bar that shows a call's progress, in a terminal or in Jupyter."""

    def __init__(self, progress: Progress) -> None:
        from tqdm.auto import tqdm  # noqa: PLC0415 - takes 50 ms, needed only for a bar

        self._progress = progress
        briefest = progress.status(0)  # its width is not known yet
        self._bar = tqdm(total=progress.total, desc=briefest, bar_format="{desc}" if progress.total is None else BAR)
        self._drawn_at = time.monotonic()

    def draw(self) -> None:
        """Update the bar from the counters."""
        self._drawn_at = time.monotonic()
        width = self._bar.ncols
        self._bar.set_description_str(
            self._progress.status(width - BAR_WIDTH if isinstance(width, int) else None), refresh=False
        )
        self._bar.n = self._progress.done
        self._bar.refresh()

    def draw_now_and_then(self) -> None:
        """Update the bar unless it was updated a moment ago."""
        if time.monotonic() - self._drawn_at >= REDRAW_INTERVAL:
            self.draw()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.draw()
        self._bar.close()
