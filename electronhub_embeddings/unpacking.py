"""A compressed body, unpacked in pieces of bounded size: kilobytes on the wire can be gigabytes inside. Pure."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ACCEPTED = "gzip"
"""What is asked for: base64 of random bits shrinks by a quarter; nothing does more for it."""

PIECE = 1 << 20
"""Bytes unpacked at a time."""


def unpack(raw: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """Yield a body unpacked, as it comes.

    Args:
        raw: The body as it came on the wire, in pieces.
        encoding: What the answer's `Content-Encoding` says; empty: nothing.

    Raises:
        ValueError: It is packed otherwise than was asked for, or is broken.
    """
    encoding = encoding.strip().lower()
    if encoding in {"", "identity"}:
        yield from raw
        return
    if encoding not in {"gzip", "x-gzip"}:
        raise ValueError(f"{encoding[:40]!r} was not asked for")
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        for part in raw:
            left = part
            while left:
                yield inflate.decompress(left, PIECE)
                left = inflate.unconsumed_tail
        yield inflate.flush()
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if not inflate.eof:
        raise ValueError("it ends too early")
