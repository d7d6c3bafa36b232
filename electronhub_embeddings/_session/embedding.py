"""The methods of a client that embed texts, each of which waits in the calling thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from electronhub_embeddings._codec.distinct_texts import prepare_texts
from electronhub_embeddings._codec.text_checks import check_query
from electronhub_embeddings._config.import_lock import importing
from electronhub_embeddings._scheduling.progress import Progress
from electronhub_embeddings._session.progress_bar import REDRAW_INTERVAL, ProgressBar
from electronhub_embeddings._session.streaming import embed_iterable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from electronhub_embeddings._codec.distinct_texts import TextInputs
    from electronhub_embeddings._config.options import Options
    from electronhub_embeddings._session.lifecycle import Lifecycle


class EmbeddingMethods:
    """A base class of the client. `AsyncEmbeddingMethods` has the same methods for an event loop."""

    _lifecycle: Lifecycle

    def embed(
        self,
        texts: Iterable[str],
        *,
        show_progress: bool = False,
        max_wait: float | None = None,
        timeout: float | None = None,
    ) -> NDArray[np.float32]:
        """Embed documents.

        Args:
            texts: Any number of strings; equal texts are sent once.
            show_progress: Draw a progress bar, which also shows why the call is waiting.
            max_wait: Seconds that this call may wait for the rate limit. None: the client's `max_wait`; `math.inf`: as
                long as it takes.
            timeout: Seconds that this call may take in all: waits, attempts and retries. Then it ends with
                APITimeoutError, and its unsent texts are withdrawn. A request on the wire is not cut off, because other
                calls may share it and it is charged: its vectors are kept in the cache, if there is one. So the
                client's `timeout`, which bounds each attempt, stays as it is. None: no bound.

        Returns:
            A float32 array of shape (len(texts), d), row i for text i; of shape (0, dimensions or 0) for no texts.

        Raises:
            InputError: A text is not a string, is empty or not encodable; nothing was sent.
            ValueError: `max_wait` or `timeout` is out of range; nothing was sent.
            ElectronHubError: Any error of `electronhub_embeddings.errors`. Its `.partial` maps finished inputs to their
                vectors; embed only the others, and nothing is paid for twice.

        Example:
            ```python
            try:
                vectors = client.embed(texts)  # float32, shape (len(texts), d)
            except ElectronHubError as error:
                missing = [i for i in range(len(texts)) if i not in error.partial]
            ```
        """
        vectors: NDArray[np.float32] = self._embed(
            texts, show_progress=show_progress, max_wait=max_wait, timeout=timeout
        )
        return vectors

    def embed_query(
        self, text: str, *, max_wait: float | None = None, timeout: float | None = None
    ) -> NDArray[np.float32]:
        """Embed one query, ahead of all waiting documents.

        Args:
            text: The query.
            max_wait: As in `embed`.
            timeout: As in `embed`.

        Returns:
            A float32 array of shape (d,).

        Raises:
            InputError: The text is not a string, is empty or not encodable; nothing was sent.
            ValueError: As in `embed`.
            ElectronHubError: Any error of `electronhub_embeddings.errors`.

        Example:
            ```python
            best = int(np.argmax(vectors @ client.embed_query("a capital in Europe", timeout=5)))
            ```
        """
        if type(text) is not str:
            check_query(text)
        vector: NDArray[np.float32] = self._embed([text], is_query=True, max_wait=max_wait, timeout=timeout)[0]
        return vector

    def embed_lists(
        self,
        texts: Iterable[str],
        *,
        show_progress: bool = False,
        max_wait: float | None = None,
        timeout: float | None = None,
    ) -> list[list[float]]:
        """Embed documents and return lists of Python floats, which need eight times the memory of `embed`'s array.

        Faster than `embed(texts).tolist()`, because vectors are converted while other requests are in flight.
        """
        lists: list[list[float]] = self._embed(
            texts, as_lists=True, show_progress=show_progress, max_wait=max_wait, timeout=timeout
        )
        return lists

    def iter_embed(
        self,
        texts: Iterable[str],
        *,
        show_progress: bool = False,
        max_wait: float | None = None,
        timeout: float | None = None,
    ) -> Iterator[NDArray[np.float32]]:
        """Embed documents from any iterable, of any length, in bounded memory.

        Args:
            texts: Any iterable of strings; it can be endless.
            show_progress: As in `embed`.
            max_wait: As in `embed`, for each batch of `batch_size` texts.
            timeout: As in `embed`, for each batch, from the time when it is read.

        Yields:
            A float32 array of shape (d,) for each text, in order. `texts` is read a few batches ahead.

        Raises:
            InputError: As in `embed`; `.index` counts from the first text of the iterable.
            ElectronHubError: As in `embed`; `.partial` holds the finished vectors that were not yielded.

        Example:
            ```python
            with open("corpus.txt", encoding="utf-8") as lines:
                for vector in client.iter_embed(line.strip() for line in lines if line.strip()):
                    index.add(vector)
            ```
        """
        return embed_iterable(self._lifecycle, texts, show_progress=show_progress, max_wait=max_wait, timeout=timeout)

    def _embed(
        self,
        texts: Iterable[str],
        *,
        is_query: bool = False,
        as_lists: bool = False,
        show_progress: bool = False,
        max_wait: float | None,
        timeout: float | None,
    ) -> Any:
        """Submit the texts of one call and wait for the result: lists with `as_lists`, or else an array."""
        inputs = prepare(self._lifecycle.options, texts, is_query=is_query)
        if not inputs.texts:
            return no_vectors(self._lifecycle, as_lists=as_lists)
        progress = Progress(len(inputs.texts), is_shown=show_progress)
        pending = self._lifecycle.connection().submit(
            inputs, progress, is_query=is_query, as_lists=as_lists, max_wait=max_wait, timeout=timeout
        )
        if not show_progress:
            return pending.result()
        with ProgressBar(progress) as bar:
            return pending.result(bar.draw, REDRAW_INTERVAL)


def prepare(options: Options, texts: Iterable[str], *, is_query: bool) -> TextInputs:
    """Check and prefix the texts of a call.

    Raises:
        InputError: A text, or what should be texts, cannot be embedded.
    """
    return prepare_texts(texts, options.query_prefix if is_query else options.document_prefix)


def no_vectors(lifecycle: Lifecycle, *, as_lists: bool) -> Any:
    """Return the result of a call without texts.

    Raises:
        ElectronHubError: The client is closed.
    """
    lifecycle.check_open()
    if as_lists:
        return []
    with importing:
        import numpy as np  # noqa: PLC0415 - slow to import

    return np.empty((0, lifecycle.options.dimensions or 0), np.float32)
