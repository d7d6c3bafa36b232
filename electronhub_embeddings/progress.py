"""How far a call is and why it stands still: counters that workers move, and a bar that the caller's side draws."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

REDRAW = 0.25
"""Seconds between two looks at the counters."""


class Progress:
    """What workers tell of one call; never draws, so that no worker waits for a terminal."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.done = 0
        """Texts whose vectors have come."""
        self.reason = ""
        self.until = 0.0
        """`time.monotonic()` at which the wait for the limit ends."""

    def advance(self, count: int) -> None:
        """Note that vectors have come."""
        with self._lock:
            self.done += count
            self.until = 0.0

    def standstill(self, reason: str, until: float) -> None:
        """Note that the limit does not allow a request before `until`, in seconds of `time.monotonic()`."""
        self.reason, self.until = reason, until

    @property
    def note(self) -> str:
        """Say why nothing moves; empty while it does."""
        left = self.until - time.monotonic()
        return f"{self.reason}: next request in {left:.0f} s" if left > 1 else ""


class Bar:
    """A tqdm bar, in a terminal or in Jupyter, drawn from a call's progress."""

    def __init__(self, progress: Progress, total: int | None) -> None:
        from tqdm.auto import tqdm  # noqa: PLC0415 - costs 50 ms that only those pay who want a bar

        self._progress = progress
        self._bar = tqdm(total=total, desc="Embedding", unit="text")

    def draw(self) -> None:
        """Show the counters as they are now."""
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
