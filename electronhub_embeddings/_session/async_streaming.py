"""Embeds the texts of an iterable without blocking the event loop; otherwise the same as `streaming`."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING

from electronhub_embeddings._codec.distinct_texts import prepare_texts
from electronhub_embeddings._codec.text_checks import refuse_other_kinds
from electronhub_embeddings._scheduling.progress import Progress
from electronhub_embeddings._session.batches_in_flight import BatchesInFlight, shift_positions
from electronhub_embeddings._session.progress_bar import REDRAW_INTERVAL, ProgressBar
from electronhub_embeddings._session.streaming import read_batch
from electronhub_embeddings.errors import ElectronHubError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from electronhub_embeddings._session.lifecycle import Lifecycle
    from electronhub_embeddings._workers.pending_call import AsyncPendingCall


async def aembed_iterable(
    lifecycle: Lifecycle,
    texts: Iterable[str] | AsyncIterable[str],
    *,
    show_progress: bool = False,
    max_wait: float | None = None,
    timeout: float | None = None,
) -> AsyncGenerator[NDArray[np.float32], None]:
    """Yield a vector for each text; the arguments are those of `embed_iterable`."""
    if not isinstance(texts, AsyncIterable):
        refuse_other_kinds(texts)
    progress = Progress(is_shown=show_progress)
    stream_with = partial(
        astream,
        texts,
        submit=lambda batch: lifecycle.connection().submit_async(
            prepare_texts(batch, lifecycle.options.document_prefix), progress, max_wait=max_wait, timeout=timeout
        ),
        batch_size=lifecycle.options.batch_size,
        ahead=lifecycle.options.max_concurrency,
    )
    # With `aclosing`, leaving this generator withdraws the batches at once.
    if not show_progress:
        async with aclosing(stream_with()) as vectors:
            async for vector in vectors:
                yield vector
        return
    with ProgressBar(progress) as bar:
        async with aclosing(stream_with(look=bar.draw)) as vectors:
            async for vector in vectors:
                bar.draw_now_and_then()
                yield vector


async def astream(
    texts: Iterable[str] | AsyncIterable[str],
    *,
    submit: Callable[[list[str]], AsyncPendingCall],
    batch_size: int,
    ahead: int,
    look: Callable[[], None] | None = None,
) -> AsyncGenerator[NDArray[np.float32], None]:
    """Yield a vector for each text; the arguments are those of `stream`."""
    read = partial(_read, aiter(texts)) if isinstance(texts, AsyncIterable) else partial(_read_sync, iter(texts))
    batches = BatchesInFlight(submit, ahead)
    try:
        while True:
            while batches.wants_more:
                batches.add(*await read(batch_size))
            if (oldest := batches.take()) is None:
                break
            offset, call = oldest
            try:
                rows: Iterable[NDArray[np.float32]] = await (
                    call.result() if look is None else call.result(look, REDRAW_INTERVAL)
                )
            except ElectronHubError as error:
                raise await _add_later_vectors(shift_positions(offset, error), batches) from error.__cause__
            for row in rows:
                yield row
    finally:
        batches.abandon()
    if batches.failure is not None:
        raise batches.failure


async def _read_sync(source: Iterator[str], size: int) -> tuple[list[str], Exception | None]:
    return read_batch(source, size)


async def _read(source: AsyncIterator[str], size: int) -> tuple[list[str], Exception | None]:
    """Read a batch; if the source fails, return its error with the texts read before."""
    batch: list[str] = []
    try:
        while len(batch) < size:
            batch.append(await anext(source))
    except StopAsyncIteration:
        pass
    except Exception as error:  # noqa: BLE001 - raised after all earlier vectors are yielded
        return batch, error
    return batch, None


async def _add_later_vectors(error: ElectronHubError, batches: BatchesInFlight[AsyncPendingCall]) -> ElectronHubError:
    """Withdraw the unsent texts of later batches, and add the vectors they have received to the error."""
    rest = dict(error.partial)
    for offset, call in batches.withdraw():
        try:
            rows: Iterable[NDArray[np.float32]] = await call.result()
            rest.update(enumerate(rows, start=offset))
        except ElectronHubError as other:  # noqa: PERF203 - one iteration per batch
            rest.update(shift_positions(offset, other).partial)
    error.partial = rest
    return error
