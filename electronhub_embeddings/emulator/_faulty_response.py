"""Responses that can be slowed down, cut or dropped: bodies and streams of events."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from starlette.responses import Response

from electronhub_embeddings.emulator._fault_script import Fault, Manner
from electronhub_embeddings.emulator._http_server import Connection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from starlette.types import Receive, Scope, Send

_TRICKLED_CHUNKS: Final = 20


class FaultyResponse(Response):
    """A response that its fault may slow down, cut or drop.

    Args:
        response: what to send; not changed, because one fault can serve many calls.
        fault: how to send it.
        headers: further headers; a header of `response` replaces one of the same name.
    """

    def __init__(self, response: Response, fault: Fault, headers: Mapping[str, str]) -> None:
        super().__init__(response.body, response.status_code, headers)
        self.headers.update(response.headers)
        self._content = bytes(self.body)
        self._fault = fault

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send as much of the response as the fault allows."""
        content, half = self._content, len(self._content) // 2
        connection = Connection.from_scope(scope)
        match self._fault.manner:
            case Manner.WHOLE:
                await self._send_whole(scope, receive, send)
            case Manner.STALLED:
                await self._send_head(send)
                await _send_body(send, content[:half])
                await asyncio.sleep(self._fault.pause)
                await _send_body(send, content[half:], last=True)
            case Manner.TRICKLED:
                await self._send_head(send)
                async for chunk in self._chunks(content):
                    await _send_body(send, chunk)
                await _send_body(send, b"", last=True)
            case Manner.TRICKLED_HEAD | Manner.MISCOUNTED:
                # Written to the transport, because uvicorn would send the head at once and correct the length.
                async for chunk in self._chunks(self._raw_head(len(content) + self._fault.miscount) + content):
                    if not connection.transport.is_closing():
                        connection.write(chunk)
                connection.close()
                await _wait_for_disconnect(receive)
            case Manner.DROPPED | Manner.TRUNCATED:
                await self._end_early(connection.close, send, receive)
            case Manner.RESET | Manner.BROKEN:
                await self._end_early(connection.reset, send, receive)

    async def _send_whole(self, scope: Scope, receive: Receive, send: Send) -> None:
        await super().__call__(scope, receive, send)

    async def _end_early(self, end: Callable[[], None], send: Send, receive: Receive) -> None:
        """End the connection before any byte, or after half of the body."""
        if self._fault.manner in {Manner.TRUNCATED, Manner.BROKEN}:
            await self._send_head(send)
            await _send_body(send, self._content[: len(self._content) // 2])
        end()
        await _wait_for_disconnect(receive)

    def _raw_head(self, content_length: int) -> bytes:
        headers = {**self.headers, "content-length": str(content_length), "connection": "close"}
        lines = [f"HTTP/1.1 {self.status_code} ", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    async def _chunks(self, content: bytes) -> AsyncIterator[bytes]:
        """Yield small chunks over the fault's pause."""
        size = max(1, -(-len(content) // _TRICKLED_CHUNKS))
        for start in range(0, len(content), size):
            await asyncio.sleep(self._fault.pause / _TRICKLED_CHUNKS)
            yield content[start : start + size]

    async def _send_head(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})


class StreamedResponse(FaultyResponse):
    """Server-sent events, each sent in a chunk of its own.

    Faults work on the bytes of the whole stream; one that writes its own head sends them with a Content-Length.

    Args:
        events: the events, in order.
        seconds: how long the whole stream takes; divided evenly between the events.
        fault: how to send them.
        headers: further headers.
    """

    def __init__(self, events: Sequence[bytes], seconds: float, fault: Fault, headers: Mapping[str, str]) -> None:
        super().__init__(Response(b"".join(events), media_type="text/event-stream"), fault, headers)
        # Without a length the body is chunked, and a client can read it before it is complete.
        del self.headers["content-length"]
        self._events = events
        self._pause = seconds / len(events)

    async def _send_whole(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        await self._send_head(send)
        for event in self._events:
            await _send_body(send, event)
            await asyncio.sleep(self._pause)
        await _send_body(send, b"", last=True)


async def _send_body(send: Send, content: bytes, *, last: bool = False) -> None:
    await send({"type": "http.response.body", "body": content, "more_body": not last})


async def _wait_for_disconnect(receive: Receive) -> None:
    # If the response returned earlier, uvicorn would send a 500 on a connection that is about to end.
    while (await receive())["type"] != "http.disconnect":
        pass
