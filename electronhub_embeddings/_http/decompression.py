"""Decompresses a body in chunks of bounded size, because a few kilobytes can expand to gigabytes. No I/O."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ACCEPTED_ENCODING = "gzip"
"""The value of `Accept-Encoding`. Compression shrinks base64 of random bits by a quarter; no encoding does better."""

CHUNK_BYTES = 1 << 20
"""Bytes decompressed at a time."""


def decompress(raw: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """Yield the decompressed body, chunk by chunk.

    Args:
        raw: The chunks of the body as received.
        encoding: The response's `Content-Encoding`; empty if the header is missing.

    Raises:
        ValueError: The encoding was not requested, or the compressed data is corrupt or truncated.
    """
    encoding = encoding.strip().lower()
    if encoding in {"", "identity"}:
        yield from raw
        return
    if encoding not in {"gzip", "x-gzip"}:
        raise ValueError(f"{encoding[:40]!r} was not requested")
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        for part in raw:
            left = part
            while left:
                yield inflate.decompress(left, CHUNK_BYTES)
                left = inflate.unconsumed_tail
        yield inflate.flush()
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if not inflate.eof:
        raise ValueError("the compressed data is truncated")
