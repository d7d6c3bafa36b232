"""A progress bar, which the caller's thread draws from the progress of its call."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from electronhub_embeddings._rate_limit.wording import counted, in_words
from electronhub_embeddings._scheduling.progress import RATE_LIMIT

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from electronhub_embeddings._scheduling.progress import ExpectedEnd, ExpectedWait, Progress

REDRAW_INTERVAL = 0.25
"""Seconds between two updates of the bar."""

BAR = "{percentage:3.0f}%|{bar}| {desc}"
BAR_WIDTH = len("100%|#| ")
"""Columns that are taken by all but the words, if the bar is as short as it can be."""


class ProgressBar:
    """A tqdm bar that shows a call's progress, in a terminal or in Jupyter."""

    def __init__(self, progress: Progress) -> None:
        from tqdm.auto import tqdm  # noqa: PLC0415 - takes 50 ms, needed only for a bar

        self._progress = progress
        self._began_at = self._drawn_at = time.monotonic()
        briefest = self.status(0)  # its width is not known yet
        self._bar = tqdm(total=progress.total, desc=briefest, bar_format="{desc}" if progress.total is None else BAR)

    def draw(self) -> None:
        """Update the bar from the counters."""
        self._drawn_at = time.monotonic()
        width = self._bar.ncols
        self._bar.set_description_str(self.status(width - BAR_WIDTH if isinstance(width, int) else None), refresh=False)
        self._bar.n = self._progress.done
        self._bar.refresh()

    def draw_now_and_then(self) -> None:
        """Update the bar unless it was updated a moment ago."""
        if time.monotonic() - self._drawn_at >= REDRAW_INTERVAL:
            self.draw()

    def status(self, width: int | None = None) -> str:
        """Say what is done, and what is still to come.

        Args:
            width: Columns that there are; what is least important is left out until the rest fits. None: any number.
        """
        progress, now = self._progress, time.monotonic()
        texts = f"{progress.done:,} texts" if progress.total is None else f"{progress.done:,}/{progress.total:,} texts"
        if progress.done == progress.total:
            took = in_words(now - self._began_at)
            return f"{texts}, {counted(progress.requests, 'request')} in {took}" if progress.requests else texts
        so_far, wait = _so_far(progress), _wait(progress.limit, now) or _wait(progress.retry, now)
        pace, briefly = _pace(progress.end), wait.partition(" (")[0]
        for parts in (
            (so_far, _left(progress, pace, now), wait),
            (so_far, _left(progress, pace, now), briefly),
            (so_far, _left(progress, "", now), briefly),
            (_left(progress, "", now), briefly),
        ):
            words = ", ".join(filter(None, (texts, *parts)))
            if width is None or len(words) <= width:
                break
        return words

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.draw()
        self._bar.close()


def _so_far(progress: Progress) -> str:
    """Say how many requests were answered, and how many there will be if that is known."""
    if progress.end is None or progress.total is None:
        return counted(progress.requests, "request") if progress.requests else ""
    return f"{progress.requests:,} of {counted(progress.end.requests, 'request')}"


def _pace(end: ExpectedEnd | None) -> str:
    return "" if end is None or end.requests_per_minute is None else f"{end.requests_per_minute:,} a minute"


def _left(progress: Progress, pace: str, now: float) -> str:
    """Say how long it takes until the end, and how fast that is; of an iterable, the end is not known."""
    if progress.total is None:
        return pace
    if progress.end is None or progress.end.ends_at is None:
        return ""
    left, details = progress.end.ends_at - now, f" ({pace})" if pace else ""
    return f"about {in_words(left)} left{details}" if left > 0 else f"waiting for an answer{details}"


def _wait(wait: ExpectedWait | None, now: float) -> str:
    """Say how long a wait is, and why if that is not usual; nothing in its last second, and later."""
    if wait is None or wait.until - now <= 1:
        return ""
    return f"next in {wait.until - now:.0f} s" + ("" if wait.reason == RATE_LIMIT else f" ({wait.reason})")
