"""Faults of the network: late, broken and unreadable answers."""

from __future__ import annotations

from electronhub_embeddings.emulator.faults.fault import Fault, Manner
from electronhub_embeddings.emulator.replies import Reply


def delay(seconds: float) -> Fault:
    """Answer well, `seconds` late."""
    return Fault(delay=seconds)


def drop(*, delay: float = 0.0) -> Fault:
    """Close the connection before any byte, after `delay` seconds."""
    return Fault(manner=Manner.DROPPED, delay=delay)


def reset(*, delay: float = 0.0) -> Fault:
    """Reset the connection (TCP RST) before any byte, after `delay` seconds."""
    return Fault(manner=Manner.RESET, delay=delay)


def truncate(*, reset: bool = False) -> Fault:
    """Close the connection, or `reset` it (TCP RST), in the middle of the body: Content-Length promised more."""
    return Fault(manner=Manner.BROKEN if reset else Manner.TRUNCATED)


def wrong_length(by: int) -> Fault:
    """Send the whole body under a Content-Length that is `by` bytes too large (below 0: too small), and close."""
    return Fault(manner=Manner.MISCOUNTED, miscount=by)


def stall(seconds: float) -> Fault:
    """Stop in the middle of the body for `seconds`, then send the rest."""
    return Fault(manner=Manner.STALLED, pause=seconds)


def trickle(seconds: float) -> Fault:
    """Send the body piece by piece, `seconds` in all."""
    return Fault(manner=Manner.TRICKLED, pause=seconds)


def nonsense(body: bytes = b"\x00\xff{not json") -> Fault:
    """Answer 200 with bytes that are no JSON."""
    return Fault(Reply(200, body))
