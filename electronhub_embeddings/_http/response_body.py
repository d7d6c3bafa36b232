"""Collects the body of a response; long bodies are read and decoded in turns.

Turns avoid two costs that would exceed the cost of receiving the bytes. Threads that receive at the same time contend
for the GIL at every chunk, thousands of times for ten thousand vectors. Newly allocated memory has to be cleared by the
operating system, so a long body is read into a buffer that is reused for the next one.
"""

from __future__ import annotations

import math
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from electronhub_embeddings._http.large_memory import new_memory
from electronhub_embeddings.errors import InvalidResponseError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

PATIENCE = 1.0
"""Seconds of reading after which another body no longer waits for its turn. Such a long time means that the network is
slow, and the operating system receives the other body meanwhile, so no time is lost. A busy processor takes less."""

MAX_LENGTH_DIGITS = 18
"""Digits of `Content-Length` that are parsed."""


class Turn:
    """The turn of one body, with the buffer that it is read into."""

    def __init__(self, buffer: memoryview | None = None) -> None:
        self.buffer = buffer or memoryview(bytearray())
        self._reads_since = time.monotonic()

    def make_buffer(self, size: int) -> memoryview:
        """Return a buffer of at least a size, valid until the turn ends."""
        if len(self.buffer) < size:
            self.buffer = new_memory(size)
        return self.buffer

    def is_read(self) -> None:
        """Note that the body is complete. However long its vectors take, others wait for the end of the turn."""
        self._reads_since = math.inf

    def has_read_for(self, seconds: float) -> bool:
        """Return whether reading has taken so long, and goes on."""
        return time.monotonic() - self._reads_since >= seconds


class Turns:
    """Lets a number of threads at a time read and decode a long body; whoever waits for slow readers goes ahead.

    Args:
        count: How many.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._changed = threading.Condition()
        self._taken: list[Turn] = []
        self._waiting = 0
        self._spare: list[memoryview] = []

    @contextmanager
    def take(self) -> Generator[Turn, None, None]:
        """Wait for a turn."""
        with self._changed:
            self._waiting += 1
            while len(self._taken) >= self._count and not all(turn.has_read_for(PATIENCE) for turn in self._taken):
                self._changed.wait(PATIENCE)
            self._waiting -= 1
            turn = Turn(self._spare.pop() if self._spare else None)
            self._taken.append(turn)
        try:
            yield turn
        finally:
            with self._changed:
                self._taken.remove(turn)
                self._spare.append(turn.buffer)
                if not self._waiting:
                    self._spare.clear()
                self._changed.notify()


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
