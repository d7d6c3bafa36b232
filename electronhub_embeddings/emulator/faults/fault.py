"""What can go wrong with one call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from electronhub_embeddings.emulator.replies import Reply

Edit = Callable[[dict[str, Any]], dict[str, Any] | bytes]
"""Takes the good answer as it would be sent; returns what is sent in its place, a dict or raw bytes."""


class Manner(Enum):
    """How an answer travels."""

    WHOLE = "whole"
    DROPPED = "dropped"
    """Closed before any byte."""
    RESET = "reset"
    """As DROPPED, with a TCP reset in place of an orderly end."""
    TRUNCATED = "truncated"
    """Closed half way: Content-Length promised more."""
    BROKEN = "broken"
    """As TRUNCATED, with a TCP reset in place of an orderly end."""
    MISCOUNTED = "miscounted"
    """Sent whole, under a Content-Length that is wrong, and closed."""
    STALLED = "stalled"
    """Half, a pause, the other half."""
    TRICKLED = "trickled"
    """Piece by piece."""


@dataclass(frozen=True)
class Fault:
    """What happens to one call in place of a good answer; made by the functions of `faults`."""

    reply: Reply | None = None
    """Sent in place of the call's own answer, good or not."""
    edit: Edit | None = None
    """Applied to the good answer; nothing to do when the call is refused."""
    delay: float = 0.0
    """Seconds before the answer, in addition to the emulator's latency."""
    manner: Manner = Manner.WHOLE
    pause: float = 0.0
    """Seconds that a stalled or trickled body takes."""
    miscount: int = 0
    """Bytes that the Content-Length of a miscounted body says too many; below 0, too few."""


NO_FAULT: Final = Fault()
"""The good answer, whole and at once."""
