"""What the emulator remembers of a call."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Call:
    """One call that reached `POST /v1/embeddings`."""

    at: float
    """Seconds on the emulator's clock when the call was counted, or turned away for its key."""
    status: int | None
    """HTTP status of the answer; None when the connection is dropped before any byte."""
    texts: int
    """Number of inputs asked for; 0 when the input was no string and no array."""
    prompt_tokens: int
    """Tokens that the answer is charged; 0 when it is an error: failed calls are free."""
    headers: dict[str, str] = field(default_factory=dict)
    """Request headers, names in lower case; the key in `authorization` is replaced by `***`."""
    body: Any = None
    """The request's JSON; None when it was no JSON, or with `keep_bodies=False`."""
    limited: bool = False
    """True when the rate limit answered 429, not a fault."""
    in_cooldown: bool = False
    """True when the call came while a cooldown was already running, and so prolonged it."""
