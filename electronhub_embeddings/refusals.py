"""Reads an error answer: which exception it is, with the service's own words. Pure.

The documented envelope is `{"error": {"message", "type", "param", "code"}}`. Gateways also send it wrapped in
`detail`, as `{"detail": "text"}`, as plain text, as an HTML page, or not at all; all of them end in an exception
with the best words there are.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

from electronhub_embeddings.errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    InsufficientBalanceError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
)

if TYPE_CHECKING:
    from electronhub_embeddings.headers import Report

LONGEST_MESSAGE = 500
"""Characters kept of a message; an error page can have megabytes."""

LONGEST_BODY = 8000
"""Bytes of a body that is kept whole, decoded; of a longer one the first half is kept, as text."""

DEFAULT_COOLDOWN = 180.0
"""Seconds of the documented cooldown: "even if your normal window would have reset"."""

LONGEST_COOLDOWN = 3600.0
"""Seconds; a longer wait is no matter of requests a minute, but of a plan's or a day's budget."""

BY_STATUS: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: InsufficientBalanceError,
    403: PermissionDeniedError,
    404: NotFoundError,
    413: BadRequestError,
    422: BadRequestError,
    429: RateLimitError,
}

WAIT = re.compile(
    r"(?:try again|retry)(?: your request)? (?:in|after):? ((?:[\d.]{1,9} ?"
    r"(?:milliseconds?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d)?(?:,| and)? ?)+)",
    re.IGNORECASE,
)
WAIT_PART = re.compile(r"(\d{1,9}(?:\.\d{1,9})?) ?([a-z]*)", re.IGNORECASE)
WAIT_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
BUDGET = re.compile(r"quota|budget|daily|per day|\(?[TR]PD\b|monthly|per month|allocated", re.IGNORECASE)
BUDGET_WITHOUT_RATE = re.compile(r"credits|billing|token limit|resets? (?:on|at)", re.IGNORECASE)
RATE = re.compile(r"rate limit|rate_limit|per[ -]min|requests per|too many requests", re.IGNORECASE)
PER_MINUTE = re.compile(r"per[ -]min|\(?RPM\b", re.IGNORECASE)
HTML = re.compile(r"<(?:!doctype|html)", re.IGNORECASE)
TITLE = re.compile(r"<title>([^<]*)</title>", re.IGNORECASE)


def read_error(status: int, content: bytes, report: Report) -> APIStatusError:
    """Turn an error answer into its typed exception; never raises.

    Args:
        status: The HTTP status; for a 200 that carries an `error`, the code inside counts.
        content: The body, of whatever form.
        report: What the headers say; decides how long a 429 asks to wait.
    """
    body = _decode(content)
    error = _find_error(body)
    if len(content) > LONGEST_BODY:
        body = content[: LONGEST_BODY // 2].decode("utf-8", "replace").strip()
    message, param, code = _words(error if error is not None else body, status)
    if report.location and HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        message += f"; it leads to {report.location[:LONGEST_MESSAGE]}, and redirects are not followed: check base_url"
    if status == HTTPStatus.OK and error is not None:
        status = _status_inside(code, message)
    kind = BY_STATUS.get(status, ServerError if status >= HTTPStatus.INTERNAL_SERVER_ERROR else APIStatusError)
    retry_after = report.retry_after
    if kind is RateLimitError:
        named = _named_wait(message)
        retry_after = max(filter(None, (named, report.retry_after, report.reset)), default=DEFAULT_COOLDOWN)
        if retry_after > LONGEST_COOLDOWN or (named is None and _is_budget(f"{message} {code}")):
            kind, retry_after = QuotaExceededError, named or report.retry_after
    return kind(message, status_code=status, body=body, param=param, code=code, retry_after=retry_after)


def _decode(content: bytes) -> Any:
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return content[: LONGEST_BODY // 2].decode("utf-8", "replace").strip()


def _find_error(body: Any) -> Any:
    if not isinstance(body, dict):
        return None
    if isinstance(detail := body.get("detail"), dict):
        return detail.get("error", detail)
    return body.get("error") if body.get("error") is not None else detail


def _words(error: Any, status: int) -> tuple[str, str | None, str | int | None]:
    """Find the message, param and code in whatever form the error has."""
    param = code = None
    if isinstance(error, dict):
        param = _short(error.get("param")) if isinstance(error.get("param"), str) else None
        code = _short(error.get("code")) if isinstance(error.get("code"), (str, int)) else None
        code = code if code is not None else _short(error.get("type")) if isinstance(error.get("type"), str) else None
        error = error.get("message") or error
    text = error if isinstance(error, str) else msgspec.json.encode(error).decode() if error else ""
    text = describe_page(text) or text
    if not text:
        text = f"no message (status {status})"
    return text if len(text) <= LONGEST_MESSAGE else f"{text[:LONGEST_MESSAGE]}…", param, code


def _short(value: Any) -> Any:
    return value[:LONGEST_MESSAGE] if isinstance(value, str) else value


def describe_page(text: str) -> str | None:
    """Describe the HTML page that a text begins; None: it begins none."""
    if not HTML.match(text.lstrip()):
        return None
    title = TITLE.search(text)
    return f"an HTML page{f' titled {title[1].strip()!r}' if title else ''}"


def _status_inside(code: str | int | None, message: str) -> int:
    """Find the status that an error inside a 200 stands for."""
    if re.fullmatch("[45][0-9]{2}", str(code)):
        return int(code or 0)
    return 429 if RATE.search(f"{message} {code}") else 500


def _is_budget(words: str) -> bool:
    """Tell a spent budget from too many requests a minute: both are a 429, and only the second passes by waiting."""
    if BUDGET.search(words):
        return not PER_MINUTE.search(words)
    return bool(BUDGET_WITHOUT_RATE.search(words)) and not RATE.search(words)


def _named_wait(message: str) -> float | None:
    """Read "Try again in 180 seconds", and also "6m0s", "1h 2 minutes", "250ms"."""
    found = WAIT.search(message)
    if found is None:
        return None
    parts = WAIT_PART.findall(found[1].lower())
    return sum(float(number) * _unit(unit) for number, unit in parts)


def _unit(name: str) -> float:
    """Tell the seconds of "s", "sec", "minutes", "ms", "milliseconds" …: all but the last two by their first letter."""
    return 0.001 if name.startswith(("ms", "milli")) else WAIT_UNITS.get(name[:1], 1.0)
