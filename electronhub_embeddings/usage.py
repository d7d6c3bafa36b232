"""What a client has used, in all and request by request: figures that add up to what the service counted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Usage:
    """Totals since a client was made.

    A request shared by several clients is counted for the one whose text is first in it, its tokens by the size of
    each one's texts: the sums over all clients are what the service counted.
    """

    requests: int = 0
    """Requests answered with vectors."""
    attempts: int = 0
    """Requests on the wire, retries and refusals included: what the limit counts."""
    prompt_tokens: int = 0
    """Tokens charged for texts."""
    total_tokens: int = 0
    """Tokens charged in all."""
    texts: int = 0
    """Texts embedded; equal texts in one call count once."""
    cache_hits: int = 0
    """Texts whose vector came from the cache."""
    rate_limited: int = 0
    """Attempts answered with 429."""
    seconds_waited: float = 0.0
    """Seconds that calls stood waiting for the limit, added over the calls."""


@dataclass(frozen=True)
class RequestInfo:
    """One request that the service has counted, or may have, as one client sees it.

    Where several clients share a request each is told of its own texts and tokens: the sums are what was counted.
    """

    model: str
    """The model that was asked for."""
    texts: int
    """Texts of this client in it."""
    tokens: int
    """Tokens charged for them; 0 where the service did not say."""
    attempt: int
    """Which attempt this was for its texts; the first is 1."""
    seconds: float
    """Seconds from sending it to having read the answer."""
    waited: float
    """Seconds that its texts had stood waiting for the limit before."""
    status: int | None
    """The HTTP status; None: no answer came."""
    error: str | None
    """The name of the error that it ended in; None: vectors came."""
