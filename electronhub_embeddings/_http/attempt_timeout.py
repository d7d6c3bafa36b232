"""Bounds an attempt as a whole, however slowly its bytes arrive.

httpx applies its time-out to each read, so a response that arrives byte by byte would never time out. The rate limiter
relies on a bound: it frees a slot when a request cannot be in flight any more.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import httpx


class AttemptTimeout:
    """The deadline of the attempt that the current thread makes.

    Args:
        seconds: Longest duration of an attempt, from connecting to the last byte.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._attempt = threading.local()

    def start(self) -> None:
        """Begin an attempt in the current thread."""
        self._attempt.deadline = time.monotonic() + self.seconds

    def remaining(self) -> float:
        """Return the seconds that are left for the current attempt.

        Raises:
            httpx.ReadTimeout: There are none.
        """
        remaining: float = self._attempt.deadline - time.monotonic()
        if remaining <= 0:
            raise httpx.ReadTimeout("the response took too long")
        return remaining

    def apply_to(self, transport: httpx.HTTPTransport) -> None:
        """Bound all reads of a new transport; httpx has no public way to do that."""
        pool: Any = transport._pool  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        pool._network_backend = _BoundedBackend(pool._network_backend, self)  # noqa: SLF001


class _BoundedBackend:
    """A network backend of httpcore whose connections are bounded."""

    def __init__(self, wrapped: Any, timeout: AttemptTimeout) -> None:
        self._wrapped = wrapped
        self._timeout = timeout

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapped, name)

    def connect_tcp(self, *arguments: Any, **options: Any) -> _BoundedStream:
        return _BoundedStream(self._wrapped.connect_tcp(*arguments, **options), self._timeout)


class _BoundedStream:
    """A connection of httpcore whose reads end with the attempt."""

    def __init__(self, wrapped: Any, timeout: AttemptTimeout) -> None:
        self._wrapped = wrapped
        self._timeout = timeout
        self.write, self.close, self.get_extra_info = wrapped.write, wrapped.close, wrapped.get_extra_info

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - the attempt's is shorter
        content: bytes = self._wrapped.read(max_bytes, self._timeout.remaining())
        return content

    def start_tls(self, *arguments: Any, **options: Any) -> _BoundedStream:
        return _BoundedStream(self._wrapped.start_tls(*arguments, **options), self._timeout)
