"""Closes an object at the end of a `with` or `async with` block: the client, and both adapters."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self


class Closeable:
    """A base class for what has a `close` and an `aclose`.

    Not an abstract class: its metaclass would have to fit that of pydantic 1 and that of pydantic 2.
    """

    def close(self) -> None:
        """Close the object."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """Close the object without blocking the event loop."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
