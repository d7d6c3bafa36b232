"""What differs in the connections of our transport: reads end with the attempt, and take all that has arrived."""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx

    from electronhub_embeddings._http.attempt_timeout import AttemptTimeout

FULL_READ = 16_384
"""Bytes of a TLS record, which is all that a read returns."""

BUFFER_BYTES = 262_144
"""Bytes received in addition to a full read, if they have arrived. Passing a chunk on through httpcore, h11 and httpx
takes as long as decrypting 30 KB, so that with a chunk for each record, it would take twice the time of receiving."""


def change_connections(transport: httpx.HTTPTransport, timeout: AttemptTimeout) -> None:
    """Let all connections of a new transport be `NetworkStream`s; httpx has no public way to do that."""
    pool: Any = transport._pool  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    pool._network_backend = NetworkBackend(pool._network_backend, timeout)  # noqa: SLF001


class NetworkBackend:
    """A network backend of httpcore that makes `NetworkStream`s."""

    def __init__(self, wrapped: Any, timeout: AttemptTimeout) -> None:
        self._wrapped = wrapped
        self._timeout = timeout

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapped, name)

    def connect_tcp(self, *arguments: Any, **options: Any) -> NetworkStream:
        """Connect."""
        return NetworkStream(self._wrapped.connect_tcp(*arguments, **options), self._timeout)


class NetworkStream:
    """A connection of httpcore."""

    def __init__(self, wrapped: Any, timeout: AttemptTimeout) -> None:
        self._wrapped = wrapped
        self._timeout = timeout
        self.write, self.close, self.get_extra_info = wrapped.write, wrapped.close, wrapped.get_extra_info
        self._buffer = memoryview(b"")
        self._socket = _find_socket(wrapped)

    def start_tls(self, *arguments: Any, **options: Any) -> NetworkStream:
        """Encrypt the connection."""
        return NetworkStream(self._wrapped.start_tls(*arguments, **options), self._timeout)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - the attempt's is shorter
        """Wait for bytes, and return all that have arrived, up to `max_bytes` and the size of the buffer.

        Raises:
            httpx.ReadTimeout: The time of the attempt is over.
            httpcore.NetworkError: The connection broke.
        """
        content: bytes = self._wrapped.read(max_bytes, self._timeout.remaining())
        if len(content) < FULL_READ or self._socket is None:
            return content
        return content + self._receive_available()

    def _receive_available(self) -> memoryview:
        """Return what has arrived already, which may be nothing."""
        if not self._buffer:
            self._buffer = memoryview(bytearray(BUFFER_BYTES))
        received = 0
        self._socket.settimeout(0)
        with suppress(OSError):  # there is no more, or the connection is broken: the next read finds that out
            while count := self._socket.recv_into(self._buffer[received:]):
                received += count
        return self._buffer[:received]


def _find_socket(stream: Any) -> Any:
    """Return the socket to read from; None: there are two layers of TLS, which only the stream itself can read."""
    is_nested = isinstance(stream.get_extra_info("ssl_object"), ssl.SSLObject)  # not made of a socket
    return None if is_nested else stream.get_extra_info("socket")
