"""What an answer holds, found with the standard library alone: the judge of the package's own reader."""

import base64
import json
import math
import re
import struct
from dataclasses import dataclass

BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
MAX_LENGTH_DIGITS = 300
"""Digits from which on a number is not read, but taken for infinite."""


class NoAnswerError(ValueError):
    """The body has no vectors that could be used."""


@dataclass(frozen=True)
class Finding:
    """What a body holds."""

    vectors: list | None
    """For each text the bytes of its float32s; None: nothing that may be used."""
    clean: bool
    """Whether no two readers of JSON can differ over the body: then vectors must not be refused."""


def find(content, count, dimensions):
    """Read a body that came with status 200, as the answer to `count` texts."""
    doubts = []

    def whole(digits):
        if len(digits) < MAX_LENGTH_DIGITS:
            return int(digits)
        doubts.append("a whole number without end")
        return math.inf

    def once(pairs):
        if len(dict(pairs)) < len(pairs):
            doubts.append("a field twice")
        return dict(pairs)

    def no_number(name):
        raise NoAnswerError(name)

    text = content.decode("utf-8", "surrogateescape")
    if re.search(r"[\ud800-\udfff]|\\u[dD]", text):
        doubts.append("half a surrogate pair, or a byte that is no UTF-8")
    try:
        body = json.loads(text, parse_int=whole, object_pairs_hook=once, parse_constant=no_number)
        if isinstance(body, dict) and re.search("inf|nan", repr(body.get("usage"))):
            doubts.append("a charge without end")
        return Finding(_vectors(body, count, dimensions), not doubts)
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError, struct.error):
        return Finding(None, not doubts)


def _vectors(body, count, dimensions):
    if not isinstance(body, dict) or body.get("error"):
        raise NoAnswerError("no object, or an error")
    vectors = {}
    for row in body["data"]:
        index = row["index"]
        if type(index) is not int or index in vectors:
            raise NoAnswerError(index)
        vectors[index] = _vector(row["embedding"])
    if set(vectors) != set(range(count)):
        raise NoAnswerError("other rows than were asked for")
    width = 4 * dimensions if dimensions else len(vectors[0])
    if not width or {len(vector) for vector in vectors.values()} != {width}:
        raise NoAnswerError("another width")
    return [vectors[index] for index in range(count)]


def _vector(embedding):
    if isinstance(embedding, str):
        if not BASE64.fullmatch(embedding):
            raise NoAnswerError("no base64")
        raw = base64.b64decode(embedding)
    else:
        if not isinstance(embedding, list) or {type(number) for number in embedding} - {int, float}:
            raise NoAnswerError("no numbers")
        raw = struct.pack(f"<{len(embedding)}f", *embedding)
    if not all(math.isfinite(number) for (number,) in struct.iter_unpack("<f", raw)):
        raise NoAnswerError("not finite")
    return raw
