"""The wire: texts to the bytes of a request, bytes of an answer to rows. Pure.

Laws of this module:
- `input` is a list of strings, the caller's own, to the byte; never tokens.
- No field is sent that nobody asked for.
- Rows are placed by `index`. An answer that is not a permutation of the inputs, or has a row of another length or
  a number that is not finite, is refused as a whole.
- Items are decoded by what they are, list or base64 string, whatever was asked for.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from electronhub_embeddings.errors import InvalidResponseError
from electronhub_embeddings.outline import NOTHING, UNREADABLE, read_outline
from electronhub_embeddings.refusals import describe_page, read_error
from electronhub_embeddings.rows import new_room, sort, stack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from electronhub_embeddings.headers import Report
    from electronhub_embeddings.outline import Outline

LONGEST_PAGE = 4000
"""Bytes of an answer in which the title of a page is looked for."""

LONGEST_EMPTY = 16
"""Bytes of a value that can still tell of nothing."""

LONGEST_REFUSAL = 65_536
"""Bytes read of an error that stands in an answer."""

DENSEST = 2
"""Bytes of float32 that one byte of an answer can stand for, at most: "0," is a number."""

LONGEST_USAGE = 10_000
"""Bytes of a `usage` that is looked into."""


class Charge(NamedTuple):
    """What the service charged for one answer, in tokens; 0 where it does not say."""

    prompt_tokens: int = 0
    total_tokens: int = 0


class _Refusal(msgspec.Struct):
    """An error inside a 200, and nothing else: to decode all of a long answer takes many times its length."""

    error: msgspec.Raw = NOTHING
    detail: msgspec.Raw = NOTHING


MOST_TOKENS = 10**9
"""Tokens of one answer beyond which a charge is nonsense."""


class _Model(msgspec.Struct):
    id: str
    endpoints: list[str] | None = None


class _Models(msgspec.Struct):
    data: list[_Model]


EMBEDDINGS = "/v1/embeddings"
"""The endpoint that a model names which makes embeddings."""

_decode_models = msgspec.json.Decoder(_Models).decode
_decode_refusal = msgspec.json.Decoder(_Refusal).decode


def write_request(
    texts: Sequence[str],
    *,
    model: str,
    encoding_format: str | None,
    dimensions: int | None = None,
    user: str | None = None,
) -> bytes:
    """Write the body of `POST /embeddings`; fields that are None are not sent."""
    fields = {
        "model": model,
        "input": texts,
        "encoding_format": encoding_format,
        "dimensions": dimensions,
        "user": user,
    }
    return msgspec.json.encode({name: value for name, value in fields.items() if value is not None})


class Contents:
    """What an answer holds: vectors, not decoded yet, and what they cost, whatever they turn out to be."""

    def __init__(self, outline: Outline, size: int) -> None:
        self.charge = _read_charge(outline.usage)
        self._outline = outline
        self._size = size

    def vectors(
        self, *, count: int, dimensions: int | None, room: Callable[[int, int], np.ndarray] = new_room
    ) -> np.ndarray:
        """Decode the vectors.

        Args:
            count: How many texts were sent.
            dimensions: The length that every row must have; None: any, but the same for all.
            room: Called with `count` and d when d is known: a C-contiguous float32 array of that shape to decode into.
                When the answer is refused, some rows of it may have been written; and it is called again when vectors
                turn out to be written in more ways than one.

        Returns:
            The array, row i for text i of the request.

        Raises:
            InvalidResponseError: They are not what was asked for; `.retries` says how often asking again is worth it.
        """
        vectors = sort(self._outline.vectors, self._outline.order, count)
        return stack(vectors, dimensions, DENSEST * self._size // count, room)


def open_answer(status: int, content: bytes | memoryview, report: Report) -> Contents:
    """Open an answer, or raise the error that it is.

    Args:
        status: The HTTP status.
        content: The body; it must stay as it is while vectors are decoded.
        report: What the headers say of the limit.

    Raises:
        APIStatusError: The answer is an error, also one that came with status 200.
        InvalidResponseError: The body is no embedding response; `.retries` says how often asking again is worth it.
    """
    if status != HTTPStatus.OK:
        raise read_error(status, bytes(content), report)
    try:
        outline = read_outline(content)
    except UNREADABLE as error:
        if refusal := _find_refusal(content):
            raise read_error(status, refusal, report) from None
        if page := describe_page(str(content[:LONGEST_PAGE], "utf-8", "replace")):
            message = f"The answer is {page}, not an embedding response: does base_url lead to the API?"
            raise InvalidResponseError(message, retries=1) from None
        raise InvalidResponseError(f"The answer is not an embedding response: {error}.") from None
    if not _is_empty(outline.error):
        raise read_error(status, _find_refusal(content), report)
    return Contents(outline, len(content))


def read_models(status: int, content: bytes | memoryview, report: Report) -> list[str]:
    """Read the list of models: the ids of those that make embeddings; of all, where it does not say which do.

    Raises:
        APIStatusError: The answer is an error.
        InvalidResponseError: It is no list of models.
    """
    if status != HTTPStatus.OK:
        raise read_error(status, bytes(content), report)
    try:
        rows = _decode_models(content).data
    except UNREADABLE as error:
        raise InvalidResponseError(f"The answer is not a list of models: {error}.", retries=0) from None
    says = any(row.endpoints for row in rows)
    return [row.id for row in rows if EMBEDDINGS in (row.endpoints or ()) or not says]


def _find_refusal(content: bytes | memoryview) -> bytes:
    """Find the error that stands where vectors should: gateways send those with a 200. Empty: there is none."""
    try:
        refusal = _decode_refusal(content)
    except UNREADABLE:
        return b""
    if _is_empty(refusal.error) and _is_empty(refusal.detail):
        return b""
    parts = {"error": refusal.error, "detail": refusal.detail}
    return msgspec.json.encode({name: part for name, part in parts.items() if not _is_empty(part)})[:LONGEST_REFUSAL]


def _is_empty(value: msgspec.Raw) -> bool:
    """Say whether a value of `error` or `detail` tells of no error: null, false, "", {} …."""
    length = len(memoryview(value))
    try:
        return length == 0 or (length <= LONGEST_EMPTY and not msgspec.json.decode(value))
    except UNREADABLE:
        return False


def _read_charge(usage: msgspec.Raw) -> Charge:
    """Read the token counts; every part of `usage` can be missing."""
    try:
        counts = msgspec.json.decode(usage) if len(memoryview(usage)) <= LONGEST_USAGE else None
    except UNREADABLE:
        counts = None

    def tokens(name: str) -> int:
        number = counts.get(name) if isinstance(counts, dict) else None
        return number if type(number) is int and 0 < number <= MOST_TOKENS else 0

    return Charge(tokens("prompt_tokens"), tokens("total_tokens"))
