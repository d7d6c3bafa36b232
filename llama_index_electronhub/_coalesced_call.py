"""Coalesces all batches of one LlamaIndex call into one call of the client.

LlamaIndex splits a list into batches and passes them on one by one. If each were embedded separately, no request could
hold more than a batch, batches would wait for each other, and an error would cover only one batch. The first batch
therefore embeds all texts, and the other batches take their vectors from that result.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from electronhub_embeddings import EmbeddingsClient

_current_call: ContextVar[CoalescedCall | None] = ContextVar("coalesced_call", default=None)


class CoalescedCall:
    """The texts of one LlamaIndex call and, once the first batch was requested, their vectors."""

    def __init__(self, client: EmbeddingsClient, texts: Sequence[str], *, is_async: bool, show_progress: bool) -> None:
        self._client = client
        self._texts = texts
        self._is_async = is_async
        self._show_progress = show_progress
        self._positions = {id(text): position for position, text in enumerate(texts)}  # LlamaIndex keeps the objects
        self._rows: list[list[float]] | None = None
        self._task: asyncio.Task[list[list[float]]] | None = None

    def covers(self, client: EmbeddingsClient, batch: Sequence[str], *, is_async: bool) -> bool:
        """Return whether a batch belongs to this call; an event handler may embed with another model meanwhile."""
        mine = client is self._client and is_async is self._is_async
        return mine and all(id(text) in self._positions for text in batch)

    def embed(self, batch: Sequence[str]) -> list[list[float]]:
        """Return the vectors of a batch."""
        if self._rows is None:
            self._rows = self._client.embed_lists(self._texts, show_progress=self._show_progress)
        return self._pick(self._rows, batch)

    async def aembed(self, batch: Sequence[str]) -> list[list[float]]:
        """Return the vectors of a batch; several tasks may wait at once, and each may be cancelled."""
        if self._task is None:
            self._task = asyncio.ensure_future(
                self._client.aembed_lists(self._texts, show_progress=self._show_progress)
            )
        return self._pick(await asyncio.shield(self._task), batch)

    def _pick(self, rows: list[list[float]], batch: Sequence[str]) -> list[list[float]]:
        picked = [rows[self._positions[id(text)]] for text in batch]
        return picked if len(self._positions) == len(rows) else [row.copy() for row in picked]  # one list per input

    def abandon(self) -> None:
        """Withdraw the texts that were not sent, because no caller waits for them."""
        if self._task is not None:
            self._task.cancel()


@contextmanager
def coalesced(
    client: EmbeddingsClient, texts: Sequence[str], *, is_async: bool, show_progress: bool
) -> Generator[None, None, None]:
    """Coalesce the batches of these texts into one call of the client while the block runs."""
    call = CoalescedCall(client, texts, is_async=is_async, show_progress=show_progress)
    token = _current_call.set(call)
    try:
        yield
    finally:
        _current_call.reset(token)
        call.abandon()


def embed(client: EmbeddingsClient, batch: Sequence[str]) -> list[list[float]]:
    """Embed a batch, as a part of the current coalesced call if the batch belongs to one."""
    call = _current_call.get()
    return call.embed(batch) if call and call.covers(client, batch, is_async=False) else client.embed_lists(batch)


async def aembed(client: EmbeddingsClient, batch: Sequence[str]) -> list[list[float]]:
    """Embed a batch without blocking the event loop."""
    call = _current_call.get()
    return await (
        call.aembed(batch) if call and call.covers(client, batch, is_async=True) else client.aembed_lists(batch)
    )
