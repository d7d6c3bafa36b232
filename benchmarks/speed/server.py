"""A server on loopback that answers `POST /embeddings` at once with stored bodies, so that only clients are measured.

It reads the request as far as it must: how many inputs there are, how they are to be encoded, and how long vectors are.
The first answer of a kind is made and kept; the vectors are the same few for every request, as no client looks at them.

    python benchmarks/speed/server.py       prints its addresses as JSON and serves until its input ends
"""

from __future__ import annotations

import json
import socket
import ssl
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import BinaryIO

import msgspec
import numpy as np
import pybase64
import trustme
from edge import COMPRESS

MODEL_DIMENSIONS = 1536
ROUND_TRIP = 0.04
"""Seconds that the answers of `service` take longer than the others."""


class Asked(msgspec.Struct):
    """What matters of a request; `input` is counted, not read."""

    input: list[msgspec.Raw] | msgspec.Raw
    model: str
    encoding_format: str = "float"
    dimensions: int | None = None


@dataclass(frozen=True)
class Wire:
    """One way to the same answers."""

    tls: bool = False
    encodings: tuple[str, ...] = ()
    """How answers are compressed if the client accepts that, the best first."""
    round_trip: float = 0.0
    """Seconds before each answer."""


WIRES = {
    "http": Wire(),
    "tls": Wire(tls=True),
    "edge": Wire(tls=True, encodings=("zstd", "br", "gzip")),
    "gzip": Wire(tls=True, encodings=("gzip",)),
    "service": Wire(tls=True, encodings=("zstd", "br", "gzip"), round_trip=ROUND_TRIP),
}


@lru_cache(maxsize=64)
def answer(count: int, encoding_format: str, dimensions: int, encoding: str) -> bytes:
    """Write a whole HTTP answer, as the service would."""
    rows = np.random.default_rng(1).standard_normal((count, dimensions), np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    data = [
        {
            "object": "embedding",
            "embedding": pybase64.b64encode(row).decode() if encoding_format == "base64" else row.tolist(),
            "index": index,
        }
        for index, row in enumerate(rows)
    ]
    usage = {"prompt_tokens": 20 * count, "total_tokens": 20 * count}
    body = msgspec.json.encode({"object": "list", "data": data, "model": "text-embedding-3-small", "usage": usage})
    if not encoding:
        return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    # What is compressed on the way has no length that is known before.
    body = COMPRESS[encoding](body)
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\ncontent-encoding: %b"
    chunks = [body[start : start + 16_384] for start in range(0, len(body), 16_384)]
    return b"%b\r\n\r\n%b0\r\n\r\n" % (
        head % encoding.encode(),
        b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in chunks),
    )


def choose_encoding(head: bytes, encodings: tuple[str, ...]) -> str:
    """Return the first encoding that the client accepts; empty: none."""
    accepted = head.partition(b"accept-encoding:")[2].partition(b"\r\n")[0].decode()
    offered = {part.partition(";")[0].strip() for part in accepted.split(",")}
    return next((encoding for encoding in encodings if encoding in offered), "")


def serve(listener: socket.socket, wire: Wire, context: ssl.SSLContext) -> None:
    """Accept connections, each in a thread of its own."""
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=converse, args=(connection, wire, context), daemon=True).start()


def read_head(received: BinaryIO) -> bytes:
    """Return the lines before a body, in lower case; empty: the connection was closed."""
    head = b""
    while (line := received.readline().lower()) not in {b"", b"\r\n"}:
        head += line
    return head


def converse(connection: socket.socket, wire: Wire, context: ssl.SSLContext) -> None:
    """Answer the requests of one connection, kept alive."""
    with suppress(OSError), ExitStack() as stack:
        stack.enter_context(connection)
        if wire.tls:
            connection = stack.enter_context(context.wrap_socket(connection, server_side=True))
        received = stack.enter_context(connection.makefile("rb"))
        while head := read_head(received):
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
            asked = msgspec.json.decode(received.read(length), type=Asked)
            count = len(asked.input) if isinstance(asked.input, list) else 1
            encoding = choose_encoding(head, wire.encodings)
            whole = answer(count, asked.encoding_format, asked.dimensions or MODEL_DIMENSIONS, encoding)
            time.sleep(wire.round_trip)
            connection.sendall(whole)


def main() -> None:
    """Serve until the standard input ends."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with tempfile.NamedTemporaryFile() as certificates:
        certificates.write(authority.cert_pem.bytes())
        certificates.flush()
        addresses = {"certificates": certificates.name}
        for name, wire in WIRES.items():
            listener = socket.create_server(("127.0.0.1", 0))
            threading.Thread(target=serve, args=(listener, wire, context), daemon=True).start()
            scheme = "https" if wire.tls else "http"
            addresses[name] = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/v1"
        print(json.dumps(addresses), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
