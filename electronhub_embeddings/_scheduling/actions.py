"""The actions that the scheduler returns to its workers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from electronhub_embeddings._config.request_config import RequestConfig
    from electronhub_embeddings._scheduling.call import Call
    from electronhub_embeddings._scheduling.inquiry import Inquiry


@dataclass(frozen=True)
class Wait:
    """Do nothing until the time `until` or the next event, whichever comes first; None: until the next event."""

    until: float | None


@dataclass(frozen=True)
class LookUp:
    """Look up the texts of a call in its cache, and report `looked_up`."""

    call: Call


@dataclass(frozen=True)
class CheckMaxWait:
    """For each number in `requests`, ask the limiter how long so many must wait at least; report `max_wait_checked`."""

    requests: list[int]
    cap: int | None


@dataclass(frozen=True)
class LookAhead:
    """Ask the limiter what it allows from now on, and report `looked_ahead`."""

    cap: int | None


@dataclass(frozen=True)
class AcquireSlot:
    """Ask the limiter for a slot, and report `slot_granted` or `slot_denied`."""

    max_duration: float
    """Upper bound of the request's duration, in seconds."""
    cap: int | None
    """The clients' own limit of requests per minute; None: only the service's limit applies."""
    interactive: bool
    """Whether the request is to carry a query."""
    documents: int
    """How many requests the waiting documents need that may be spread over the period."""


@dataclass
class Effects:
    """Effects to apply after the scheduler's lock is released."""

    complete: list[Call] = field(default_factory=list["Call"])
    """Calls that have ended."""
    answered: list[Inquiry] = field(default_factory=list["Inquiry"])
    """Inquiries that have been answered."""
    unused: list[RequestConfig] = field(default_factory=list["RequestConfig"])
    """Configurations whose connections can be closed."""
