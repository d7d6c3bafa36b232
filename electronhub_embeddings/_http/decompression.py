"""Decompresses a body in chunks of bounded size, because a few kilobytes can expand to gigabytes. No I/O."""

from __future__ import annotations

import sys
import zlib
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

fast_zlib: Any = zlib
"""zlib, or what has its interface and takes little more than half of its time."""
with suppress(ImportError):  # there is no wheel of it for this machine
    fast_zlib = import_module("isal.isal_zlib")

ACCEPTED_ENCODING = "zstd, gzip"
"""The value of `Accept-Encoding`, the better one first. Both save a quarter of the bytes of base64, all that there
is to save; zstd takes a quarter of the time."""

MAX_WINDOW_LOG = 23
"""Longest window of zstd that is accepted, as a power of two: RFC 9659 allows 8 MB in a response."""

CHUNK_BYTES = 1 << 20
"""Bytes decompressed at a time."""


TRUNCATED = "the compressed data is truncated"


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
        return iter(raw)
    if encoding == "zstd":
        return _unzstd(raw)
    if encoding in {"gzip", "x-gzip"}:
        return _gunzip(raw)
    raise ValueError(f"{encoding[:40]!r} was not requested")


def _gunzip(raw: Iterable[bytes]) -> Iterator[bytes]:
    inflate = fast_zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        for part in raw:
            left = part
            while left:
                yield inflate.decompress(left, CHUNK_BYTES)
                left = inflate.unconsumed_tail
        yield inflate.flush()
    except fast_zlib.error as error:
        raise ValueError(str(error)) from None
    if not inflate.eof:
        raise ValueError(TRUNCATED)


def _unzstd(raw: Iterable[bytes]) -> Iterator[bytes]:
    frame = _new_frame()
    try:
        for part in raw:
            left = part
            while left or not (frame.needs_input or frame.eof):
                if frame.eof:
                    frame = _new_frame()
                yield frame.decompress(left, CHUNK_BYTES)
                left = frame.unused_data if frame.eof else b""
    except zstd.ZstdError as error:
        raise ValueError(str(error)) from None
    if not frame.eof:
        raise ValueError(TRUNCATED)


def _new_frame() -> zstd.ZstdDecompressor:
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: MAX_WINDOW_LOG})
