"""Faults of single calls, and the script that assigns them to calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Iterator

    from starlette.responses import Response

    FaultChooser = Callable[[random.Random], "Fault | None"]
    """Returns the fault of a call, or None, chosen with the given random numbers."""

BodyEdit = Callable[[dict[str, Any]], dict[str, Any] | bytes]
"""Takes a successful body, or one chunk of a stream; returns what is sent instead, a dict or raw bytes."""


class Manner(Enum):
    """How a response is sent."""

    WHOLE = "whole"
    DROPPED = "dropped"
    """The connection is closed before any byte."""
    RESET = "reset"
    """Like DROPPED, with a TCP reset in place of an orderly close."""
    TRUNCATED = "truncated"
    """The connection is closed after half of the body, short of the Content-Length."""
    BROKEN = "broken"
    """Like TRUNCATED, with a TCP reset in place of an orderly close."""
    MISCOUNTED = "miscounted"
    """The whole body is sent with a wrong Content-Length, then the connection is closed."""
    STALLED = "stalled"
    """Half of the body, a pause, the other half."""
    TRICKLED = "trickled"
    """The body is sent in small chunks."""
    TRICKLED_HEAD = "trickled head"
    """The headers, too, are sent in small chunks."""


@dataclass(frozen=True)
class Fault:
    """A fault of one call; created by the functions of `faults`."""

    response: Response | None = None
    """Sent in place of the call's own response, successful or not."""
    edit: BodyEdit | None = None
    """Applied to the body of a successful response, and to each chunk of a stream; not called for an error."""
    delay: float = 0.0
    """Seconds before the response, in addition to the emulator's latency."""
    manner: Manner = Manner.WHOLE
    pause: float = 0.0
    """Seconds that a stalled or trickled response takes."""
    miscount: int = 0
    """Bytes by which the Content-Length of a miscounted body is too large; below 0: too small."""
    rows_only: bool = False
    """Whether `edit` needs the rows of embeddings, and so leaves a chat answer as it is."""

    def apply(self, body: dict[str, Any], *, has_rows: bool) -> dict[str, Any] | bytes:
        """Return the body that is sent in place of the successful `body`."""
        if self.edit is None or (self.rows_only and not has_rows):
            return body
        return self.edit(body)


NO_FAULT: Final = Fault()
"""The call's own response, complete and without delay."""


class FaultScript:
    """A queue of faults, and a function that chooses faults when the queue is empty.

    Args:
        faults: one for each call, in order; None: no fault. May be endless.
        choose: called for each call after the queue is used up.
    """

    def __init__(self, faults: Iterable[Fault | None] = (), choose: FaultChooser | None = None) -> None:
        self._queue: Iterator[Fault | None] = iter(faults)
        self._choose = choose

    def extend(self, faults: Iterable[Fault | None]) -> None:
        """Queue more faults."""
        self._queue = chain(self._queue, faults)

    def clear(self) -> None:
        """Empty the queue."""
        self._queue = iter(())

    def next_fault(self, rng: random.Random) -> Fault:
        """Return the fault of the next call."""
        for fault in self._queue:
            return fault or NO_FAULT
        return (self._choose(rng) if self._choose is not None else None) or NO_FAULT
