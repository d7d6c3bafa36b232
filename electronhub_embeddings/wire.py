"""The wire: texts to the bytes of a request, bytes of an answer to rows. Pure.

Laws of this module:
- `input` is a list of strings, the caller's own, to the byte; never tokens.
- No field is sent that nobody asked for.
- Rows are placed by `index`. An answer that is not a permutation of the inputs, or has a row of another length or
  a number that is not finite, is refused as a whole.
- Items are decoded by what they are, list or base64 string, whatever was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Union

import msgspec
import numpy as np
import pybase64

from electronhub_embeddings.errors import InvalidResponseError
from electronhub_embeddings.refusals import describe_page, read_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from electronhub_embeddings.headers import Report

FLOAT32 = np.dtype("<f4")
"""base64 on this wire is little-endian float32."""


LONGEST_PAGE = 4000
"""Bytes of an answer in which the title of a page is looked for."""

LARGEST_INDEX = 10**18
"""Above it an index is not quoted: it can have thousands of digits."""

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding can raise: no JSON, not the JSON expected, a byte that is no UTF-8, nested without end."""


@dataclass(frozen=True)
class Charge:
    """What the service charged for one answer, in tokens; 0 where it does not say."""

    prompt_tokens: int = 0
    total_tokens: int = 0


class _Row(msgspec.Struct):
    index: int
    embedding: Union[str, list[float]]  # noqa: UP007 - msgspec evaluates this on Python 3.10 as well


class _Answer(msgspec.Struct):
    data: list[_Row]
    usage: Any = None
    error: Any = None


_decode_answer = msgspec.json.Decoder(_Answer).decode


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


def read_answer(
    status: int, content: bytes, report: Report, *, count: int, dimensions: int | None
) -> tuple[np.ndarray, Charge]:
    """Read an answer: the vectors in it, or the error that it is.

    Args:
        status: The HTTP status.
        content: The body.
        report: What the headers say of the limit.
        count: How many texts were sent.
        dimensions: The length that every row must have; None: any, but the same for all.

    Returns:
        A float32 array of shape (count, d), row i for text i of the request, and the usage.

    Raises:
        APIStatusError: The answer is an error, also one that came with status 200.
        InvalidResponseError: The body is not what was asked for; `.retries` says how often asking again is worth it.
    """
    if status != HTTPStatus.OK:
        raise read_error(status, content, report)
    try:
        answer = _decode_answer(content)
    except UNREADABLE as error:
        if _is_error(content):
            raise read_error(status, content, report) from None
        if page := describe_page(content[:LONGEST_PAGE].decode("utf-8", "replace")):
            message = f"The answer is {page}, not an embedding response: does base_url lead to the API?"
            raise InvalidResponseError(message, retries=1) from None
        raise InvalidResponseError(f"The answer is not an embedding response: {error}.") from None
    if answer.error:
        raise read_error(status, content, report)
    rows = answer.data
    order = [row.index for row in rows]
    if order != list(range(count)):
        rows = _sort(rows, order, count)
    return _stack(rows, dimensions), _read_charge(answer.usage)


def _is_error(content: bytes) -> bool:
    """Say whether a body that is no list of vectors tells an error instead: gateways send those with a 200."""
    try:
        body = msgspec.json.decode(content)
    except UNREADABLE:
        return False
    return isinstance(body, dict) and bool(body.get("error") or body.get("detail"))


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


def _stack(rows: list[_Row], dimensions: int | None) -> np.ndarray:
    parts, wrong = [], {}
    for index, row in enumerate(rows):
        try:
            parts.append(_floats(row))
        except ValueError as error:  # noqa: PERF203 - all wrong rows are wanted, and this costs nothing
            wrong[index] = f"A vector is not readable: {error}."
    _refuse(wrong)
    width = len(parts[0]) if dimensions is None else dimensions * FLOAT32.itemsize
    for part in parts:
        if len(part) != width or not width:
            length, expected = len(part) // FLOAT32.itemsize, width // FLOAT32.itemsize
            why = f"A vector has {length} dimensions, {expected or 'at least 1'} expected."
            raise InvalidResponseError(why, retries=0)
    stacked = np.frombuffer(bytearray().join(parts), FLOAT32).reshape(len(parts), -1)
    if not np.isfinite(stacked).all():
        bad = np.flatnonzero(~np.isfinite(stacked).all(axis=1)).tolist()
        _refuse(dict.fromkeys(bad, "A vector has a number that is not finite."))
    return stacked


def _refuse(wrong: dict[int, str]) -> None:
    """Refuse an answer with wrong rows; one text is named only if its row is the only wrong one."""
    if wrong:
        index, why = next(iter(wrong.items()))
        raise InvalidResponseError(why, index=index if len(wrong) == 1 else None, retries=1)


def _floats(row: _Row) -> bytes:
    """Decode one vector to its float32 bytes.

    Raises:
        ValueError: It is not base64, or not of whole float32s.
    """
    if isinstance(row.embedding, list):
        with np.errstate(over="ignore"):  # too large for float32 becomes infinite, and is refused as such
            return np.array(row.embedding, FLOAT32).tobytes()
    raw = pybase64.b64decode(row.embedding, validate=True)
    if len(raw) % FLOAT32.itemsize:
        raise ValueError(f"{len(raw)} bytes are no whole float32s")
    return raw


def _read_charge(usage: Any) -> Charge:
    """Read the token counts; every part of `usage` can be missing."""

    def tokens(name: str) -> int:
        number = usage.get(name) if isinstance(usage, dict) else None
        return number if isinstance(number, int) and not isinstance(number, bool) and number > 0 else 0

    return Charge(tokens("prompt_tokens"), tokens("total_tokens"))
