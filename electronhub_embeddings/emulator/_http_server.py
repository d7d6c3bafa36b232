"""An HTTP server on loopback whose responses can be delayed, cut or dropped.

The server runs uvicorn's HTTP/1.1 protocol in its own thread. It does not use uvicorn's server, which polls every
0.1 s, writes to the program's log and takes 0.2 s to close: tests start and stop hundreds of servers.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import socket
import struct
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from starlette.responses import Response
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from electronhub_embeddings.emulator._fault_script import Fault, Manner

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

# Seconds; longer than clients keep an idle connection, like a service behind a load balancer.
_KEEP_ALIVE_TIMEOUT: Final = 75
# "struct linger": on, for 0 seconds. Its fields are shorter on Windows.
_NO_LINGER: Final = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
_TRICKLED_CHUNKS: Final = 20


def loopback_address(host: str) -> str:
    """Return the loopback address of `host`.

    Raises:
        ValueError: `host` is not a loopback address: an emulator must not be reachable from elsewhere.
    """
    address = "127.0.0.1" if host == "localhost" else host
    if not ipaddress.ip_address(address).is_loopback:
        raise ValueError(f"the emulator serves on loopback only, not on {host}")
    return address


def listen(address: str, port: int) -> socket.socket:
    """Return a socket that listens on `address` and `port` (0: a free port).

    Raises:
        OSError: the port is taken.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.create_server((address, port), family=family, backlog=1024)


class HTTPServer:
    """Serves `app` on a listening socket until closed; the server owns the socket and a daemon thread."""

    def __init__(self, app: ASGIApp, listener: socket.socket) -> None:
        self._app = app
        self._listener = listener
        self._started: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="electronhub-emulator", daemon=True)
        self._thread.start()
        self._started.result()

    def close(self) -> None:
        """End every connection at once, close the socket and join the thread."""
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()

    def _run(self) -> None:
        with self._listener:
            asyncio.run(self._serve())

    async def _serve(self) -> None:
        try:
            self._loop, self._closing = asyncio.get_running_loop(), asyncio.Event()
            # log_config=None leaves the program's logging as it is.
            config = uvicorn.Config(
                self._app,
                interface="asgi3",
                lifespan="off",
                log_config=None,
                ws="none",
                timeout_keep_alive=_KEEP_ALIVE_TIMEOUT,
            )
            state = ServerState()

            def make_connection() -> Connection:
                return Connection(config=config, server_state=state, app_state={})

            server = await self._loop.create_server(make_connection, sock=self._listener, backlog=1024)
        except BaseException as error:
            self._started.set_exception(error)
            raise
        self._started.set_result(None)
        await self._closing.wait()
        server.close()
        await _end_connections(state)


class Connection(H11Protocol):
    """uvicorn's HTTP/1.1 protocol for one TCP connection, which lets a response close or reset the connection.

    uvicorn gives an application no access to its transport, but copies `app_state` into the scope of every
    request. Each connection therefore stores itself in `app_state`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.app_state = {**self.app_state, "connection": self}
        # A separate logger: uvicorn's loggers belong to the program that runs the emulator.
        self.logger = logging.getLogger(__name__)
        self.access_log = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Switch Nagle's algorithm off.

        With it, a body waits 40 ms for the acknowledgement of its headers. asyncio switches it off only for
        sockets that name TCP as their protocol, which `socket.create_server` leaves at 0.
        """
        tcp: socket.socket = transport.get_extra_info("socket")
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().connection_made(transport)

    @classmethod
    def from_scope(cls, scope: Scope) -> Connection:
        """Return the connection on which a request arrived."""
        connection: Connection = scope["state"]["connection"]
        return connection

    def write(self, raw: bytes) -> None:
        """Send bytes as they are; no later request on this connection gets a response."""
        self.transport.write(raw)

    def close(self) -> None:
        """Close the connection after the bytes already written."""
        self.transport.close()

    def reset(self) -> None:
        """End the connection at once with a TCP RST."""
        tcp: socket.socket = self.transport.get_extra_info("socket")
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.transport.abort()

    def abort(self) -> None:
        """End the connection at once and discard unsent bytes."""
        self.transport.abort()


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
                await super().__call__(scope, receive, send)
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


async def _send_body(send: Send, content: bytes, *, last: bool = False) -> None:
    await send({"type": "http.response.body", "body": content, "more_body": not last})


async def _wait_for_disconnect(receive: Receive) -> None:
    # If the response returned earlier, uvicorn would send a 500 on a connection that is about to end.
    while (await receive())["type"] != "http.disconnect":
        pass


async def _end_connections(state: ServerState) -> None:
    """End all connections, then the tasks that still run for them."""
    while state.connections:
        for connection in list(state.connections):
            if isinstance(connection, Connection):
                connection.abort()
        # The transport reports the end of a connection in the next iteration of the event loop.
        await asyncio.sleep(0)
    tasks = list(state.tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
