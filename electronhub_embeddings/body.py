"""The body of an answer as it comes, and the desk where long ones are read and decoded, one at a time.

Two things take longer than to receive, and both are avoided here. Threads that receive at once pass the interpreter's
lock to and fro with every piece that comes, thousands of times for ten thousand vectors. And memory that is fetched
anew from the system has to be cleared by it first: so the pieces of a long body go at once, into one buffer that serves
the next body as well.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from electronhub_embeddings.errors import InvalidResponseError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

PATIENCE = 0.2
"""Seconds to wait for a turn at the desk. Whoever has waited so long goes ahead without: then it is the wire that is
slow, and nothing was lost, as the system received meanwhile."""

LONG_BODY = 262_144
"""Bytes from which on a body is read into one buffer."""

LONGEST_NUMBER = 18
"""Digits of a length that are read."""


def new_buffer(size: int) -> memoryview:
    """Make a buffer of `size` bytes."""
    return memoryview(bytearray(size))


class Desk:
    """Where long answers are read and decoded."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._waiting = 0
        self._buffer = memoryview(b"")

    @contextmanager
    def turn(self) -> Iterator[Callable[[int], memoryview]]:
        """Wait for the desk; yield what makes the buffer to read into, which is good until the end of the turn."""
        self._waiting += 1  # not exact where two threads meet, which costs a buffer
        mine = self._turn.acquire(timeout=PATIENCE)
        self._waiting -= 1
        try:
            yield self._make if mine else new_buffer
        finally:
            if mine:
                if self._waiting <= 0:
                    self._buffer = memoryview(b"")
                self._turn.release()

    def _make(self, size: int) -> memoryview:
        if len(self._buffer) < size:
            self._buffer = new_buffer(size)
        return self._buffer[:size]


class Body:
    """What has come of a body.

    Args:
        headers: The answer's, their names in lower case.
        longest: Bytes, once decompressed, beyond which it cannot be meant.
        make: Makes the buffer for a long one.
    """

    def __init__(self, headers: Mapping[str, str], longest: int, make: Callable[[int], memoryview]) -> None:
        announced = headers.get("content-length", "")
        plain = "content-encoding" not in headers and announced.isascii() and announced.isdigit()
        length = int(announced[:LONGEST_NUMBER]) if plain else 0
        self.size = 0
        self._longest = longest
        self._parts: list[bytes] = []
        self._whole = make(length) if LONG_BODY <= length <= longest else None

    def add(self, part: bytes) -> None:
        """Take the next piece.

        Raises:
            InvalidResponseError: There are too many.
        """
        start, self.size = self.size, self.size + len(part)
        if self.size > self._longest:
            raise InvalidResponseError(f"The answer is longer than {self._longest:,} bytes.", retries=0)
        if self._whole is None:
            self._parts.append(part)
        else:
            self._whole[start : self.size] = part

    @property
    def content(self) -> bytes | memoryview:
        """All of it."""
        return b"".join(self._parts) if self._whole is None else self._whole[: self.size]
