"""Sends a reply in the manner of its fault."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from starlette.responses import Response

from electronhub_embeddings.emulator.connection import Connection
from electronhub_embeddings.emulator.faults.fault import Fault, Manner

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from electronhub_embeddings.emulator.replies import Reply

_PIECES: Final = 20


class Delivery(Response):
    """A response that may arrive late, in part, or not at all."""

    def __init__(self, reply: Reply, headers: dict[str, str], fault: Fault) -> None:
        super().__init__(
            reply.body,
            status_code=reply.status,
            # What the fault says goes over what the service would.
            headers={**headers, "content-type": reply.content_type, **reply.headers},
        )
        self._whole = bytes(self.body)
        self._fault = fault

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the reply, as far as the fault lets it."""
        fault, whole = self._fault, self._whole
        connection, half = Connection.of(scope), len(whole) // 2
        match fault.manner:
            case Manner.WHOLE:
                await super().__call__(scope, receive, send)
            case Manner.DROPPED:
                connection.close()
                await _gone(receive)
            case Manner.RESET:
                connection.reset()
                await _gone(receive)
            case Manner.TRUNCATED:
                await self._start(send)
                await _part(send, whole[:half])
                connection.close()
                await _gone(receive)
            case Manner.BROKEN:
                await self._start(send)
                await _part(send, whole[:half])
                connection.reset()
                await _gone(receive)
            case Manner.MISCOUNTED:
                # By hand: uvicorn sees to it that a length is right.
                connection.write(self._head(len(whole) + fault.miscount) + whole)
                connection.close()
                await _gone(receive)
            case Manner.STALLED:
                await self._start(send)
                await _part(send, whole[:half])
                await asyncio.sleep(fault.pause)
                await _part(send, whole[half:], last=True)
            case Manner.TRICKLED:
                await self._start(send)
                size = max(1, -(-len(whole) // _PIECES))
                for start in range(0, len(whole), size):
                    await asyncio.sleep(fault.pause / _PIECES)
                    await _part(send, whole[start : start + size])
                await _part(send, b"", last=True)

    def _head(self, length: int) -> bytes:
        headers = {**self.headers, "content-length": str(length), "connection": "close"}
        lines = [f"HTTP/1.1 {self.status_code} ", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    async def _start(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})


async def _part(send: Send, body: bytes, *, last: bool = False) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": not last})


async def _gone(receive: Receive) -> None:
    # Returning earlier would make uvicorn answer 500 on a connection that is about to end.
    while (await receive())["type"] != "http.disconnect":
        pass
