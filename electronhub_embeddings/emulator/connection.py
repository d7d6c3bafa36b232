"""One TCP connection, which an answer may break.

uvicorn gives an application no hand on its transport. It does copy `app_state` into every request's scope, so
each connection puts itself there.
"""

from __future__ import annotations

import logging
import os
import socket
import struct
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

    from starlette.types import Scope

# "struct linger": on, for 0 seconds. Its fields are shorter on Windows.
_NO_LINGER: Final = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)


class Connection(H11Protocol):
    """uvicorn's HTTP/1.1 protocol, which can be closed and reset from inside a request."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.app_state = {**self.app_state, "connection": self}
        # A logger of our own: those of uvicorn belong to the program around the emulator.
        self.logger = logging.getLogger(__name__)
        self.access_log = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Switch Nagle's algorithm off.

        With it a body waits 40 ms for the acknowledgement of its headers. asyncio does so only for sockets
        that name TCP as their protocol, which `socket.create_server` leaves at 0.
        """
        tcp: socket.socket = transport.get_extra_info("socket")
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().connection_made(transport)

    @classmethod
    def of(cls, scope: Scope) -> Connection:
        """Return the connection on which a request came."""
        connection: Connection = scope["state"]["connection"]
        return connection

    def write(self, raw: bytes) -> None:
        """Send bytes as they are; nothing that this connection is asked afterwards is answered any more."""
        self.transport.write(raw)

    def close(self) -> None:
        """End the connection in order, after what is already written."""
        self.transport.close()

    def reset(self) -> None:
        """End the connection at once with a TCP RST."""
        tcp: socket.socket = self.transport.get_extra_info("socket")
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.transport.abort()

    def abort(self) -> None:
        """End the connection at once, unsent bytes included."""
        self.transport.abort()
