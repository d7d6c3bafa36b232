"""Turns an error response into an exception that carries the service's message. No I/O.

The documented envelope is `{"error": {"message", "type", "param", "code"}}`. Gateways also send the error wrapped in
`detail`, as `{"detail": "text"}`, as plain text, as an HTML page, or without a body. They pass on the error of the
model's vendor: a list of invalid fields (FastAPI), JSON inside a message (Mistral) or inside `metadata` (OpenRouter).
Each form becomes an exception with the most specific message found.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

from electronhub_embeddings._codec.refusal_advice import find_next_step
from electronhub_embeddings._rate_limit.wording import wait_in_words
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
    from electronhub_embeddings._config.json_value import JSON
    from electronhub_embeddings._rate_limit.rate_limit_headers import RateLimitHeaders

MAX_MESSAGE_LENGTH = 500
"""Characters kept of a message; an error page can have megabytes."""

MAX_BODY_BYTES = 8000
"""Longest body that is kept decoded, in bytes. Of a longer body, the first `MAX_BODY_BYTES // 2` are kept as text."""

DEFAULT_COOLDOWN = 180.0
"""Seconds of the documented cooldown, which applies "even if your normal window would have reset"."""

MAX_COOLDOWN = 3600.0
"""Seconds; a longer wait means a spent budget of the plan or the day, not a per-minute rate limit."""

MAX_NESTING = 3
"""Levels of nested errors that are read: the gateway's, the vendor's, and one list of fields."""

MAX_DOUBT = 3
"""Rank of a field that was rejected for an input form that was not sent."""

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
OTHER_KIND = re.compile(
    r"valid (?:integer|list|dictionary)|\b(?:int|list|dict|model)_|type_error\.(?:integer|list|dict)"
)


def read_error(status: int, content: bytes, headers: RateLimitHeaders) -> APIStatusError:
    """Return the exception for an error response; never raises.

    Args:
        status: The HTTP status. For a 200 that carries an `error`, the error's own code is used instead.
        content: The body, in any form.
        headers: The rate limit headers; they decide the `retry_after` of a 429.
    """
    body = _decode(content)
    error = _find_error(body)
    if len(content) > MAX_BODY_BYTES:
        body = _beginning(content)
    message, param, code = _words(error if error is not None else body, status)
    if headers.location and HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        message += (
            f"; it leads to {headers.location[:MAX_MESSAGE_LENGTH]}, and redirects are not followed: check base_url"
        )
    if status == HTTPStatus.OK and error is not None:
        status = _status_inside(code, message)
    kind = BY_STATUS.get(status, ServerError if status >= HTTPStatus.INTERNAL_SERVER_ERROR else APIStatusError)
    retry_after = headers.retry_after
    if kind is RateLimitError:
        named = _named_wait(message)
        retry_after = max(filter(None, (named, headers.retry_after, headers.reset)), default=DEFAULT_COOLDOWN)
        if retry_after > MAX_COOLDOWN or (named is None and _is_budget(f"{message} {code}")):
            kind, retry_after = QuotaExceededError, named or headers.retry_after
    api_error = kind(message, status_code=status, body=body, param=param, code=code, retry_after=retry_after)
    if isinstance(api_error, BadRequestError):
        is_unknown_model = code == "model_not_found" or param == "model"  # some gateways send a 400 for it
        api_error.next_step = NotFoundError.next_step if is_unknown_model else find_next_step(api_error)
    elif isinstance(api_error, RateLimitError) and retry_after is not None:
        api_error.next_step = f"Try again in {wait_in_words(retry_after)}, or allow more attempts with max_retries."
    return api_error


def _decode(content: bytes) -> Any:
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _beginning(content)


def _beginning(content: bytes) -> str:
    return content[: MAX_BODY_BYTES // 2].decode(errors="replace").strip()


def _find_error(body: JSON) -> JSON:
    if isinstance(body, list) and len(body) == 1 and isinstance(body[0], dict) and "error" in body[0]:
        body = body[0]  # Google's OpenAI-like endpoint
    if not isinstance(body, dict):
        return None
    if isinstance(detail := body.get("detail"), dict):
        return detail.get("error", detail)
    return body.get("error") if body.get("error") is not None else detail


def _words(error: JSON, status: int) -> tuple[str, str | None, str | int | None]:
    """Return the message, param and code of an error in any form."""
    text, param, code = _read(error)
    text = describe_page(text) or text or f"no message (status {status})"
    return text if len(text) <= MAX_MESSAGE_LENGTH else f"{text[:MAX_MESSAGE_LENGTH]}…", _short(param), _short(code)


def _read(error: JSON, nesting: int = MAX_NESTING) -> tuple[str, str | None, str | int | None]:
    """Read an error and the errors nested in it; the innermost message wins, and the outermost param and code."""
    param = code = None
    inner: JSON = None
    if isinstance(error, dict):
        message, metadata = error.get("message"), error.get("metadata")
        inner = message if isinstance(message, (dict, list)) else _decode_object(message)
        if isinstance(metadata, dict) and (raw := metadata.get("raw")):  # OpenRouter: "Provider returned error"
            inner = _decode_object(raw) or raw
        param = named if isinstance(named := error.get("param"), str) else _violated_field(error.get("details"))
        code = next((value for key in ("code", "type") if isinstance(value := error.get(key), (str, int))), None)
        error = message or error
    elif isinstance(error, list) and (fields := [item for item in error if isinstance(item, dict) and "msg" in item]):
        error, param = _describe_field(min(fields, key=_doubt))
    text = error if isinstance(error, str) else msgspec.json.encode(error).decode() if error else ""
    if inner and nesting:
        inside = _find_error(inner)
        inner_text, inner_param, inner_code = _read(inside if inside is not None else inner, nesting - 1)
        text = inner_text or text
        param, code = param or inner_param, code if code is not None else inner_code
    return text, param, code


def _decode_object(text: JSON) -> JSON:
    """Decode a text that begins as a JSON object, as far as it is one; None: the text begins otherwise."""
    if not isinstance(text, str) or not text.lstrip().startswith(("{", "[{")):
        return None
    value: JSON = _decode(text.encode())
    return value


def _violated_field(details: JSON) -> str | None:
    """Return the field named by Google's format: `[{"fieldViolations": [{"field": "requests[0].content"}]}]`."""
    for detail in details if isinstance(details, list) else ():
        violations = detail.get("fieldViolations") if isinstance(detail, dict) else None
        for violation in violations if isinstance(violations, list) else ():
            if isinstance(violation, dict) and isinstance(field := violation.get("field"), str) and field:
                return field
    return None


