"""Embeds the texts of an iterable and yields their vectors in order, with a bounded number of calls in flight."""

from __future__ import annotations

from collections import deque
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from electronhub_embeddings._progress_bar import REDRAW_INTERVAL, Progress, ProgressBar
from electronhub_embeddings.errors import ElectronHubError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy as np

    from electronhub_embeddings._codec.text_preparation import TextInputs
    from electronhub_embeddings._session.lifecycle import Lifecycle
    from electronhub_embeddings._workers.connection import PendingCall


def embed_iterable(
    lifecycle: Lifecycle,
    texts: Iterable[str],
    prepare: Callable[[Iterable[str]], TextInputs],
    *,
    show_progress: bool = False,
) -> Iterator[np.ndarray]:
    """Yield a vector for each text, and draw a progress bar meanwhile if `show_progress` is set.

    Args:
        lifecycle: The client's.
        texts: Read a few batches ahead of the vectors yielded.
        prepare: Checks and prefixes the texts of a batch.
        show_progress: Whether to draw a progress bar.
    """
    if isinstance(texts, (str, bytes)):
        prepare(texts)  # raises: a single string is a mistake, not an iterable of characters
    progress = Progress(is_shown=show_progress)
    stream_with = partial(
        stream,
        texts,
        submit=lambda batch: lifecycle.connection().submit(prepare(batch), progress),
        batch_size=lifecycle.options.batch_size,
        ahead=lifecycle.options.max_concurrency,
    )
    if not show_progress:
        yield from stream_with()
        return
    with ProgressBar(progress, None) as bar:
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
) -> Iterator[np.ndarray]:
    """Yield a vector for each text.

    Args:
        texts: Read at most `ahead + 1` batches ahead of the vectors yielded.
        submit: Checks a batch and submits it to the workers.
        batch_size: Texts in a batch.
        ahead: Batches in flight in addition to the one whose vectors are being yielded.
        look: Called every `REDRAW_INTERVAL` seconds while waiting for vectors, to draw a progress bar.
    """
    source = iter(texts)
    in_flight: deque[tuple[int, PendingCall]] = deque()
    failure: Exception | None = None
    read = 0
    try:
        while True:
            while failure is None and len(in_flight) <= ahead:
                batch, failure = _read(source, batch_size)
                if not batch:
                    break
                try:
                    in_flight.append((read, submit(batch)))
                except ElectronHubError as error:
                    failure = _shift_positions(read, error)
                read += len(batch)
            if not in_flight:
                break
            offset, call = in_flight.popleft()
            try:
                rows = call.result() if look is None else call.result(look, REDRAW_INTERVAL)
            except ElectronHubError as error:
                raise _add_later_vectors(_shift_positions(offset, error), in_flight) from error.__cause__
            yield from rows
    finally:
        for _, call in in_flight:
            call.abandon()
    if failure is not None:
        raise failure


def _read(source: Iterator[str], size: int) -> tuple[list[str], Exception | None]:
    """Read a batch; if the source fails, return its error with the texts read before."""
    batch: list[str] = []
    try:
        batch.extend(islice(source, size))
    except Exception as error:  # noqa: BLE001 - raised after all earlier vectors are yielded
        return batch, error
    return batch, None


def _shift_positions(offset: int, error: ElectronHubError) -> ElectronHubError:
    """Convert the positions in a batch's error to positions in the whole iterable."""
    if error.index is not None:
        error.index += offset
    error.partial = {offset + i: vector for i, vector in error.partial.items()}
    return error


def _add_later_vectors(error: ElectronHubError, in_flight: deque[tuple[int, PendingCall]]) -> ElectronHubError:
    """Withdraw the unsent texts of later batches, and add the vectors they have received to the error."""
    for _, call in in_flight:
        call.withdraw()
    rest = dict(error.partial)
    for offset, call in in_flight:
        try:
            rows: Iterable[np.ndarray] = call.result()
            rest.update(enumerate(rows, start=offset))
        except ElectronHubError as other:  # noqa: PERF203 - one iteration per batch
            rest.update(_shift_positions(offset, other).partial)
    error.partial = rest
    return error
