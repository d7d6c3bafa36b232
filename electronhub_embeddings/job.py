"""One call on its way: its texts, the rows that have come, and the future its caller waits on."""

from __future__ import annotations

from concurrent import futures
from contextlib import contextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from electronhub_embeddings.errors import ElectronHubError, InvalidResponseError
from electronhub_embeddings.telemetry import here

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from electronhub_embeddings.inputs import Inputs
    from electronhub_embeddings.packing import Piece
    from electronhub_embeddings.progress import Progress
    from electronhub_embeddings.usage import RequestInfo, Usage


_numbers = count()


class Job:
    """Collects the rows of one call.

    The line calls its methods with the lock held, except `place` and `resolve`; `wait` and `result` are the caller's.

    Args:
        inputs: The texts, checked.
        is_query: Whether it goes ahead of documents.
        max_wait: Seconds that it may stand waiting for the limit; None: as long as it takes.
        usage: The client's counters.
        progress: What is told as rows come in.
        known: float32 of shape (k, d): the rows of the first k texts, which need not be sent; None: there are none.
        keep: Called with `start`, `stop` and the rows of texts as they come, to keep them on disk.
        as_lists: Whether the caller wants lists of Python floats: rows are turned into lists as they come, while others
            are on the wire, for that takes longer than all else.
        on_request: Called for each request that carried texts of this call.
    """

    def __init__(
        self,
        inputs: Inputs,
        *,
        is_query: bool,
        max_wait: float | None,
        usage: Usage,
        progress: Progress,
        known: np.ndarray | None = None,
        keep: Callable[[int, int, np.ndarray], None] | None = None,
        as_lists: bool = False,
        on_request: Callable[[RequestInfo], None] | None = None,
    ) -> None:
        self.number = next(_numbers)
        self.inputs = inputs
        self.ends = inputs.ends
        self.is_query = is_query
        self.max_wait = max_wait
        self.usage = usage
        self.progress = progress
        self.on_request = on_request
        self.context = here()
        """Where the caller is, for OpenTelemetry."""
        self.joined_at = 0.0
        """Seconds that the line had stood waiting for the limit when this call joined it."""
        self.future: futures.Future[Any] = futures.Future()
        """An array, or lists where those were asked for."""
        self.withdraw: Callable[[], None] = _nothing
        """Let the call fail: what was not sent yet is taken out, what is on the wire still comes. Set by the line."""
        self.error: ElectronHubError | None = None
        self.known = 0 if known is None else len(known)
        self.outstanding = len(inputs.texts) - self.known
        self._keep = keep
        self._width: int | None = None
        self._rows: np.ndarray | None = None
        """What is returned. Where that is lists there is none: new memory has to be cleared before it can be used."""
        self._lists: list[list[float]] | None = [[] for _ in inputs.texts] if as_lists else None
        """Made empty and filled later: the garbage collector goes through all that new lists hold, time and again while
        more are made, and would take a third of the time."""
        self._done: list[tuple[int, int]] = []
        if known is not None:
            self.make_room(known.shape[1])
            self._put(0, self.known, known)
            self.progress.advance(self.known)

    @property
    def failed(self) -> bool:
        """Whether nothing more is worth a retry: the call has failed, or nobody waits for it any more."""
        return self.error is not None or self.future.cancelled()

    def wait(self, seconds: float) -> bool:
        """Wait a little; True: the call is finished."""
        return bool(futures.wait([self.future], seconds).done)

    def result(self) -> Any:
        """Wait for the rows, float32 of shape (len(inputs), d) or as many lists, or raise."""
        with self.cancelled_on_error():
            return self.future.result()

    @contextmanager
    def cancelled_on_error(self) -> Iterator[None]:
        """Take back what was not sent yet when whoever waits gives up, by Ctrl-C, say."""
        try:
            yield
        except BaseException:
            self.future.cancel()
            raise

    def make_room(self, width: int) -> None:
        """Make the array that all rows go into, when the first ones have come; the call fails if others were wider."""
        if self._width is None:
            if self._lists is None:
                self._rows = np.empty((len(self.inputs.texts), width), np.float32)
            self._width = width
        elif self._width != width:
            message = f"Vectors have {self._width} dimensions in the cache, {width} at the service: name a new cache."
            self.fail(InvalidResponseError(message))

    def place_of(self, piece: Piece[Job], width: int) -> np.ndarray | None:
        """Find the rows that belong to a piece; None: they are not as wide, or become lists."""
        return None if self._rows is None or self._width != width else self._rows[piece.start : piece.stop]

    def place(self, piece: Piece[Job], rows: np.ndarray) -> None:
        """Take the rows of a piece: on disk they are before another request starts for them."""
        if self._width == rows.shape[1]:
            if self._keep is not None:
                self._keep(piece.start, piece.stop, rows)
            self._put(piece.start, piece.stop, rows)

    def _put(self, start: int, stop: int, rows: np.ndarray) -> None:
        if self._lists is not None:
            for numbers, row in zip(self._lists[start:stop], rows, strict=True):
                numbers[:] = row.tolist()
        elif self._rows is not None and rows.base is not self._rows:
            self._rows[start:stop] = rows
        self._done.append((start, stop))

    def land(self, piece: Piece[Job]) -> bool:
        """Note that the rows of a piece are in place; True: the call is finished."""
        self.progress.advance(len(piece))
        return self.settle(piece)

    def fail(self, error: ElectronHubError) -> None:
        """Let the call fail; the first error counts. It is raised when nothing of the call is under way any more."""
        if self.error is None:
            index = error.index
            self.error = error.for_caller(None if index is None else self.inputs.first_input(index))

    def settle(self, piece: Piece[Job]) -> bool:
        """Note that nothing more comes for a piece; True: the call is finished."""
        self.outstanding -= len(piece)
        return self.outstanding == 0

    def resolve(self) -> None:
        """Wake the caller, with the rows or with the error and the rows that had come before it."""
        self.withdraw = _nothing  # it knows this job: a ring that would keep the rows until the garbage collector comes
        try:
            rows = self._arrange() if self.error is None else None
            partial = {} if self.error is None else self._partial()
        except Exception as bug:  # noqa: BLE001 - no memory, say: the caller must hear of it all the same
            self.error, partial = ElectronHubError(f"Unexpected {type(bug).__name__}: {bug}"), {}
            self.error.__cause__ = bug
        with suppress(futures.InvalidStateError):  # cancelled meanwhile: nobody waits
            if self.error is None:
                self.future.set_result(rows)
            else:
                self.error.partial = partial
                self.future.set_exception(self.error)

    def _arrange(self) -> np.ndarray | list[list[float]]:
        """Put the rows in the order of the inputs; equal inputs get a row each."""
        places = self.inputs.places
        if self._lists is not None:
            return self._lists if places is None else _spread(self._lists, places)
        rows = self._rows if self._rows is not None else np.empty((0, 0), np.float32)
        return rows if places is None else rows[np.asarray(places)]

    def _partial(self) -> dict[int, np.ndarray]:
        vectors = self._lists if self._rows is None else self._rows
        if vectors is None:
            return {}
        done = [i for start, stop in sorted(self._done) for i in range(start, stop)]
        rows = {i: np.asarray(vectors[i], np.float32) for i in done}
        places = self.inputs.places
        return rows if places is None else {i: rows[place] for i, place in enumerate(places) if place in rows}


def _spread(lists: list[list[float]], places: Sequence[int]) -> list[list[float]]:
    """Give each input its list; equal inputs get one each, so that whoever changes one does not change another."""
    spread: list[list[float]] = []
    given: set[int] = set()
    for place in places:
        spread.append(lists[place].copy() if place in given else lists[place])
        given.add(place)
    return spread


def _nothing() -> None:
    """Withdraw a call that is not in the line."""
