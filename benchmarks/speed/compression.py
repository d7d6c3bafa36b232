"""What it is worth to ask for: the bytes of an answer in each encoding, and the time to decompress them.

python benchmarks/speed/compression.py          writes benchmarks/results/compression.md
"""

from __future__ import annotations

import json
import sys
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import brotli
import numpy as np
import pybase64
import zstandard
from backports import zstd
from edge import COMPRESS
from isal import isal_zlib

if TYPE_CHECKING:
    from collections.abc import Callable

    Decompress = Callable[[bytes], bytes]

RESULTS = Path(__file__).parents[1] / "results"
VECTORS, DIMENSIONS = 512, 1536
ROUNDS = 30
CHUNK = 65_536
LINKS = {"20 Mbit/s": 20e6, "100 Mbit/s": 100e6, "1 Gbit/s": 1e9, "10 Gbit/s": 10e9}


def answer(*, base64: bool) -> bytes:
    """Write a body as the service does."""
    rows = np.random.default_rng(1).standard_normal((VECTORS, DIMENSIONS), np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    data = [
        {"embedding": pybase64.b64encode(row).decode() if base64 else [float(f"{x:.9g}") for x in row], "index": index}
        for index, row in enumerate(rows)
    ]
    return json.dumps({"data": data}, separators=(",", ":")).encode()


ENCODINGS: dict[str, tuple[str, Callable[[], Decompress]]] = {
    "none": ("", lambda: bytes),
    "gzip, zlib": ("gzip", lambda: zlib.decompressobj(zlib.MAX_WBITS | 16).decompress),
    "gzip, isal": ("gzip", lambda: isal_zlib.decompressobj(zlib.MAX_WBITS | 16).decompress),
    "br, brotli": ("br", lambda: brotli.Decompressor().process),
    "zstd, zstandard": ("zstd", lambda: zstandard.ZstdDecompressor().decompressobj().decompress),
    "zstd, backports.zstd": ("zstd", lambda: zstd.ZstdDecompressor().decompress),
}
"""Encoding and library -> the encoding, and what a client decompresses with."""


def seconds(new_decompressor: Callable[[], Decompress], body: bytes) -> float:
    """Return the CPU time of the fastest round; the body comes in chunks, as from a socket."""
    chunks = [body[start : start + CHUNK] for start in range(0, len(body), CHUNK)]
    times = []
    for _ in range(ROUNDS):
        start, decompress = time.process_time(), new_decompressor()
        for chunk in chunks:
            decompress(chunk)
        times.append(time.process_time() - start)
    return min(times)


def main() -> None:
    """Measure, and write the table."""
    lines = [
        f"| {' | '.join(['encoding, library', 'bytes', 'µs to decompress', *LINKS])} |",
        f"|---{'|---:' * (2 + len(LINKS))}|",
    ]
    for kind in ("base64", "float"):
        body = answer(base64=kind == "base64")
        for name, (encoding, new_decompressor) in ENCODINGS.items():
            sent = COMPRESS[encoding](body) if encoding else body
            size = len(sent) / VECTORS
            spent = seconds(new_decompressor, sent) / VECTORS if encoding else 0.0
            totals = [f"{1e6 * (8 * size / speed + spent):,.0f}" for speed in LINKS.values()]
            lines.append(f"| {kind}: {name} | {size:,.0f} | {1e6 * spent:.0f} | {' | '.join(totals)} |")
    text = "\n".join(lines) + "\n"
    (RESULTS / "compression.md").write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
