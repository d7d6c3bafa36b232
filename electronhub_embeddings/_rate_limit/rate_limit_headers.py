"""Parses the response headers, mainly those of the rate limit. Every header is optional and may be malformed."""

from __future__ import annotations

import math
import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

MIN_UNIX_SECONDS = 1e9
"""Smallest number that is a Unix time in seconds (2001); a smaller number is a duration in seconds."""

MIN_UNIX_MILLISECONDS = 1e11
"""Smallest number that is a Unix time in milliseconds."""

MAX_LIMIT = 100_000
"""Largest plausible number of requests per minute; a larger one is ignored."""

MAX_PERIOD = 3600.0
"""Longest plausible period of the limit, in seconds; a longer one is a quota of another kind."""

POLICY = re.compile(r"(\d+)\s*;\s*w=(\d+(?:\.\d+)?)", re.ASCII)
"""Quota and seconds in a policy as in the drafts of the IETF: `5;w=10`, or `"default";q=5;w=10`."""

MAX_RESET = 3600.0
"""Longest plausible time until a reset, in seconds; a longer one is not about requests per minute."""


class RateLimitHeaders(NamedTuple):
    """The headers of one response; None: the header is missing or invalid."""

    limit: int | None = None
    """Requests per minute (`X-RateLimit-Limit`)."""
    remaining: int | None = None
    """Requests left in the window after this request was counted (`X-RateLimit-Remaining`)."""
    reset: float | None = None
    """Seconds until the window resets (`X-RateLimit-Reset`)."""
    retry_after: float | None = None
    """Seconds the service asks to wait (`Retry-After`, as seconds or as a date)."""
    location: str | None = None
    """The target of a redirect (`Location`)."""
    period: float | None = None
    """Seconds in which `limit` requests are allowed (`RateLimit-Policy`), where the service names them."""


def read_rate_limit_headers(headers: Mapping[str, str], wall_clock: float) -> RateLimitHeaders:
    """Parse the headers of a response.

    Args:
        headers: The response headers, with names in lower case.
        wall_clock: The local time in Unix seconds, used if the response has no `Date`. Otherwise, times are compared
            with the service's clock.
    """
    date = headers.get("date")
    limit = _number(headers.get("x-ratelimit-limit"))
    remaining = _number(headers.get("x-ratelimit-remaining"))
    reset = _seconds_until(headers.get("x-ratelimit-reset"), date, wall_clock)
    allowed = int(limit) if limit is not None and 1 <= limit <= MAX_LIMIT else None
    return RateLimitHeaders(
        limit=allowed,
        remaining=int(remaining) if remaining is not None and remaining <= MAX_LIMIT else None,
        reset=reset if reset is not None and reset <= MAX_RESET else None,
        retry_after=_seconds_until(headers.get("retry-after"), date, wall_clock),
        location=headers.get("location"),
        period=_period(headers.get("ratelimit-policy"), allowed),
    )


def _period(policy: str | None, limit: int | None) -> float | None:
    """Return the period that a policy names for this very limit: a proxy may add a policy of its own."""
    named = [float(seconds) for quota, seconds in POLICY.findall(policy or "") if quota == str(limit)]
    return named[0] if named and 0 < named[0] <= MAX_PERIOD else None


def _seconds_until(value: str | None, date: str | None, wall_clock: float) -> float | None:
    """Parse a waiting time: seconds, or a point in time as a date, in Unix seconds or in Unix milliseconds."""
    number = _number(value)
    if number is not None and number < MIN_UNIX_SECONDS:
        return number
    moment = _date(value) if number is None else number / 1000 if number >= MIN_UNIX_MILLISECONDS else number
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
