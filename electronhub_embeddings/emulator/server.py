"""A thread in which an ASGI application serves HTTP on loopback.

uvicorn's protocol without uvicorn's server: that one polls every 0.1 s, writes to the program's log, and
takes 0.2 s to close. Tests start and stop hundreds of these.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Final

import uvicorn
from uvicorn.server import ServerState

from electronhub_embeddings.emulator.connection import Connection

if TYPE_CHECKING:
    from starlette.types import ASGIApp

# Longer than a client keeps an idle connection, as with any service behind a load balancer.
_KEEP_ALIVE_SECONDS: Final = 75


def loopback(host: str) -> str:
    """Return the loopback address that `host` names.

    Raises:
        ValueError: it is none: a stand-in must not be reachable from elsewhere.
    """
    address = "127.0.0.1" if host == "localhost" else host
    if not ipaddress.ip_address(address).is_loopback:
        raise ValueError(f"the emulator serves on loopback only, not on {host}")
    return address


def bind(address: str, port: int) -> socket.socket:
    """Return a socket that listens on `address` and `port` (0: a free one).

    Raises:
        OSError: the port is taken.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.create_server((address, port), family=family, backlog=1024)


class Server:
    """Serves `app` on a listening socket until closed; owns both the socket and a daemon thread."""

    def __init__(self, app: ASGIApp, listening: socket.socket) -> None:
        self._app = app
        self._listening = listening
        self._started: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="electronhub-emulator", daemon=True)
        self._thread.start()
        self._started.result()

    def close(self) -> None:
        """End every connection at once, close the socket and join the thread."""
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()

    def _run(self) -> None:
        with self._listening:
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
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            )
            state = ServerState()

            def connect() -> Connection:
                return Connection(config=config, server_state=state, app_state={})

            server = await self._loop.create_server(connect, sock=self._listening, backlog=1024)
        except BaseException as failure:
            self._started.set_exception(failure)
            raise
        self._started.set_result(None)
        await self._closing.wait()
        server.close()
        await _disconnect(state)


async def _disconnect(state: ServerState) -> None:
    """End all connections, then what still runs on their behalf."""
    while state.connections:
        for connection in list(state.connections):
            if isinstance(connection, Connection):
                connection.abort()
        # The transport reports the end of a connection in the next round of the loop.
        await asyncio.sleep(0)
    running = list(state.tasks)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
