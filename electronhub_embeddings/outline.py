"""An answer, read without looking into its vectors, which are nearly all of it. Pure.

A vector travels as a string of base64. To find its end takes a tenth of the time in which a JSON decoder checks what is
inside, and the decoder of base64 checks that anyway. So those strings are cut out, and what is left, some fifty bytes
for each, is decoded as JSON. An answer that is written in another way, or has short vectors, is decoded as a whole, and
gives the same.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

import msgspec

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding can raise: no JSON, not the JSON expected, a byte that is no UTF-8, nested without end."""

NOTHING = msgspec.Raw()

OPENING = re.compile(rb'"embedding"\s*:\s*"')
"""What stands before a vector. In JSON that is a key, or the end of one, and the beginning of its value: quotes inside
strings are escaped."""

LONGEST_GAP = 1000
"""Bytes between vectors in which the next one is looked for."""

SHORTEST = 2500
"""Characters of a vector up to which nothing is cut out: a JSON decoder checks so few in less time than a cut takes."""

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


class Outline(NamedTuple):
    """The parts of an answer; those that are not looked into are JSON."""

    order: list[int]
    """`index` of each row, as they came."""
    vectors: list[msgspec.Raw]
    """`embedding` of each: views of the answer's own bytes."""
    usage: msgspec.Raw
    error: msgspec.Raw


def read_outline(content: bytes | memoryview) -> Outline:
    """Take an answer apart.

    Args:
        content: The body: bytes, or a view of a buffer from its beginning.

    Raises:
        UNREADABLE: It is no embedding response.
    """
    if outline := _cut(content):
        return outline
    whole = _decode_whole(content)
    order, vectors = [row.index for row in whole.data], [row.embedding for row in whole.data]
    return Outline(order, vectors, whole.usage, whole.error)


def _cut(content: bytes | memoryview) -> Outline | None:
    """Cut the vectors out and decode the rest; None: this answer is not written like that.

    There are as many cuts as rows, and each row's own `embedding` is empty now: so each cut is the one of its row. A
    string that does not end at the first quote, for that is escaped, leaves no JSON behind.
    """
    first = OPENING.search(content, 0, LONGEST_GAP)
    if first is None:
        return None
    opening, view, size = first.group(), memoryview(content), len(content)
    whole: bytearray = view.obj  # type: ignore[assignment]  # a view cannot be searched; it begins where its bytes do
    find = whole.find
    if find(QUOTE, first.end(), first.end() + SHORTEST) >= 0:
        return None
    vectors, rest, end = [], [], 0
    while (found := find(opening, end, min(end + LONGEST_GAP, size))) >= 0:
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
    return Outline([row.index for row in cut.data], vectors, cut.usage, cut.error)
