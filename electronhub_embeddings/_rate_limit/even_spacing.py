"""Spreads requests over the period while documents share the limit with interactive calls, or with others on the key.

A job that fills the window in its first seconds leaves no slot for a search during the rest of the minute. As long as
queries or chat calls were seen within the last minutes, documents therefore leave one by one, a slot's spacing apart,
and interactive calls keep that distance as long as documents are held up. An interactive call then waits for one
spacing at most, and the job keeps its rate, because slots become free again just as evenly. Documents that fit into one
request are no such job, unless documents were held up shortly before: a job can consist of many small calls.

Beside others on the key, a burst that fills the window is blind for a minute: nothing is sent, so no header tells of
calls that others make meanwhile. Documents that do not fit into the free slots therefore leave evenly spaced.
"""

from __future__ import annotations

from dataclasses import dataclass

INTERACTIVE_MEMORY = 300.0
"""Seconds after the last interactive call for which documents still leave evenly spaced."""

DOCUMENTS_MEMORY = 2.0
"""Spacings for which documents that were held up are expected back; until then interactive calls keep the distance."""


@dataclass
class EvenSpacing:
    """When the next request may start while documents and interactive calls share the limit."""

    interactive_until: float = 0.0
    """Until when interactive calls are expected."""
    documents_until: float = 0.0
    """Until when documents that were held up are expected back."""
    last_start: float = 0.0
    """The latest start of a request."""

    def applies(self, now: float, *, interactive: bool, documents: int, crowded: bool) -> bool:
        """Return whether a request keeps the distance.

        Args:
            now: The time.
            interactive: Whether somebody waits for the request: it carries a query or a chat call.
            documents: How many requests the waiting documents need that may be spread.
            crowded: Whether others use the key, and these do not fit into the slots that are free.
        """
        if interactive:
            return now < self.documents_until
        if crowded and documents:
            return True
        return now < self.interactive_until and (documents > 1 or (documents == 1 and now < self.documents_until))

    def delay(self, now: float, spacing: float, ahead: int) -> float:
        """Return the seconds until a request that keeps the distance may start.

        Args:
            now: The time.
            spacing: Seconds between two slots that are spread evenly over the period.
            ahead: Calls that start before.
        """
        return max(0.0, self.last_start + (1 + ahead) * spacing - now)

    def note_start(self, now: float, *, interactive: bool) -> None:
        """Note that a request starts."""
        self.last_start = now
        if interactive:
            self.interactive_until = now + INTERACTIVE_MEMORY

    def note_pause(self, now: float, spacing: float, *, interactive: bool, documents: int) -> None:
        """Note that a request must wait."""
        if documents:
            self.documents_until = now + DOCUMENTS_MEMORY * spacing
        if interactive:
            self.interactive_until = now + INTERACTIVE_MEMORY

    def merge(self, other: EvenSpacing) -> None:
        """Merge what another window knows."""
        self.interactive_until = max(self.interactive_until, other.interactive_until)
        self.documents_until = max(self.documents_until, other.documents_until)
        self.last_start = max(self.last_start, other.last_start)

    def shift_clock(self, shift: float) -> None:
        """Shift all times by `shift` seconds."""
        self.interactive_until += shift
        self.documents_until += shift
        self.last_start += shift
