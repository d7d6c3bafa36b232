"""Decodes the vectors of a response into the rows of an array: either all of them, in order, or none. No I/O."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, TypeVar

import msgspec
import numpy as np
import pybase64

from electronhub_embeddings.errors import InvalidResponseError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")

FLOAT32 = np.dtype("<f4")
"""The service encodes base64 vectors as little-endian float32."""

QUOTE = ord('"')

MAX_QUOTED_INDEX = 10**18
"""Largest index that an error message quotes; an index can have thousands of digits."""

_decode_numbers = msgspec.json.Decoder(list[float]).decode
_decode_text = msgspec.json.Decoder(str).decode


AFTER_OTHER_LENGTH = "If you set dimensions, leave it out, or name a model that can make vectors of this length."


def order_by_index(vectors: list[T], order: list[int], count: int) -> list[T]:
    """Sort vectors into the order of the texts.

    Args:
        vectors: The vectors in the order of the response.
        order: The index of each vector.
        count: The number of texts sent.

    Raises:
        InvalidResponseError: The indices are not a permutation of 0 to `count` - 1.
    """
    if order == list(range(count)):
        return vectors
    if len(order) != count:
        raise InvalidResponseError(f"{count} texts were sent, {len(order)} vectors came back.", retries=1)
    by_index: dict[int, T] = {}
    for index, vector in zip(order, vectors, strict=True):
        if not 0 <= index < count or index in by_index:
            why = "twice" if 0 <= index < count else f"outside 0..{count - 1}"
            which = index if abs(index) < MAX_QUOTED_INDEX else "of many digits"
            raise InvalidResponseError(f"The answer has index {which} {why}.", retries=1)
        by_index[index] = vector
    return [by_index[index] for index in range(count)]


def decode_vectors(
    vectors: Sequence[msgspec.Raw], dimensions: int | None, max_bytes: int, allocate: Callable[[int, int], np.ndarray]
) -> np.ndarray:
    """Decode vectors into one array.

    Args:
        vectors: Each vector as JSON: a base64 string or a list of numbers.
        dimensions: The length that each vector must have; None: the length of the first.
        max_bytes: Longest possible vector, in bytes of float32, for a response of this size. No memory is allocated for
            longer vectors.
        allocate: Returns the array to decode into.

    Raises:
        InvalidResponseError: A vector is unreadable, has another length, or has a number that is not finite.
    """
    array = _decode_all(vectors, dimensions, max_bytes, allocate)
    with np.errstate(over="ignore", invalid="ignore"):
        total = array.sum()  # not finite if any number is not; ten times faster than checking each number
    if not isfinite(total):
        bad = np.flatnonzero(~np.isfinite(array).all(axis=1)).tolist()
        _reject(dict.fromkeys(bad, "A vector has a number that is not finite."))
    return array


def _decode_all(
    vectors: Sequence[msgspec.Raw], dimensions: int | None, max_bytes: int, allocate: Callable[[int, int], np.ndarray]
) -> np.ndarray:
    """Decode vectors whose numbers are still to be checked."""
    length = None if dimensions is None else dimensions * FLOAT32.itemsize
    array, flat, other_length = None, memoryview(b""), None
    invalid: dict[int, str] = {}
    for index, vector in enumerate(vectors):
        try:
            raw = _decode(vector)
        except msgspec.DecodeError as error:
            raise InvalidResponseError(f"The answer is not an embedding response: {error}.") from None
        except ValueError as error:
            invalid[index] = f"A vector is not readable: {error}."
            continue
        if length is None:
            length = len(raw)
        if array is None and 0 < length <= max_bytes:
            array = allocate(len(vectors), length // FLOAT32.itemsize)
            flat = array.data.cast("B")
        if len(raw) != length or not length:
            other_length = len(raw) // FLOAT32.itemsize if other_length is None else other_length
        elif array is not None:
            flat[index * length : index * length + length] = raw
    _reject(invalid)
    if array is None or other_length is not None:
        expected = (length or 0) // FLOAT32.itemsize
        why = f"A vector has {other_length or 0} dimensions, {expected or 'at least 1'} expected."
        raise InvalidResponseError(why, retries=0, next_step=AFTER_OTHER_LENGTH)
    return array


def _reject(invalid: dict[int, str]) -> None:
    """Reject a response with invalid vectors; the error names a text only if exactly one vector is invalid."""
    if invalid:
        index, why = next(iter(invalid.items()))
        raise InvalidResponseError(why, index=index if len(invalid) == 1 else None, retries=1)


def _decode(vector: msgspec.Raw) -> bytes:
    """Decode one vector, a base64 JSON string or a JSON array of numbers, to its float32 bytes.

    Raises:
        msgspec.DecodeError: The value is neither.
        ValueError: The string is not base64, or its length is not a multiple of 4 bytes.
    """
    if memoryview(vector)[0] != QUOTE:
        with np.errstate(over="ignore"):  # numbers too large for float32 become infinite and are rejected
            return np.array(_decode_numbers(vector), FLOAT32).tobytes()
    try:
        raw = pybase64.b64decode(memoryview(vector)[1:-1], None, True)  # positional: keywords cost as much as decoding
    except ValueError:
        raw = pybase64.b64decode(_decode_text(vector), validate=True)  # some services escape "/" as "\/"
    if len(raw) % FLOAT32.itemsize:
        raise ValueError(f"{len(raw)} bytes are no whole float32s")
    return raw
