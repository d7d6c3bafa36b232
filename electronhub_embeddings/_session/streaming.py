"""Embeds the texts of an iterable and yields their vectors in order, with a bounded number of calls in flight."""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from electronhub_embeddings._codec.distinct_texts import prepare_texts
from electronhub_embeddings._codec.text_checks import refuse_other_kinds
from electronhub_embeddings._scheduling.progress import Progress
from electronhub_embeddings._session.batches_in_flight import BatchesInFlight, shift_positions
from electronhub_embeddings._session.progress_bar import REDRAW_INTERVAL, ProgressBar
from electronhub_embeddings.errors import ElectronHubError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from electronhub_embeddings._session.lifecycle import Lifecycle
    from electronhub_embeddings._workers.pending_call import PendingCall


def embed_iterable(
    lifecycle: Lifecycle,
    texts: Iterable[str],
    *,
    show_progress: bool = False,
    max_wait: float | None = None,
    timeout: float | None = None,
) -> Iterator[NDArray[np.float32]]:
    """Yield a vector for each text, and draw a progress bar meanwhile if `show_progress` is set.

    Args:
        lifecycle: The client's.
        texts: Read a few batches ahead of the vectors yielded.
        show_progress: Whether to draw a progress bar.
        max_wait: Seconds that each batch may wait for the limit; None: the client's option.
        timeout: Seconds that each batch may take in all; None: any number.
    """
    refuse_other_kinds(texts)
    progress = Progress(is_shown=show_progress)
    stream_with = partial(
        stream,
        texts,
        submit=lambda batch: lifecycle.connection().submit(
            prepare_texts(batch, lifecycle.options.document_prefix), progress, max_wait=max_wait, timeout=timeout
        ),
        batch_size=lifecycle.options.batch_size,
        ahead=lifecycle.options.max_concurrency,
    )
    if not show_progress:
        yield from stream_with()
        return
    with ProgressBar(progress) as bar:
        for vector in stream_with(look=bar.draw):
            bar.draw_now_and_then()
            yield vector


def stream(
    texts: Iterable[str],
    *,
    submit: Callable[[list[str]], PendingCall],
    batch_size: int,
    ahead: int,
    look: Callable[[], None] | None = None,
) -> Iterator[NDArray[np.float32]]:
    """Yield a vector for each text.

    Args:
        texts: Read at most `ahead + 1` batches ahead of the vectors yielded.
        submit: Checks a batch and submits it to the workers.
        batch_size: Texts in a batch.
        ahead: Batches in flight in addition to the one whose vectors are being yielded.
        look: Called every `REDRAW_INTERVAL` seconds while waiting for vectors, to draw a progress bar.
    """
    source = iter(texts)
    batches = BatchesInFlight(submit, ahead)
    try:
        while True:
            while batches.wants_more:
                batches.add(*read_batch(source, batch_size))
            if (oldest := batches.take()) is None:
                break
            offset, call = oldest
            try:
                rows: Iterable[NDArray[np.float32]] = (
                    call.result() if look is None else call.result(look, REDRAW_INTERVAL)
                )
            except ElectronHubError as error:
                raise _add_later_vectors(shift_positions(offset, error), batches) from error.__cause__
            yield from rows
    finally:
        batches.abandon()
    if batches.failure is not None:
        raise batches.failure


def read_batch(source: Iterator[str], size: int) -> tuple[list[str], Exception | None]:
    """Read a batch; if the source fails, return its error with the texts read before."""
    batch: list[str] = []
    try:
        batch.extend(islice(source, size))
    except Exception as error:  # noqa: BLE001 - raised after all earlier vectors are yielded
        return batch, error
    return batch, None


def _add_later_vectors(error: ElectronHubError, batches: BatchesInFlight[PendingCall]) -> ElectronHubError:
    """Withdraw the unsent texts of later batches, and add the vectors they have received to the error."""
    rest = dict(error.partial)
    for offset, call in batches.withdraw():
        try:
            rows: Iterable[NDArray[np.float32]] = call.result()
            rest.update(enumerate(rows, start=offset))
        except ElectronHubError as other:  # noqa: PERF203 - one iteration per batch
            rest.update(shift_positions(offset, other).partial)
    error.partial = rest
    return error
