"""How an edge compresses answers: each encoding at the level that Cloudflare documents for its own."""

from __future__ import annotations

import zlib

import brotli
import zstandard


def gzip(body: bytes) -> bytes:
    """Compress as gzip."""
    compressor = zlib.compressobj(8, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    return compressor.compress(body) + compressor.flush()


def br(body: bytes) -> bytes:
    """Compress as br."""
    return brotli.compress(body, quality=4)


def zstd(body: bytes) -> bytes:
    """Compress as zstd."""
    return zstandard.ZstdCompressor(3).compress(body)


COMPRESS = {"zstd": zstd, "br": br, "gzip": gzip}
"""Encoding -> what an edge does with a body."""
