"""Reads the body of a response; long bodies are read and decoded one at a time, under the decode lock.

This module avoids two costs that would exceed the cost of receiving the bytes. Threads that receive at the same time
contend for the GIL at every chunk, thousands of times for ten thousand vectors. Newly allocated memory has to be
cleared by the operating system, so a long body is read into one buffer, which is reused for the next body.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from electronhub_embeddings._http.large_memory import new_memory
from electronhub_embeddings.errors import InvalidResponseError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

DECODE_LOCK_TIMEOUT = 0.2
"""Seconds to wait for the decode lock; after that, the body is read without the lock. Such a long wait means that the
network is slow, and the operating system has received data meanwhile, so no time is lost."""

MAX_LENGTH_DIGITS = 18
"""Digits of `Content-Length` that are parsed."""


class DecodeLock:
    """Lets one thread at a time read and decode a long response, and owns the buffer for its body."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting = 0
        self._buffer = memoryview(bytearray())

    @contextmanager
    def hold(self) -> Generator[Callable[[int], memoryview], None, None]:
        """Wait for the lock; yield what returns a buffer of at least a size, valid while the lock is held."""
        self._waiting += 1  # not atomic: a race costs one new buffer
        acquired = self._lock.acquire(timeout=DECODE_LOCK_TIMEOUT)
        self._waiting -= 1
        try:
            yield self._reuse_buffer if acquired else new_memory
        finally:
            if acquired:
                if self._waiting <= 0:
                    self._buffer = memoryview(bytearray())
                self._lock.release()

    def _reuse_buffer(self, size: int) -> memoryview:
        if len(self._buffer) < size:
            self._buffer = new_memory(size)
        return self._buffer


class ResponseBody:
    """Collects the chunks of a body in one buffer.

    Args:
        headers: The headers of the response, with names in lower case.
        max_bytes: Longest body accepted, in bytes after decompression.
        expected_bytes: Length to make room for if none is announced; a longer body is copied once or twice.
        make_buffer: Returns a buffer of at least a size.
    """

    def __init__(
        self,
        headers: Mapping[str, str],
        max_bytes: int,
        expected_bytes: int = 0,
        make_buffer: Callable[[int], memoryview] = new_memory,
    ) -> None:
        announced = headers.get("content-length", "")
        plain = "content-encoding" not in headers and announced.isascii() and announced.isdigit()
        length = int(announced[:MAX_LENGTH_DIGITS]) if plain else expected_bytes
        self.size = 0
        self._max_bytes = max_bytes
        self._make_buffer = make_buffer
        self._buffer = make_buffer(length if length <= max_bytes else 0)

    def add(self, part: bytes) -> None:
        """Add the next chunk.

        Raises:
            InvalidResponseError: The body is longer than `max_bytes`.
        """
        start, self.size = self.size, self.size + len(part)
        if self.size > self._max_bytes:
            raise InvalidResponseError(f"The answer is longer than {self._max_bytes:,} bytes.", retries=0)
        if self.size > len(self._buffer):
            longer = self._make_buffer(max(self.size, 2 * len(self._buffer)))
            longer[:start] = self._buffer[:start]
            self._buffer = longer
        self._buffer[start : self.size] = part

    @property
    def content(self) -> memoryview:
        """The body received so far."""
        return self._buffer[: self.size]
