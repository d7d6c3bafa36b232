"""The methods of a client that embed texts without blocking the event loop; otherwise the same as in `embedding`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from electronhub_embeddings._codec.text_checks import check_query
from electronhub_embeddings._scheduling.progress import Progress
from electronhub_embeddings._session.async_streaming import aembed_iterable
from electronhub_embeddings._session.embedding import no_vectors, prepare
from electronhub_embeddings._session.progress_bar import REDRAW_INTERVAL, ProgressBar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Iterable

    import numpy as np
    from numpy.typing import NDArray

    from electronhub_embeddings._session.lifecycle import Lifecycle


class AsyncEmbeddingMethods:
    """A base class of the client."""

    _lifecycle: Lifecycle

    async def aembed(
        self,
        texts: Iterable[str],
        *,
        show_progress: bool = False,
        max_wait: float | None = None,
        timeout: float | None = None,
    ) -> NDArray[np.float32]:
        """Embed documents without blocking the event loop; otherwise the same as `embed`.

        Cancelling the task withdraws the texts that were not sent.

        Example:
            ```python
            vectors, query = await asyncio.gather(client.aembed(texts), client.aembed_query("a question"))
            ```
        """
        vectors: NDArray[np.float32] = await self._aembed(
            texts, show_progress=show_progress, max_wait=max_wait, timeout=timeout
        )
        return vectors

    async def aembed_lists(
        self,
        texts: Iterable[str],
        *,
        show_progress: bool = False,
        max_wait: float | None = None,
        timeout: float | None = None,
    ) -> list[list[float]]:
        """Embed documents without blocking the event loop; otherwise the same as `embed_lists`."""
        lists: list[list[float]] = await self._aembed(
            texts, as_lists=True, show_progress=show_progress, max_wait=max_wait, timeout=timeout
        )
        return lists

    async def aembed_query(
        self, text: str, *, max_wait: float | None = None, timeout: float | None = None
    ) -> NDArray[np.float32]:
        """Embed one query without blocking the event loop; otherwise the same as `embed_query`."""
        if type(text) is not str:
            check_query(text)
        vector: NDArray[np.float32] = (await self._aembed([text], is_query=True, max_wait=max_wait, timeout=timeout))[0]
        return vector

    def aiter_embed(
        self,
        texts: Iterable[str] | AsyncIterable[str],
        *,
        show_progress: bool = False,
        max_wait: float | None = None,
        timeout: float | None = None,
    ) -> AsyncGenerator[NDArray[np.float32], None]:
        """Embed documents from any iterable without blocking the event loop; otherwise the same as `iter_embed`.

        An asynchronous iterable is awaited. Any other is read in the event loop, a batch at a time. Leaving the loop
        over the vectors withdraws the texts that were not sent: with `contextlib.aclosing` at once, or else soon.

        Example:
            ```python
            async with aclosing(client.aiter_embed(pages())) as vectors:  # `pages` is an async generator of strings
                async for vector in vectors:
                    await store.add(vector)
            ```
        """
        return aembed_iterable(self._lifecycle, texts, show_progress=show_progress, max_wait=max_wait, timeout=timeout)

    async def _aembed(
        self,
        texts: Iterable[str],
        *,
        is_query: bool = False,
        as_lists: bool = False,
        show_progress: bool = False,
        max_wait: float | None,
        timeout: float | None,
    ) -> Any:
        """Submit the texts of one call and await the result: lists with `as_lists`, or else an array."""
        inputs = prepare(self._lifecycle.options, texts, is_query=is_query)
        if not inputs.texts:
            return no_vectors(self._lifecycle, as_lists=as_lists)
        progress = Progress(len(inputs.texts), is_shown=show_progress)
        pending = self._lifecycle.connection().submit_async(
            inputs, progress, is_query=is_query, as_lists=as_lists, max_wait=max_wait, timeout=timeout
        )
        if not show_progress:
            return await pending.result()
        with ProgressBar(progress) as bar:
            return await pending.result(bar.draw, REDRAW_INTERVAL)
