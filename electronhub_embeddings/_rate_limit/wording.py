"""Waits, limits and numbers in words: for estimates, the progress bar and the log."""

from __future__ import annotations

from math import ceil

MINUTE = 60
HOUR = 3600


def in_words(seconds: float) -> str:
    """Return a duration in the unit that a reader would choose: "12 s", "4 min", "3 h 20 min", "2 days"."""
    if seconds < 2 * MINUTE:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / MINUTE)
    if minutes < 100:  # noqa: PLR2004 - beyond, hours are easier to imagine
        return f"{minutes} min"
    hours, minutes = divmod(10 * round(minutes / 10), 60)
    if hours < 48:  # noqa: PLR2004 - two days
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{round(seconds / (24 * HOUR))} days"


def wait_in_words(seconds: float) -> str:
    """Return a wait in whole seconds, rounded up: whoever came much earlier would come in vain."""
    return f"{max(1, ceil(round(seconds, 1))):,} s"


def counted(number: int, what: str) -> str:
    """Return a number of things: "1 text", "3,000 texts"."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def limit_in_words(requests_per_minute: int | None, source: str | None, others: int) -> str:
    """Say how fast requests can leave, who says so, and what is left to others."""
    if requests_per_minute is None:
        return "the service has named no limit"
    said = {"guess": ", a guess after a refused request", "option": ", as set"}.get(source or "", "")
    more = f", {others:,} more are left to others" if others else ""
    return f"{counted(requests_per_minute, 'request')} a minute{said}{more}"


AFTER_CLOSE = "Use a new client, or reopen() this one; .partial has what was finished."
"""What to do when a client was closed."""

AFTER_STORE_FAILURE = 'Name another place in rate_limit_store, or "memory" for a limit of this process alone.'
"""What to do when the window of the limit cannot be read or changed: nothing may be sent without it."""

AFTER_BUG = "This is a mistake in this package, or in an http_client or store of yours: please report it."
"""What to do about an exception that nobody foresaw."""
