"""Spreads requests over the period while documents and interactive calls share the limit.

A job that fills the window in its first seconds leaves no slot for a search during the rest of the minute. As long as
queries or chat calls were seen within the last minutes, requests therefore leave one by one, a slot's spacing apart.
An interactive call then waits for one spacing at most, and the job keeps its rate, because slots become free again just
as evenly.
"""

from __future__ import annotations

from dataclasses import dataclass

INTERACTIVE_MEMORY = 300.0
"""Seconds after the last interactive call for which documents still leave evenly spaced."""

DOCUMENTS_MEMORY = 2.0
"""Spacings after the last request for documents for which interactive calls still leave evenly spaced."""

PRECEDENCE = 1.0
"""Seconds for which documents let an interactive call go first that another thread or process waits with."""


@dataclass
class EvenSpacing:
    """When the next request may start while documents and interactive calls share the limit."""

    interactive_until: float = 0.0
    """Until when interactive calls are expected."""
    documents_until: float = 0.0
    """Until when documents are expected."""
    last_start: float = 0.0
    """The latest start of a request."""
    kept_until: float = 0.0
    """Until when documents let an interactive call go first."""

    def delay(self, now: float, spacing: float, *, interactive: bool, documents: bool) -> float:
        """Return the seconds until a request may start.

        Args:
            now: The time.
            spacing: Seconds between two slots that are spread evenly over the period.
            interactive: Whether somebody waits for the request: it carries a query or a chat call.
            documents: Whether documents are waiting that may be spread.
        """
        if interactive:
            self.interactive_until = now + INTERACTIVE_MEMORY
        if documents:
            self.documents_until = now + DOCUMENTS_MEMORY * spacing
        if now >= min(self.interactive_until, self.documents_until) or not (interactive or documents):
            return 0.0
        return max(0.0, self.last_start + spacing - now, 0.0 if interactive else self.kept_until - now)

    def let_go_first(self, free_at: float) -> None:
        """Keep the next slot, which is free at `free_at`, for an interactive call that was denied one."""
        self.kept_until = free_at + PRECEDENCE

    def note_start(self, now: float, *, interactive: bool) -> None:
        """Note that a request starts."""
        self.last_start = now
        if interactive:
            self.kept_until = 0.0

    def merge(self, other: EvenSpacing) -> None:
        """Merge what another window knows."""
        self.interactive_until = max(self.interactive_until, other.interactive_until)
        self.documents_until = max(self.documents_until, other.documents_until)
        self.last_start = max(self.last_start, other.last_start)
        self.kept_until = max(self.kept_until, other.kept_until)

    def shift_clock(self, shift: float) -> None:
        """Shift all times by `shift` seconds."""
        self.interactive_until += shift
        self.documents_until += shift
        self.last_start += shift
        self.kept_until += shift
