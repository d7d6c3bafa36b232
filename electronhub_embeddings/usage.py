"""The usage of a client, of a block, and of a request; the sums over all clients equal what the service has counted."""

from __future__ import annotations

import os
import threading
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

PRICED_TOKENS = 1_000_000
"""The number of tokens that a price is for."""


@dataclass
class Usage:
    """Totals since a client was created, or inside a block of `track_usage`.

    A request shared by several clients counts for the client of its first text. Its tokens are divided in proportion to
    the size of each client's texts. The sums over all clients equal what the service has counted.
    """

    requests: int = 0
    """Requests answered with vectors."""
    attempts: int = 0
    """Requests sent, including retries and rejected requests: the number that the rate limit counts."""
    prompt_tokens: int = 0
    """Tokens charged for texts."""
    total_tokens: int = 0
    """Tokens charged in total."""
    texts: int = 0
    """Texts embedded; equal texts in one call count once."""
    cache_hits: int = 0
    """Texts whose vector came from the cache."""
    rate_limited: int = 0
    """Attempts answered with 429."""
    seconds_waited: float = 0.0
    """Seconds that calls have waited for the rate limit, summed over all calls."""
    price: float | None = field(default=None, repr=False)
    """What a million tokens cost, as given to `track_usage`; None: not known."""

    @property
    def cost(self) -> float | None:
        """What `prompt_tokens` cost, in the currency of `price`; None: the price is not known.

        Includes nothing for answers in which the service reported no tokens.
        """
        return None if self.price is None else self.prompt_tokens * self.price / PRICED_TOKENS


@dataclass(frozen=True)
class RequestInfo:
    """One finished request that the service may have counted, from the view of one client.

    If several clients share a request, each is told its own texts and tokens, and the sums equal the request's total.
    """

    model: str
    """The model requested."""
    texts: int
    """Texts of this client in the request."""
    tokens: int
    """Tokens charged for these texts; 0 if the service does not report them."""
    attempt: int
    """The number of this attempt for its texts; the first is 1."""
    seconds: float
    """Seconds from sending the request to reading the end of its response."""
    waited: float
    """Seconds that the texts have waited for the rate limit before this request."""
    status: int | None
    """The HTTP status; None: no response was received."""
    error: str | None
    """The class name of the request's error; None: vectors were received."""


tracked_usages: ContextVar[tuple[Usage, ...]] = ContextVar("tracked_usages", default=())
"""The counters of the blocks of `track_usage` around the current code, outermost first."""

_counting = threading.Lock()
"""Held while counters are changed, and for nothing else."""


def add_usage(usages: Iterable[Usage], **amounts: float) -> None:
    """Add amounts, given by the names of counters, to those of a client and of the blocks around a call.

    The calls of one block can belong to several accounts, whose workers count at the same time: counters are changed
    here only.
    """
    with _counting:
        for usage in usages:
            for name, amount in amounts.items():
                setattr(usage, name, getattr(usage, name) + amount)


def _after_fork_in_child() -> None:
    if _counting.locked():  # by a thread that does not exist in the child
        _counting.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
