"""The progress of one call: counters that the scheduler updates, and that the caller's progress bar reads."""

from __future__ import annotations

from typing import NamedTuple

RATE_LIMIT = "rate limit"
"""The usual reason for a wait, which needs no words."""


class ExpectedWait(NamedTuple):
    """A wait for the limit, or for another attempt."""

    reason: str
    until: float
    """The end, in seconds of `time.monotonic()`."""


class ExpectedEnd(NamedTuple):
    """What the last forecast said."""

    requests: int
    """Requests of the call, those answered included."""
    ends_at: float | None
    """When the last answer is expected, in seconds of `time.monotonic()`; None: not known."""
    requests_per_minute: int | None
    """The limit; None: none is known."""


class Progress:
    """The counters of one call. Whoever updates them never draws, so that no worker waits for a terminal.

    Args:
        total: The texts of the call; None: not known, because they come from an iterable.
        is_shown: Whether a bar shows them, so that forecasts are worth their time.
    """

    def __init__(self, total: int | None = None, *, is_shown: bool = False) -> None:
        self.total = total
        self.is_shown = is_shown
        self.done = 0
        """Texts whose vectors have been received."""
        self.requests = 0
        """Requests answered with vectors."""
        self.end: ExpectedEnd | None = None
        """The last forecast; None: there was none."""
        self.limit: ExpectedWait | None = None
        """The wait for the limit; None: there is none."""
        self.retry: ExpectedWait | None = None
        """The last wait of texts that are sent again; None: there was none."""

    def advance(self, count: int) -> None:
        """Record that `count` vectors have been received."""
        self.done += count
        self.limit = None

    def wait(self, reason: str, until: float) -> None:
        """Record that the limit allows the next request at `until`, and why."""
        self.limit = ExpectedWait(reason, until)

    def wait_to_retry(self, reason: str, until: float) -> None:
        """Record that some texts are sent again at `until`, and why."""
        self.retry = ExpectedWait(reason, until)

    def foresee(self, requests: int, ends_at: float | None, requests_per_minute: int | None) -> None:
        """Record a forecast.

        Args:
            requests: Requests without an answer, those in flight included.
            ends_at: When the last answer is expected; None: not known.
            requests_per_minute: The limit; None: none is known.
        """
        self.end = ExpectedEnd(self.requests + requests, ends_at, requests_per_minute)
