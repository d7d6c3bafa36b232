"""Vectors as they travel to the rows of an array: all that were asked for, each in its place, or none. Pure."""

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
"""base64 on this wire is little-endian float32."""

QUOTE = ord('"')

LARGEST_INDEX = 10**18
"""Above it an index is not quoted: it can have thousands of digits."""

_decode_numbers = msgspec.json.Decoder(list[float]).decode
_decode_text = msgspec.json.Decoder(str).decode


def new_room(count: int, width: int) -> np.ndarray:
    """Make an array for `count` vectors of `width` dimensions."""
    return np.empty((count, width), np.float32)


def sort(vectors: list[T], order: list[int], count: int) -> list[T]:
    """Put vectors in the order of the texts.

    Args:
        vectors: In the order in which they came.
        order: The index of each.
        count: How many there must be.

    Raises:
        InvalidResponseError: The indices are not 0 to `count` - 1, each once.
    """
    if order == list(range(count)):
        return vectors
    if len(order) != count:
        raise InvalidResponseError(f"{count} texts were sent, {len(order)} vectors came back.", retries=1)
    places: dict[int, T] = {}
    for index, vector in zip(order, vectors, strict=True):
        if not 0 <= index < count or index in places:
            why = "twice" if 0 <= index < count else f"outside 0..{count - 1}"
            which = index if abs(index) < LARGEST_INDEX else "of many digits"
            raise InvalidResponseError(f"The answer has index {which} {why}.", retries=1)
        places[index] = vector
    return [places[index] for index in range(count)]


def stack(
    vectors: Sequence[msgspec.Raw], dimensions: int | None, densest: int, room: Callable[[int, int], np.ndarray]
) -> np.ndarray:
    """Decode vectors into one array.

    Args:
        vectors: Each as JSON: a string of base64 or a list of numbers.
        dimensions: The length that each must have; None: that of the first.
        densest: Bytes that a vector can have if all are as long: no room is made for what cannot have come.
        room: Makes the array.

    Raises:
        InvalidResponseError: One cannot be read, is of another length, or has a number that is not finite.
    """
    try:
        stacked = _stack_alike(vectors, dimensions, densest, room)
    except ValueError:
        stacked = _stack_any(vectors, dimensions, densest, room)
    with np.errstate(over="ignore", invalid="ignore"):
        total = stacked.sum()  # a number that is not finite makes the sum so; ten times faster than to look at each
    if not isfinite(total):
        bad = np.flatnonzero(~np.isfinite(stacked).all(axis=1)).tolist()
        _refuse(dict.fromkeys(bad, "A vector has a number that is not finite."))
    return stacked


def _stack_alike(
    vectors: Sequence[msgspec.Raw], dimensions: int | None, densest: int, room: Callable[[int, int], np.ndarray]
) -> np.ndarray:
    """Decode vectors as nearly every service writes them: plain base64, all of one length.

    Raises:
        ValueError: These are not.
    """
    length = len(_decode_base64(vectors[0])) if dimensions is None else dimensions * FLOAT32.itemsize
    if length % FLOAT32.itemsize or not 0 < length <= densest:
        raise ValueError(f"{length} bytes are no vector")
    stacked = room(len(vectors), length // FLOAT32.itemsize)
    flat = stacked.data.cast("B")
    for start, vector in zip(range(0, len(flat), length), vectors, strict=True):
        flat[start : start + length] = _decode_base64(vector)  # ValueError: it is longer or shorter
    return stacked


def _stack_any(
    vectors: Sequence[msgspec.Raw], dimensions: int | None, densest: int, room: Callable[[int, int], np.ndarray]
) -> np.ndarray:
    """Decode vectors that may be written in any way, and say what is wrong with which."""
    length = None if dimensions is None else dimensions * FLOAT32.itemsize
    stacked, flat, wrong, misfit = None, memoryview(b""), {}, None
    for index, vector in enumerate(vectors):
        try:
            raw = _decode(vector)
        except msgspec.DecodeError as error:
            raise InvalidResponseError(f"The answer is not an embedding response: {error}.") from None
        except ValueError as error:
            wrong[index] = f"A vector is not readable: {error}."
            continue
        if length is None:
            length = len(raw)
        if stacked is None and 0 < length <= densest:
            stacked = room(len(vectors), length // FLOAT32.itemsize)
            flat = stacked.data.cast("B")
        if len(raw) != length or not length:
            misfit = len(raw) // FLOAT32.itemsize if misfit is None else misfit
        elif stacked is not None:
            flat[index * length : index * length + length] = raw
    _refuse(wrong)
    if stacked is None or misfit is not None:
        expected = (length or 0) // FLOAT32.itemsize
        why = f"A vector has {misfit or 0} dimensions, {expected or 'at least 1'} expected."
        raise InvalidResponseError(why, retries=0)
    return stacked


def _refuse(wrong: dict[int, str]) -> None:
    """Refuse an answer with wrong rows; one text is named only if its row is the only wrong one."""
    if wrong:
        index, why = next(iter(wrong.items()))
        raise InvalidResponseError(why, index=index if len(wrong) == 1 else None, retries=1)


def _decode(vector: msgspec.Raw) -> bytes:
    """Decode one vector, a JSON string of base64 or a JSON array of numbers, to its float32 bytes.

    Raises:
        msgspec.DecodeError: It is neither.
        ValueError: It is not base64, or not of whole float32s.
    """
    if memoryview(vector)[0] != QUOTE:
        with np.errstate(over="ignore"):  # too large for float32 becomes infinite, and is refused as such
            return np.array(_decode_numbers(vector), FLOAT32).tobytes()
    try:
        raw = _decode_base64(vector)
    except ValueError:
        raw = pybase64.b64decode(_decode_text(vector), validate=True)  # JSON allows "/" to be escaped, some do it
    if len(raw) % FLOAT32.itemsize:
        raise ValueError(f"{len(raw)} bytes are no whole float32s")
    return raw


def _decode_base64(vector: msgspec.Raw) -> bytes:
    """Decode a JSON string that is base64 as it stands.

    Raises:
        ValueError: It is something else.
    """
    view = memoryview(vector)
    if view[0] != QUOTE:
        raise ValueError("no string")
    return pybase64.b64decode(view[1:-1], None, True)  # by position: names cost as much as decoding
