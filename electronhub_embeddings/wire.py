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
import numpy as np
import pybase64

from electronhub_embeddings.errors import InvalidResponseError
from electronhub_embeddings.refusals import describe_page, read_error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from electronhub_embeddings.headers import Report

FLOAT32 = np.dtype("<f4")
"""base64 on this wire is little-endian float32."""


QUOTE = ord('"')

LONGEST_PAGE = 4000
"""Bytes of an answer in which the title of a page is looked for."""

LARGEST_INDEX = 10**18
"""Above it an index is not quoted: it can have thousands of digits."""

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding can raise: no JSON, not the JSON expected, a byte that is no UTF-8, nested without end."""

NOTHING = msgspec.Raw()
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


class _Row(msgspec.Struct, gc=False):
    index: int
    embedding: msgspec.Raw
    """A view of the answer's own bytes: base64 is decoded from there, without a string in between."""


class _Answer(msgspec.Struct):
    data: list[_Row]
    usage: msgspec.Raw = NOTHING
    error: msgspec.Raw = NOTHING


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
_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_numbers = msgspec.json.Decoder(list[float]).decode
_decode_text = msgspec.json.Decoder(str).decode


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


def new_room(count: int, width: int) -> np.ndarray:
    """Make an array for `count` vectors of `width` dimensions."""
    return np.empty((count, width), np.float32)


class Contents:
    """What an answer holds: vectors, not decoded yet, and what they cost, whatever they turn out to be."""

    def __init__(self, answer: _Answer, size: int) -> None:
        self.charge = _read_charge(answer.usage)
        self._rows = answer.data
        self._size = size

    def vectors(
        self, *, count: int, dimensions: int | None, room: Callable[[int, int], np.ndarray] = new_room
    ) -> np.ndarray:
        """Decode the vectors.

        Args:
            count: How many texts were sent.
            dimensions: The length that every row must have; None: any, but the same for all.
            room: Called with `count` and d when d is known: a C-contiguous float32 array of that shape to decode into.
                When the answer is refused, some rows of it may have been written.

        Returns:
            The array, row i for text i of the request.

        Raises:
            InvalidResponseError: They are not what was asked for; `.retries` says how often asking again is worth it.
        """
        rows = self._rows
        order = [row.index for row in rows]
        if order != list(range(count)):
            rows = _sort(rows, order, count)
        return _stack(rows, dimensions, DENSEST * self._size // count, room)


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
        answer = _decode_answer(content)
    except UNREADABLE as error:
        if refusal := _find_refusal(content):
            raise read_error(status, refusal, report) from None
        if page := describe_page(str(content[:LONGEST_PAGE], "utf-8", "replace")):
            message = f"The answer is {page}, not an embedding response: does base_url lead to the API?"
            raise InvalidResponseError(message, retries=1) from None
        raise InvalidResponseError(f"The answer is not an embedding response: {error}.") from None
    if not _is_empty(answer.error):
        raise read_error(status, _find_refusal(content), report)
    return Contents(answer, len(content))


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


def _sort(rows: list[_Row], order: list[int], count: int) -> list[_Row]:
    if len(order) != count:
        raise InvalidResponseError(f"{count} texts were sent, {len(order)} vectors came back.", retries=1)
    places: list[_Row | None] = [None] * count
    for row in rows:
        if not 0 <= row.index < count or places[row.index] is not None:
            why = "twice" if 0 <= row.index < count else f"outside 0..{count - 1}"
            which = row.index if abs(row.index) < LARGEST_INDEX else "of many digits"
            raise InvalidResponseError(f"The answer has index {which} {why}.", retries=1)
        places[row.index] = row
    return [row for row in places if row is not None]


def _stack(
    rows: list[_Row], dimensions: int | None, densest: int, room: Callable[[int, int], np.ndarray]
) -> np.ndarray:
    """Decode all vectors into one array.

    Args:
        rows: The vectors as they came.
        dimensions: The length that each must have; None: that of the first.
        densest: Bytes that a vector can have if all are as long: no room is made for what cannot have come.
        room: Makes the array.
    """
    width = None if dimensions is None else dimensions * FLOAT32.itemsize
    stacked, flat, wrong, misfit = None, memoryview(b""), {}, None
    for index, row in enumerate(rows):
        try:
            raw = _floats(row.embedding)
        except msgspec.DecodeError as error:
            raise InvalidResponseError(f"The answer is not an embedding response: {error}.") from None
        except ValueError as error:
            wrong[index] = f"A vector is not readable: {error}."
            continue
        if width is None:
            width = len(raw)
        if stacked is None and 0 < width <= densest:
            stacked = room(len(rows), width // FLOAT32.itemsize)
            flat = stacked.data.cast("B")
        if len(raw) != width or not width:
            misfit = len(raw) // FLOAT32.itemsize if misfit is None else misfit
        elif stacked is not None:
            flat[index * width : index * width + width] = raw
    _refuse(wrong)
    if stacked is None or misfit is not None:
        expected = (width or 0) // FLOAT32.itemsize
        why = f"A vector has {misfit or 0} dimensions, {expected or 'at least 1'} expected."
        raise InvalidResponseError(why, retries=0)
    with np.errstate(over="ignore", invalid="ignore"):
        total = stacked.sum()  # a number that is not finite makes the sum so; ten times faster than to look at each
    if not np.isfinite(total):
        bad = np.flatnonzero(~np.isfinite(stacked).all(axis=1)).tolist()
        _refuse(dict.fromkeys(bad, "A vector has a number that is not finite."))
    return stacked


def _refuse(wrong: dict[int, str]) -> None:
    """Refuse an answer with wrong rows; one text is named only if its row is the only wrong one."""
    if wrong:
        index, why = next(iter(wrong.items()))
        raise InvalidResponseError(why, index=index if len(wrong) == 1 else None, retries=1)


def _floats(value: msgspec.Raw) -> bytes:
    """Decode one vector, a JSON string of base64 or a JSON array of numbers, to its float32 bytes.

    Raises:
        msgspec.DecodeError: It is neither.
        ValueError: It is not base64, or not of whole float32s.
    """
    view = memoryview(value)
    if view[0] != QUOTE:
        with np.errstate(over="ignore"):  # too large for float32 becomes infinite, and is refused as such
            return np.array(_decode_numbers(value), FLOAT32).tobytes()
    try:
        raw = pybase64.b64decode(view[1:-1], None, True)  # by position: names cost as much as decoding
    except ValueError:
        raw = pybase64.b64decode(_decode_text(value), validate=True)  # JSON allows "/" to be escaped, some do it
    if len(raw) % FLOAT32.itemsize:
        raise ValueError(f"{len(raw)} bytes are no whole float32s")
    return raw


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
