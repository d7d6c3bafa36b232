"""A reference implementation of the response parser, which uses only the standard library."""

import base64
import json
import math
import re
import struct
from dataclasses import dataclass

BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
MAX_LENGTH_DIGITS = 300
"""Number of digits from which an integer is not parsed but considered infinite."""


class UnusableBodyError(ValueError):
    """The body has no usable vectors."""


@dataclass(frozen=True)
class ParsedBody:
    """The contents of a body."""

    vectors: list | None
    """For each text, the bytes of its float32 vector; None: the body is unusable."""
    clean: bool
    """Whether all JSON parsers agree on the body; if so, its vectors must not be rejected."""


def parse(content, count, dimensions):
    """Parse the body of a response with status 200 to `count` texts."""
    doubts = []

    def whole(digits):
        if len(digits) < MAX_LENGTH_DIGITS:
            return int(digits)
        doubts.append("an endless integer")
        return math.inf

    def once(pairs):
        if len(dict(pairs)) < len(pairs):
            doubts.append("a repeated field")
        return dict(pairs)

    def no_number(name):
        raise UnusableBodyError(name)

    text = content.decode("utf-8", "surrogateescape")
    if re.search(r"[\ud800-\udfff]|\\u[dD]", text):
        doubts.append("half a surrogate pair, or invalid UTF-8")
    try:
        body = json.loads(text, parse_int=whole, object_pairs_hook=once, parse_constant=no_number)
        if isinstance(body, dict) and re.search("inf|nan", repr(body.get("usage"))):
            doubts.append("infinite usage")
        if isinstance(body, dict) and isinstance(body.get("error"), float):
            doubts.append("an error that is 0, or nearly")
        return ParsedBody(_vectors(body, count, dimensions), not doubts)
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError, struct.error):
        return ParsedBody(None, not doubts)


def _vectors(body, count, dimensions):
    if not isinstance(body, dict) or body.get("error"):
        raise UnusableBodyError("not an object, or an error")
    vectors = {}
    for row in body["data"]:
        index = row["index"]
        if type(index) is not int or index in vectors:
            raise UnusableBodyError(index)
        vectors[index] = _vector(row["embedding"])
    if set(vectors) != set(range(count)):
        raise UnusableBodyError("other rows than requested")
    width = 4 * dimensions if dimensions else len(vectors[0])
    if not width or {len(vector) for vector in vectors.values()} != {width}:
        raise UnusableBodyError("another number of dimensions")
    return [vectors[index] for index in range(count)]


def _vector(embedding):
    if isinstance(embedding, str):
        if not BASE64.fullmatch(embedding):
            raise UnusableBodyError("not base64")
        raw = base64.b64decode(embedding)
    else:
        if not isinstance(embedding, list) or {type(number) for number in embedding} - {int, float}:
            raise UnusableBodyError("not numbers")
        raw = struct.pack(f"<{len(embedding)}f", *embedding)
    if not all(math.isfinite(number) for (number,) in struct.iter_unpack("<f", raw)):
        raise UnusableBodyError("not finite")
    return raw
