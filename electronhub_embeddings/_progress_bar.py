"""The progress of a call: counters updated by workers, and a progress bar drawn by the caller's thread."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

REDRAW_INTERVAL = 0.25
"""Seconds between two updates of the bar."""


class Progress:
    """The counters of one call; workers update them and never draw, so that no worker waits for a terminal."""

    def __init__(self) -> None:
        self.done = 0
        """Texts whose vectors have been received."""
        self.next = ""
        """What the call is waiting for, and why."""
        self.until = 0.0
        """`time.monotonic()` at which the wait ends."""

    def advance(self, count: int) -> None:
        """Record that `count` vectors have been received."""
        self.done += count
        self.until = 0.0

    def wait(self, what: str, until: float) -> None:
        """Record that `what` comes at `until`, in seconds of `time.monotonic()`, and nothing before."""
        self.next, self.until = what, until

    @property
    def note(self) -> str:
        """What the call is waiting for, and how long; empty if it is not."""
        left = self.until - time.monotonic()
        return f"{self.next} in {left:.0f} s" if left > 1 else ""


class ProgressBar:
    """A tqdm bar that shows a call's progress, in a terminal or in Jupyter."""

    def __init__(self, progress: Progress, total: int | None) -> None:
        from tqdm.auto import tqdm  # noqa: PLC0415 - takes 50 ms, needed only for a bar

        self._progress = progress
        self._bar = tqdm(total=total, desc="Embedding", unit="text")

    def draw(self) -> None:
        """Update the bar from the counters."""
        self._bar.set_postfix_str(self._progress.note, refresh=False)
        self._bar.update(self._progress.done - self._bar.n)
        self._bar.refresh()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.draw()
        self._bar.close()
