"""What the response headers say, about the rate limit above all: pure, and forgiving, for every header is optional."""

from __future__ import annotations

import math
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

UNIX_SECONDS = 1e9
"""From here on a number is a point in time in Unix seconds (since 2001); below, seconds from now."""

UNIX_MILLISECONDS = 1e11
"""From here on a number is a point in time in Unix milliseconds."""

LARGEST_LIMIT = 100_000
"""A larger number of requests a minute is no limit, or no number of requests."""

LONGEST_RESET = 3600.0
"""A reset further away (seconds) is not about requests a minute, or a clock is wrong: it is not believed."""


class Report(NamedTuple):
    """What one answer says beside its body; None where it says nothing."""

    limit: int | None = None
    """Requests a minute (`X-RateLimit-Limit`)."""
    remaining: int | None = None
    """Requests left in the window when this one was counted (`X-RateLimit-Remaining`)."""
    reset: float | None = None
    """Seconds until the window resets (`X-RateLimit-Reset`)."""
    retry_after: float | None = None
    """Seconds the service asks to wait (`Retry-After`, as seconds or as a date)."""
    location: str | None = None
    """Where a redirect leads."""


def read_report(headers: Mapping[str, str], wall_clock: float) -> Report:
    """Read the headers that matter.

    Args:
        headers: Response headers, looked up by lower-case name.
        wall_clock: The local time in Unix seconds, used where the answer has no `Date` of its own:
            a point in time is measured against the service's clock if possible.
    """
    date = headers.get("date")
    limit = _number(headers.get("x-ratelimit-limit"))
    remaining = _number(headers.get("x-ratelimit-remaining"))
    reset = _seconds_until(headers.get("x-ratelimit-reset"), date, wall_clock)
    return Report(
        limit=int(limit) if limit is not None and 1 <= limit <= LARGEST_LIMIT else None,
        remaining=int(remaining) if remaining is not None and remaining <= LARGEST_LIMIT else None,
        reset=reset if reset is not None and reset <= LONGEST_RESET else None,
        retry_after=_seconds_until(headers.get("retry-after"), date, wall_clock),
        location=headers.get("location"),
    )


def _seconds_until(value: str | None, date: str | None, wall_clock: float) -> float | None:
    """Read a time to wait: seconds, or a point in time as a date, in Unix seconds or in milliseconds."""
    number = _number(value)
    if number is not None and number < UNIX_SECONDS:
        return number
    moment = _date(value) if number is None else number / 1000 if number >= UNIX_MILLISECONDS else number
    return None if moment is None else max(0.0, moment - (_date(date) or wall_clock))


def _number(value: str | None) -> float | None:
    if value is None:
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _date(value: str | None) -> float | None:
    if value is None:
        return None
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
