"""Texts from any iterable in, vectors in the same order out, with a bounded number of batches in between."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

from electronhub_embeddings.errors import ElectronHubError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy as np

    from electronhub_embeddings.job import Job


def stream(
    texts: Iterable[str],
    *,
    submit: Callable[[list[str]], Job],
    batch_size: int,
    ahead: int,
) -> Iterator[np.ndarray]:
    """Yield a vector for each text.

    Args:
        texts: Read at most `ahead + 1` batches before their vectors are yielded.
        submit: Checks a batch and puts it into the line.
        batch_size: Texts in a batch.
        ahead: Batches under way beyond the one whose vectors are handed out.
    """
    source = iter(texts)
    under_way: deque[tuple[int, Job]] = deque()
    trouble: Exception | None = None
    read = 0
    try:
        while True:
            while trouble is None and len(under_way) <= ahead:
                batch, trouble = _read(source, batch_size)
                if not batch:
                    break
                try:
                    under_way.append((read, submit(batch)))
                except ElectronHubError as error:
                    trouble = _counted_from(read, error)
                read += len(batch)
            if not under_way:
                break
            offset, job = under_way.popleft()
            try:
                rows = job.result()
            except ElectronHubError as error:
                raise _with_the_rest(_counted_from(offset, error), under_way) from error.__cause__
            yield from rows
    finally:
        for _, job in under_way:
            job.future.cancel()
    if trouble is not None:
        raise trouble


def _read(source: Iterator[str], size: int) -> tuple[list[str], Exception | None]:
    """Read a batch; if the source fails, what it gave before is embedded first."""
    batch: list[str] = []
    try:
        batch.extend(islice(source, size))
    except Exception as error:  # noqa: BLE001 - raised again when all before it is yielded
        return batch, error
    return batch, None


def _counted_from(offset: int, error: ElectronHubError) -> ElectronHubError:
    """Let an error of one batch speak of positions in the whole iterable."""
    if error.index is not None:
        error.index += offset
    error.partial = {offset + i: vector for i, vector in error.partial.items()}
    return error


def _with_the_rest(error: ElectronHubError, under_way: deque[tuple[int, Job]]) -> ElectronHubError:
    """Add what later batches have got already; what was not sent of them is not sent any more."""
    for _, job in under_way:
        job.withdraw()
    rest = dict(error.partial)
    for offset, job in under_way:
        try:
            rest.update(enumerate(job.result(), start=offset))
        except ElectronHubError as other:  # noqa: PERF203 - a batch is no tight loop
            rest.update(_counted_from(offset, other).partial)
    error.partial = rest
    return error
