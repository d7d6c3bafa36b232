"""Submits the texts of one call and waits for their vectors, in a thread or in an event loop, with a progress bar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from electronhub_embeddings._config.import_lock import importing
from electronhub_embeddings._progress_bar import REDRAW_INTERVAL, Progress, ProgressBar

if TYPE_CHECKING:
    from electronhub_embeddings._codec.text_preparation import TextInputs
    from electronhub_embeddings._session.lifecycle import Lifecycle


def embed(
    lifecycle: Lifecycle,
    inputs: TextInputs,
    *,
    is_query: bool = False,
    as_lists: bool = False,
    show_progress: bool = False,
) -> Any:
    """Embed the texts of one call; the calling thread waits.

    Args:
        lifecycle: The client's.
        inputs: The texts.
        is_query: Whether the texts go ahead of documents.
        as_lists: Whether to return lists instead of an array.
        show_progress: Whether to draw a progress bar.

    Raises:
        ElectronHubError: The client is closed, or the error that the call has ended with.
    """
    if not inputs.texts:
        return _no_vectors(lifecycle, as_lists=as_lists)
    progress = Progress(len(inputs.texts), is_shown=show_progress)
    pending = lifecycle.connection().submit(inputs, progress, is_query=is_query, as_lists=as_lists)
    if not show_progress:
        return pending.result()
    with ProgressBar(progress, len(inputs.texts)) as bar:
        return pending.result(bar.draw, REDRAW_INTERVAL)


async def aembed(
    lifecycle: Lifecycle,
    inputs: TextInputs,
    *,
    is_query: bool = False,
    as_lists: bool = False,
    show_progress: bool = False,
) -> Any:
    """Embed the texts of one call without blocking the event loop; otherwise the same as `embed`."""
    if not inputs.texts:
        return _no_vectors(lifecycle, as_lists=as_lists)
    progress, connection = Progress(len(inputs.texts), is_shown=show_progress), lifecycle.connection()
    if not show_progress:
        return await connection.embed(inputs, progress, is_query=is_query, as_lists=as_lists)
    with ProgressBar(progress, len(inputs.texts)) as bar:
        return await connection.embed(
            inputs, progress, is_query=is_query, as_lists=as_lists, look=bar.draw, interval=REDRAW_INTERVAL
        )


def _no_vectors(lifecycle: Lifecycle, *, as_lists: bool) -> Any:
    lifecycle.check_open()
    if as_lists:
        return []
    with importing:
        import numpy as np  # noqa: PLC0415 - slow to import

    return np.empty((0, lifecycle.options.dimensions or 0), np.float32)
