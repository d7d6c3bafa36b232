"""An HTTP server on loopback whose connections a response can close or reset.

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
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Scope

# Seconds; longer than clients keep an idle connection, like a service behind a load balancer.
_KEEP_ALIVE_TIMEOUT: Final = 75
# "struct linger": on, for 0 seconds. Its fields are shorter on Windows.
_NO_LINGER: Final = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)


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
