"""Reads a refusal: which exception it is, and whose fault. Pure.

The documented envelope is `{"error": {"message", "type", "param", "code"}}`. Gateways also send it wrapped in
`detail`, as `{"detail": "text"}`, as plain text, as an HTML page, or not at all; all of them end in an exception
with the best words there are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
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
    r"(?:ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)?(?:,| and)? ?)+)",
    re.IGNORECASE,
)
WAIT_PART = re.compile(r"(\d{1,9}(?:\.\d{1,9})?) ?([a-z]*)", re.IGNORECASE)
WAIT_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "ms": 0.001, "milliseconds": 0.001}
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
    message, param, code = _words(error if error is not None else body, status)
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
        return content[: 8 * LONGEST_MESSAGE].decode("utf-8", "replace").strip()


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
        param = error.get("param") if isinstance(error.get("param"), str) else None
        code = error.get("code") if isinstance(error.get("code"), (str, int)) else None
        code = code if code is not None else error.get("type") if isinstance(error.get("type"), str) else None
        error = error.get("message") or error
    text = error if isinstance(error, str) else msgspec.json.encode(error).decode() if error else ""
    if HTML.match(text):
        title = TITLE.search(text)
        text = f"an HTML page{f' titled {title[1].strip()!r}' if title else ''}"
    if not text:
        text = f"no message (status {status})"
    return text if len(text) <= LONGEST_MESSAGE else f"{text[:LONGEST_MESSAGE]}…", param, code


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
    return sum(float(number) * WAIT_UNITS.get(unit, WAIT_UNITS.get(unit[:1], 0.001)) for number, unit in parts)


class Blame(Enum):
    """Whose fault a refused request is."""

    TEXT = "a text is at fault: the others can be sent without it"
    SIZE = "the request is too large: smaller ones can pass"
    ENCODING = "the encoding_format is not supported: the other one can pass"
    REQUEST = "the request itself is at fault, whatever its texts"
    UNCLEAR = "the message does not say"


@dataclass(frozen=True)
class Verdict:
    """What a refused request teaches."""

    blame: Blame
    index: int | None = None
    """Position of the guilty text in the request, where the message names it."""
    max_inputs: int | None = None
    """The largest number of inputs that the message allows."""
    max_tokens: int | None = None
    """The largest number of tokens in a request that the message allows."""
    tokens: int | None = None
    """The number of tokens that this request had, where the message tells."""


NAMED = re.compile(r"input\[(\d{1,9})\]|input\.(\d{1,9})\b|input at index (\d{1,9})", re.IGNORECASE)
TOO_MANY_INPUTS = re.compile(
    r"array too long|too many (?:inputs|texts|items|elements)|batch[ _]?size|(?:at most|up to|maximum(?: of)?) \d+ "
    r"(?:inputs|texts|items|elements)|number of (?:inputs|texts|items)",
    re.IGNORECASE,
)
TOO_MANY_TOKENS = re.compile(
    r"request size|tokens per request|max_tokens_per_request|too many tokens|token count"
    r"|(?:request|payload|body|entity) too large",
    re.IGNORECASE,
)
TEXT_TOO_LONG = re.compile(r"context length|maximum input length", re.IGNORECASE)
ABOUT_TEXT = re.compile(r"\$\.input|content|policy|moderation|flagged", re.IGNORECASE)
ABOUT_REQUEST = re.compile(
    r"(?:unknown|invalid|unsupported|no such) (?:model|parameter|field)|specifying dimensions"
    r"|\bmodel\b.{0,80}(?:not found|does not exist|not supported|not available|not support)",
    re.IGNORECASE,
)


def judge(error: BadRequestError, inputs: int) -> Verdict:
    """Say whose fault a refused request of `inputs` texts is."""
    message, words = error.message, f"{error.message} {error.code or ''}"
    numbers = [int(number) for number in re.findall(r"\d{1,9}", message.replace(",", ""))]
    verdict = Verdict(Blame.UNCLEAR)
    if found := NAMED.search(f"{message} {error.param or ''}"):
        index = int(next(filter(None, found.groups()), "0"))
        verdict = Verdict(Blame.TEXT, index=index if index < inputs else None)
    elif "encoding_format" in (error.param or message) or "base64" in message:
        verdict = Verdict(Blame.ENCODING)
    elif TOO_MANY_INPUTS.search(words):
        verdict = Verdict(Blame.SIZE, max_inputs=max((n for n in numbers if 0 < n < inputs), default=None))
    elif TEXT_TOO_LONG.search(words):
        verdict = Verdict(Blame.TEXT)
    elif TOO_MANY_TOKENS.search(words) or error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        limits = [n for n in numbers if n >= 1000]  # noqa: PLR2004 - smaller numbers are codes, not budgets
        tokens = max(limits) if len(set(limits)) > 1 else None
        verdict = Verdict(Blame.SIZE, max_tokens=min(limits, default=None), tokens=tokens)
    elif ABOUT_TEXT.search(words) or error.param == "input":
        verdict = Verdict(Blame.TEXT)
    elif error.param is not None or ABOUT_REQUEST.search(words):
        verdict = Verdict(Blame.REQUEST)
    return verdict
