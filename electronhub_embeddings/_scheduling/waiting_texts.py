"""The waiting texts of a queue: queries, documents, and texts that pause before a retry."""

from __future__ import annotations

import heapq
import math
from collections import deque
from itertools import count
from typing import TYPE_CHECKING

from electronhub_embeddings._codec.reference_vector import REFERENCE_BYTES
from electronhub_embeddings._scheduling.batch import Slice, count_texts
from electronhub_embeddings._scheduling.batch_limits import BatchLimits, take, take_one

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from electronhub_embeddings._scheduling.call import Call

MIN_SPLIT = 64
"""Texts below which a batch is not made smaller for the sake of more connections."""

MIN_SHARE = 2
"""A batch is not smaller than this part of a call's fair share per connection: what is left is divided among all
connections, so the last batches would be many and small."""


class WaitingTexts:
    """Keeps slices in the order in which they leave: those of older calls first, whenever they came (back)."""

    def __init__(self) -> None:
        self.queries: deque[Slice] = deque()
        self.documents: deque[Slice] = deque()
        self._paused: list[tuple[float, int, Slice]] = []
        self._order = count()
        self._inputs = 0
        self._size = 0

    def __bool__(self) -> bool:
        return bool(self.queries or self.documents or self._paused)

    def __iter__(self) -> Iterator[Slice]:
        yield from self.queries
        yield from self.documents
        yield from (part for *_, part in self._paused)

    @property
    def depth(self) -> int:
        """The number of texts; may be read without the lock, because lists can be copied while they change."""
        return self._inputs + count_texts([part for *_, part in list(self._paused)])

    def add(self, call: Call) -> None:
        """Append a call's texts, except those whose vectors the cache knew."""
        part = Slice(call, call.known, len(call.inputs.texts))
        queue = self._queue(part)
        position = len(queue)
        while position and _age(queue[position - 1]) > _age(part):  # a lookup can let younger calls overtake
            position -= 1
        queue.insert(position, part)
        self._measure([part], 1)

    def put_back(self, part: Slice, due: float = -math.inf) -> None:
        """Requeue texts, to be sent at `due` or later."""
        heapq.heappush(self._paused, (due, next(self._order), part))

    def next_due(self) -> float | None:
        """Return when the next slice that pauses may leave; None: none pauses."""
        return self._paused[0][0] if self._paused else None

    def end_pauses(self, now: float) -> None:
        """Move slices whose pause is over to their place in the queue: near its head, for their calls are old."""
        due: list[Slice] = []
        while self._paused and self._paused[0][0] <= now:
            due.append(heapq.heappop(self._paused)[2])
        for part in sorted(due, key=_age, reverse=True):
            queue, position = self._queue(part), 0
            while position < len(queue) and _age(queue[position]) < _age(part):
                position += 1
            queue.insert(position, part)
            self._measure([part], 1)

    def batches_until_last(self, call: Call, limits: BatchLimits) -> int:
        """Return the minimum number of batches until the last waiting text of a call has been sent."""
        inputs, size, last = 0, 0, 0
        for part in self.queries if call.is_query else self.documents:
            inputs, size = inputs + len(part), size + part.size
            if part.call is call:
                by_size = size / limits.max_bytes if limits.observed else 0.0
                last = math.ceil(max(inputs / limits.max_inputs, by_size))
        return last

    def copy(self) -> WaitingTexts:
        """Return the same texts, those that pause with their pauses ended, so that they can be taken for a forecast."""
        copied = WaitingTexts()
        copied.queries, copied.documents = deque(self.queries), deque(self.documents)
        copied._paused = list(self._paused)
        copied._inputs, copied._size = self._inputs, self._size
        copied.end_pauses(math.inf)
        return copied

    def last_due(self, call: Call) -> float:
        """Return when the last pause of a call's texts ends; minus infinity: none pauses."""
        return max((due for due, _, part in self._paused if part.call is call), default=-math.inf)

    def fills(self, limits: BatchLimits) -> bool:
        """Say whether what waits fills a batch."""
        return self._inputs >= limits.max_inputs or self._size >= limits.max_bytes

    def document_batches(self, limits: BatchLimits) -> int:
        """Return how many requests the documents need, with the queries, if all texts had the average length."""
        full = max(self._inputs / limits.max_inputs, self._size / limits.max_bytes)
        return max(1, math.ceil(full)) if self.documents else 0

    def take(
        self, limits: BatchLimits, *, limited: bool, connections: int, hold_documents: bool, reserve: bool = False
    ) -> list[Slice]:
        """Take the texts of the next batch: queries first, filled up with documents where requests are scarce.

        Args:
            limits: What fits into one request.
            limited: Whether a limit is in force. Otherwise queries travel alone and documents are divided among the
                connections, because a full request would only be slower. Documents that were refused beside another
                text stay together all the same: their call has failed, and speed is of no use to it.
            connections: Requests with documents that can be on the wire at once.
            hold_documents: Whether documents must wait.
            reserve: Whether to leave room for the reference text.
        """
        inputs = limits.max_inputs - reserve
        size = limits.max_bytes - reserve * REFERENCE_BYTES
        documents = deque[Slice]() if hold_documents else self.documents
        slices = take(self.queries, inputs, size)
        if limited and slices:
            inputs -= count_texts(slices)
            size -= sum(part.size for part in slices)
            slices += take(documents, inputs, size)
        elif not slices and not self.queries:
            is_whole = limited or (documents and documents[0].refusals_beside)
            slices = take(documents, inputs if is_whole else min(inputs, self._portion(connections)), size)
        if not slices and (self.queries or documents):
            slices = take_one(self.queries or documents)
        self._measure(slices, -1)
        return slices

    def take_out(self, unwanted: Callable[[Slice], bool]) -> list[Slice]:
        """Remove and return texts that are no longer wanted."""
        out = [part for part in (*self.queries, *self.documents) if unwanted(part)]
        self._measure(out, -1)
        out += [part for *_, part in self._paused if unwanted(part)]
        if out:
            self.queries = deque(part for part in self.queries if not unwanted(part))
            self.documents = deque(part for part in self.documents if not unwanted(part))
            self._paused = [entry for entry in self._paused if not unwanted(entry[2])]
            heapq.heapify(self._paused)
        return out

    def _portion(self, connections: int) -> int:
        waiting = count_texts(self.documents)
        in_call = len(self.documents[0].call.inputs.texts)
        return max(MIN_SPLIT, -(-waiting // connections), in_call // (connections * MIN_SHARE))

    def _measure(self, slices: Iterable[Slice], sign: int) -> None:
        for part in slices:
            self._inputs += sign * len(part)
            self._size += sign * part.size

    def _queue(self, part: Slice) -> deque[Slice]:
        return self.queries if part.call.is_query else self.documents


def _age(part: Slice) -> tuple[int, int]:
    """Return what the order of slices is: older calls first, and the texts of a call in their order."""
    return part.call.number, part.start
