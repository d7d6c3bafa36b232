"""One call of the client for all batches of one call of LlamaIndex.

LlamaIndex cuts a list into batches and hands them over one by one. Embedded so, a request could not be filled beyond a
batch, each would wait for the one before, and an error would know of one batch only. So the first batch asks for all
texts, and the others take their rows from what came.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from electronhub_embeddings import EmbeddingsClient

_present: ContextVar[Whole | None] = ContextVar("whole", default=None)


class Whole:
    """The texts of one call of LlamaIndex, while it hands over their batches."""

    def __init__(self, client: EmbeddingsClient, texts: Sequence[str], *, is_async: bool, show_progress: bool) -> None:
        self._client = client
        self._texts = texts
        self._is_async = is_async
        self._show_progress = show_progress
        self._places = {id(text): place for place, text in enumerate(texts)}  # LlamaIndex hands over the same objects
        self._rows: list[list[float]] | None = None
        self._task: asyncio.Task[list[list[float]]] | None = None

    def covers(self, client: EmbeddingsClient, batch: Sequence[str], *, is_async: bool) -> bool:
        """Say whether a batch is one of this call: another model may embed meanwhile, in an event handler, say."""
        mine = client is self._client and is_async is self._is_async
        return mine and all(id(text) in self._places for text in batch)

    def embed(self, batch: Sequence[str]) -> list[list[float]]:
        """Return the rows of a batch."""
        if self._rows is None:
            self._rows = self._client.embed_lists(self._texts, show_progress=self._show_progress)
        return self._pick(self._rows, batch)

    async def aembed(self, batch: Sequence[str]) -> list[list[float]]:
        """Return the rows of a batch; any number may ask at the same time, and stop waiting."""
        if self._task is None:
            self._task = asyncio.ensure_future(
                self._client.aembed_lists(self._texts, show_progress=self._show_progress)
            )
        return self._pick(await asyncio.shield(self._task), batch)

    def _pick(self, rows: list[list[float]], batch: Sequence[str]) -> list[list[float]]:
        picked = [rows[self._places[id(text)]] for text in batch]
        return picked if len(self._places) == len(rows) else [row.copy() for row in picked]  # no list in two places

    def abandon(self) -> None:
        """Take back what was not sent yet: nobody waits for it any more."""
        if self._task is not None:
            self._task.cancel()


@contextmanager
def whole(client: EmbeddingsClient, texts: Sequence[str], *, is_async: bool, show_progress: bool) -> Iterator[None]:
    """Let the batches of these texts that are handed over inside be one call of the client."""
    call = Whole(client, texts, is_async=is_async, show_progress=show_progress)
    token = _present.set(call)
    try:
        yield
    finally:
        _present.reset(token)
        call.abandon()


def embed(client: EmbeddingsClient, batch: Sequence[str]) -> list[list[float]]:
    """Embed a batch: as a part of the whole call that it belongs to, if there is one."""
    call = _present.get()
    return call.embed(batch) if call and call.covers(client, batch, is_async=False) else client.embed_lists(batch)


async def aembed(client: EmbeddingsClient, batch: Sequence[str]) -> list[list[float]]:
    """Embed a batch without blocking the event loop."""
    call = _present.get()
    return await (
        call.aembed(batch) if call and call.covers(client, batch, is_async=True) else client.aembed_lists(batch)
    )
