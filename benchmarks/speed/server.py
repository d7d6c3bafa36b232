"""A server on loopback that answers `POST /embeddings` at once with stored bodies, so that only clients are measured.

It reads the request as far as it must: how many inputs there are, how they are to be encoded, and how long vectors are.
The first answer of a kind is made and kept; the vectors are the same few for every request, as no client looks at them.

    python benchmarks/speed/server.py       prints its base_url and serves until its input ends
"""

from __future__ import annotations

import asyncio
import sys
from functools import lru_cache

import msgspec
import numpy as np
import pybase64

MODEL_DIMENSIONS = 1536


class Asked(msgspec.Struct):
    """What matters of a request; `input` is counted, not read."""

    input: list[msgspec.Raw] | msgspec.Raw
    model: str
    encoding_format: str = "float"
    dimensions: int | None = None


@lru_cache(maxsize=64)
def answer(count: int, encoding_format: str, dimensions: int) -> bytes:
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
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Connection(asyncio.Protocol):
    """One connection, kept alive."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = transport
        self._received = bytearray()

    def data_received(self, data: bytes) -> None:
        """Answer as soon as a request is whole."""
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._received[:end].lower()
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        if len(self._received) < end + 4 + length:
            return
        asked = msgspec.json.decode(bytes(self._received[end + 4 : end + 4 + length]), type=Asked)
        del self._received[: end + 4 + length]
        count = len(asked.input) if isinstance(asked.input, list) else 1
        self._transport.write(answer(count, asked.encoding_format, asked.dimensions or MODEL_DIMENSIONS))


async def main() -> None:
    """Serve until the standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
