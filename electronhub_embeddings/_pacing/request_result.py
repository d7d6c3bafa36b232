"""Turns the answer to another library's request, or its failure, into a result for the rate limiter."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from electronhub_embeddings._codec.error_parser import read_error
from electronhub_embeddings._codec.result import Result
from electronhub_embeddings._rate_limit.rate_limit_headers import read_rate_limit_headers
from electronhub_embeddings.errors import APIConnectionError

if TYPE_CHECKING:
    from electronhub_embeddings._http.http_family import HTTPFamily
    from electronhub_embeddings._pacing.slot import Slot

MAX_DURATION = 600.0
"""Seconds after which a request without an answer is considered lost, for example because its process was killed; the
default time-out of OpenAI's SDK."""


def max_duration(timeouts: dict[str, float | None] | None) -> float:
    """Return the longest time until a request's headers arrive, in seconds, from the time-outs of httpx."""
    given = timeouts if isinstance(timeouts, dict) else {}
    connect, read = given.get("connect"), given.get("read")
    return MAX_DURATION if connect is None or read is None else min(MAX_DURATION, connect + read)


def failed(family: HTTPFamily, slot: Slot, error: BaseException) -> Result:
    """Return the result of a request without an answer."""
    sent = slot.is_acquired and not isinstance(error, family.not_sent)
    return Result(error=APIConnectionError(sent=sent))


def answered(family: HTTPFamily, response: Any, headers_at: float, body: bytes) -> Result:
    """Return the result of a request whose headers have arrived.

    Args:
        family: The family of the response.
        response: The response.
        headers_at: `time.monotonic()` when the headers arrived.
        body: The beginning of the body as received, if the response is a refusal.
    """
    headers = read_rate_limit_headers(response.headers, time.time())
    result = Result(status=response.status_code, headers=headers, headers_at=headers_at)
    if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
        result.error = read_error(response.status_code, _decoded(family, response, body), headers)
    return result


def _decoded(family: HTTPFamily, response: Any, body: bytes) -> bytes:
    if response.is_stream_consumed:  # the wrapped transport has read it
        return bytes(getattr(response, "_content", b""))
    try:
        decoded = family.module.Response(response.status_code, headers=response.headers, content=body)
    except family.module.DecodingError:
        return b""
    return bytes(decoded.content)