def _path(item: dict[str, JSON]) -> list[str | int]:
    """Return FastAPI's `loc` without the part of the request: ["body", "input", 3] becomes ["input", 3]."""
    place = item.get("loc")
    path = [part for part in place if isinstance(part, (str, int))] if isinstance(place, list) else []
    path = path[1:] if path[:1] in (["body"], ["query"], ["header"], ["path"]) else path
    return path if any(isinstance(part, str) for part in path) else []  # ["body", 17] is a position in broken JSON


def _doubt(item: dict[str, JSON]) -> int:
    """Rank a field of FastAPI's list: errors about one text first, errors about an unsent form of input last.

    `input` may be a text, a list of texts or a list of tokens, and a rejected text is reported once per alternative: as
    `input, list[str], 3`, as a list that is not a text, and as `input, list[int], 0`, which is not an integer.
    """
    kind, path = f"{item.get('type')} {item['msg']}", _path(item)
    indexed = any(isinstance(part, int) for part in path)
    if OTHER_KIND.search(kind):
        return MAX_DOUBT
    if indexed:
        return 0
    return 2 if "missing" in kind or "string_type" in kind or "str type" in kind else 1


def _describe_field(item: dict[str, Any]) -> tuple[str, str | None]:
    trusted = _doubt(item) < MAX_DOUBT
    path = ".".join(str(part) for part in _path(item) if trusted or isinstance(part, str))
    return (f"{path}: {item['msg']}", path) if path else (str(item["msg"]), None)


def _short(value: Any) -> Any:
    return value[:MAX_MESSAGE_LENGTH] if isinstance(value, str) else value


def describe_page(text: str) -> str | None:
    """Describe the HTML page at the beginning of a text; None: the text does not begin with one."""
    if not HTML.match(text.lstrip()):
        return None
    title = TITLE.search(text)
    return f"an HTML page{f' titled {title[1].strip()!r}' if title else ''}"


def _status_inside(code: str | int | None, message: str) -> int:
    """Return the status that an error inside a 200 response represents."""
    if re.fullmatch("[45][0-9]{2}", str(code)):
        return int(code or 0)
    return 429 if RATE.search(f"{message} {code}") else 500


def _is_budget(words: str) -> bool:
    """Return whether a 429 reports a spent budget; waiting helps only against a per-minute rate limit."""
    if BUDGET.search(words):
        return not PER_MINUTE.search(words)
    return bool(BUDGET_WITHOUT_RATE.search(words)) and not RATE.search(words)


def _named_wait(message: str) -> float | None:
    """Parse the seconds in "Try again in 180 seconds", and also in "6m0s", "1h 2 minutes" or "250ms"."""
    found = WAIT.search(message)
    if found is None:
        return None
    parts = WAIT_PART.findall(found[1].lower())
    return sum(float(number) * _unit(unit) for number, unit in parts)


def _unit(name: str) -> float:
    """Return the seconds of a time unit, such as "s", "sec", "minutes", "ms" or "milliseconds"."""
    return 0.001 if name.startswith(("ms", "milli")) else WAIT_UNITS.get(name[:1], 1.0)
