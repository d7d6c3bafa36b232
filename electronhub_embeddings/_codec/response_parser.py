"""Parses and checks the response of the embeddings endpoint. No I/O.

Invariants:
- Vectors are ordered by `index`. A response is rejected as a whole if its indices are not a permutation of the inputs,
  or if a vector has another length than the others or a number that is not finite.
- Each vector is decoded in the format that was received, a list or a base64 string, whatever was requested.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from electronhub_embeddings._codec.error_parser import describe_page, read_error
from electronhub_embeddings._codec.vector_decoding import decode_vectors, order_by_index
from electronhub_embeddings.errors import InvalidResponseError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from electronhub_embeddings._config.json_value import JSON
    from electronhub_embeddings._rate_limit.rate_limit_headers import RateLimitHeaders

MAX_PAGE_BYTES = 4000
"""Bytes of a response that are searched for the title of an HTML page."""

MAX_EMPTY_BYTES = 16
"""Longest JSON value that can still be empty (null, false, {}, [])."""

MAX_ERROR_BYTES = 65_536
"""Bytes read of an error inside a 200 response."""

MAX_BYTES_PER_BYTE = 2
"""Bytes of float32 that one byte of a response can encode at most: "0," is two bytes and becomes four."""

MAX_USAGE_BYTES = 10_000
"""Longest `usage` that is decoded, in bytes."""

MAX_TOKENS = 10**9
"""Largest token count that is accepted; a larger number is not plausible for one request."""

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""Exceptions of the decoder: invalid JSON, an unexpected structure, invalid UTF-8, or too many nested levels."""

NOTHING = msgspec.Raw()


class TokenUsage(NamedTuple):
    """The tokens charged for one request; 0 if the service does not report them."""

    prompt_tokens: int = 0
    total_tokens: int = 0


class _Row(msgspec.Struct, gc=False):
    """An item of `data`; its vector stays undecoded JSON, a view of the response's bytes."""

    index: int
    embedding: msgspec.Raw


class _Response(msgspec.Struct):
    """The fields of a response; the vectors, nearly all of its bytes, are only found."""

    data: list[_Row]
    usage: msgspec.Raw = NOTHING
    error: msgspec.Raw = NOTHING


class _ErrorFields(msgspec.Struct):
    """The error fields of a 200 response; decoding every field of a long one would take many times its memory."""

    error: msgspec.Raw = NOTHING
    detail: msgspec.Raw = NOTHING


_decode_response = msgspec.json.Decoder(_Response).decode
_decode_error_fields = msgspec.json.Decoder(_ErrorFields).decode


class ParsedResponse:
    """A response with its token usage and its vectors, which are not decoded yet and may be invalid."""

    def __init__(self, response: _Response, size: int) -> None:
        self.tokens = _read_tokens(response.usage)
        self._rows = response.data
        self._size = size

    def vectors(self, *, count: int, dimensions: int | None, allocate: Callable[[int, int], np.ndarray]) -> np.ndarray:
        """Decode the vectors.

        Args:
            count: The number of texts sent.
            dimensions: The length d that every vector must have. None: any length, equal for all vectors.
            allocate: Called with `count` and d once d is known; returns a C-contiguous float32 array to decode into.
                If the response is rejected, the array may be partly filled.

        Returns:
            The array of shape (count, d): row i is the vector of text i.

        Raises:
            InvalidResponseError: The vectors are invalid; `.retries` tells how many retries are worthwhile.
        """
        vectors = order_by_index([row.embedding for row in self._rows], [row.index for row in self._rows], count)
        return decode_vectors(vectors, dimensions, MAX_BYTES_PER_BYTE * self._size // count, allocate)


def parse_response(status: int, content: bytes | memoryview, headers: RateLimitHeaders) -> ParsedResponse:
    """Parse a response, or raise the error that it reports.

    Args:
        status: The HTTP status.
        content: The body; must not change until the vectors are decoded.
        headers: The rate limit headers.

    Raises:
        APIStatusError: The response is an error, possibly with status 200.
        InvalidResponseError: The body is not an embedding response; `.retries` tells how many retries are worthwhile.
    """
    if status != HTTPStatus.OK:
        raise read_error(status, bytes(content), headers)
    try:
        response = _decode_response(content)
    except UNREADABLE as error:
        if error_fields := _find_error_fields(content):
            raise read_error(status, error_fields, headers) from None
        if page := describe_page(str(content[:MAX_PAGE_BYTES], "utf-8", "replace")):
            message = f"The answer is {page}, not an embedding response: does base_url lead to the API?"
            raise InvalidResponseError(message, retries=1) from None
        raise InvalidResponseError(f"The answer is not an embedding response: {error}.") from None
    if not _is_empty(response.error):
        raise read_error(status, _find_error_fields(content), headers)
    return ParsedResponse(response, len(content))


def _find_error_fields(content: bytes | memoryview) -> bytes:
    """Return the error that a gateway has sent with status 200, as JSON; empty: there is none."""
    try:
        found = _decode_error_fields(content)
    except UNREADABLE:
        return b""
    if _is_empty(found.error) and _is_empty(found.detail):
        return b""
    parts = {"error": found.error, "detail": found.detail}
    return msgspec.json.encode({name: part for name, part in parts.items() if not _is_empty(part)})[:MAX_ERROR_BYTES]


def _is_empty(value: msgspec.Raw) -> bool:
    """Return whether a value of `error` or `detail` means that there is no error: null, false, "", {} …."""
    length = len(memoryview(value))
    try:
        return length == 0 or (length <= MAX_EMPTY_BYTES and not msgspec.json.decode(value))
    except UNREADABLE:
        return False


def _read_tokens(usage: msgspec.Raw) -> TokenUsage:
    """Read the token counts; `usage` and each of its fields may be missing."""
    counts: JSON
    try:
        counts = msgspec.json.decode(usage) if len(memoryview(usage)) <= MAX_USAGE_BYTES else None
    except UNREADABLE:
        counts = None

    def tokens(name: str) -> int:
        number = counts.get(name) if isinstance(counts, dict) else None
        return number if type(number) is int and 0 < number <= MAX_TOKENS else 0

    return TokenUsage(tokens("prompt_tokens"), tokens("total_tokens"))
