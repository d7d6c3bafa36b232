"""Reads the beginning of a refusal's body, which says for how long nothing may be sent, and keeps it readable."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

MAX_HEAD_BYTES = 65_536
"""Bytes that are read; the rest of a huge error page is left to the SDK."""

MAX_HEAD_SECONDS = 10.0
"""Seconds after which no more is read of a body that arrives slowly."""


class _Head:
    """The parts that have been read, and the error that ended them."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._parts: list[bytes] = []
        self._size = 0
        self._error: Exception | None = None
        self._until = time.monotonic() + MAX_HEAD_SECONDS

    @property
    def content(self) -> bytes:
        """The bytes read so far, as received."""
        return b"".join(self._parts)

    def _add(self, part: bytes) -> bool:
        """Add a part; return whether to read on."""
        self._parts.append(part)
        self._size += len(part)
        return self._size < MAX_HEAD_BYTES and time.monotonic() < self._until

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error


class RefusalBody(_Head):
    """A body whose beginning can be read twice. Each family adds its own base class of streams."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self._rest = iter(stream)

    def read_head(self) -> None:
        """Read the beginning; an error is raised when the SDK reads as far."""
        try:
            for part in self._rest:
                if not self._add(part):
                    break
        except Exception as error:  # noqa: BLE001 - it is raised later
            self._error = error

    def __iter__(self) -> Iterator[bytes]:
        yield from self._parts
        self._raise_error()
        yield from self._rest

    def close(self) -> None:
        """Close the response."""
        if hasattr(self._stream, "close"):
            self._stream.close()


class AsyncRefusalBody(_Head):
    """The same for an event loop."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self._rest = aiter(stream)

    async def read_head(self) -> None:
        """Read the beginning; an error is raised when the SDK reads as far."""
        try:
            async for part in self._rest:
                if not self._add(part):
                    break
        except Exception as error:  # noqa: BLE001 - it is raised later
            self._error = error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            yield part
        self._raise_error()
        async for part in self._rest:
            yield part

    async def aclose(self) -> None:
        """Close the response."""
        if hasattr(self._stream, "aclose"):
            await self._stream.aclose()
