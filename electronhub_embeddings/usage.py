"""What a client has used: counters that add up to what the service counted."""

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
