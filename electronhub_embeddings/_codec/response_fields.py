"""Splits a response into its fields without parsing the vectors, which are nearly all of its bytes. No I/O.

A vector is sent as a base64 string. Finding the end of that string takes a tenth of the time in which a JSON decoder
validates its content, and the base64 decoder validates the content anyway. The strings are therefore cut out, and the
rest, about fifty bytes per vector, is decoded as JSON. A response in another format, or with short vectors, is decoded
as a whole; the result is the same.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

import msgspec

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""Exceptions of the decoder: invalid JSON, an unexpected structure, invalid UTF-8, or too many nested levels."""

NOTHING = msgspec.Raw()

OPENING = re.compile(rb'"embedding"\s*:\s*"')
"""The bytes before a vector. A match is never inside a JSON string, because quotes inside strings are escaped: it is a
key, or the end of one, and the beginning of its value."""

MAX_GAP = 1000
"""Bytes between two vectors that are searched for the beginning of the second."""

MIN_CUT_LENGTH = 2500
"""Shortest vector that is cut out, in characters; a JSON decoder validates a shorter one in less time than a cut."""

QUOTE = b'"'


class _Row(msgspec.Struct, gc=False):
    index: int
    embedding: msgspec.Raw


class _Whole(msgspec.Struct):
    data: list[_Row]
    usage: msgspec.Raw = NOTHING
    error: msgspec.Raw = NOTHING


class _CutRow(msgspec.Struct, gc=False):
    index: int
    embedding: Literal[""]


class _Cut(msgspec.Struct):
    data: list[_CutRow]
    usage: msgspec.Raw = NOTHING
    error: msgspec.Raw = NOTHING


_decode_whole = msgspec.json.Decoder(_Whole).decode
_decode_cut = msgspec.json.Decoder(_Cut).decode


class ResponseFields(NamedTuple):
    """The fields of a response; raw values are undecoded JSON."""

    order: list[int]
    """`index` of each item, in the order of the response."""
    vectors: list[msgspec.Raw]
    """`embedding` of each item: views of the response's bytes."""
    usage: msgspec.Raw
    error: msgspec.Raw


def read_fields(content: bytes | memoryview) -> ResponseFields:
    """Split a response into its fields.

    Args:
        content: The body: bytes, or a view that begins where its buffer begins.

    Raises:
        UNREADABLE: The body is not an embedding response.
    """
    if fields := _cut(content):
        return fields
    whole = _decode_whole(content)
    order, vectors = [row.index for row in whole.data], [row.embedding for row in whole.data]
    return ResponseFields(order, vectors, whole.usage, whole.error)


def _cut(content: bytes | memoryview) -> ResponseFields | None:
    """Cut the vectors out and decode the rest; None: the response has another format.

    Each cut belongs to the item at its position, because there are as many cuts as items and every item's `embedding`
    is empty after the cuts. If the first quote in a string is escaped, the rest is not valid JSON.
    """
    first = OPENING.search(content, 0, MAX_GAP)
    if first is None:
        return None
    opening, view, size = first.group(), memoryview(content), len(content)
    whole: bytearray = view.obj  # type: ignore[assignment]  # a view has no find(); positions in its buffer are equal
    find = whole.find
    if find(QUOTE, first.end(), first.end() + MIN_CUT_LENGTH) >= 0:
        return None
    vectors, rest, end = [], [], 0
    while (found := find(opening, end, min(end + MAX_GAP, size))) >= 0:
        start = found + len(opening)
        rest.append(whole[end:start])
        end = find(QUOTE, start, size)
        if end < 0:
            return None
        vectors.append(msgspec.Raw(view[start - 1 : end + 1]))
    rest.append(whole[end:size])
    try:
        cut = _decode_cut(b"".join(rest))
    except UNREADABLE:
        return None
    if len(cut.data) != len(vectors):
        return None
    return ResponseFields([row.index for row in cut.data], vectors, cut.usage, cut.error)
