"""The texts that may travel together: one lane of the line for each recipe. Touched with the line's lock held."""

from __future__ import annotations

import heapq
from collections import deque
from itertools import count
from typing import TYPE_CHECKING

from electronhub_embeddings.aftermath import Experience
from electronhub_embeddings.packing import Capacity, Piece, take, take_one
from electronhub_embeddings.retrying import RetryPolicy

if TYPE_CHECKING:
    from electronhub_embeddings.courier import Courier
    from electronhub_embeddings.job import Job
    from electronhub_embeddings.settings import Recipe

SMALLEST_SPLIT = 64
"""Texts below which a request is not made smaller for the sake of more workers."""


class Lane:
    """Texts that wait for requests of one recipe, and what was learned from its answers."""

    def __init__(self, recipe: Recipe, courier: Courier) -> None:
        self.recipe = recipe
        self.courier = courier
        self.policy = RetryPolicy(recipe.max_retries)
        self.experience = Experience(Capacity(recipe.batch_size), recipe.encoding_format, width=recipe.dimensions)
        self.clients = 0
        """Clients that use this lane; without any it can go."""
        self.flying = 0
        """Requests on the wire."""
        self._queries: deque[Piece[Job]] = deque()
        self._documents: deque[Piece[Job]] = deque()
        self._apart: list[list[Piece[Job]]] = []
        self._later: list[tuple[float, int, Piece[Job]]] = []
        self._order = count()
        self._inputs = 0
        self._size = 0

    def join(self, job: Job) -> None:
        """Let all texts of a call wait at the end of their queue."""
        piece = Piece(job, 0, len(job.inputs.texts))
        self._queue(piece).append(piece)
        self._weigh([piece], 1)

    def rejoin(self, piece: Piece[Job], due: float) -> None:
        """Let texts of a failed request wait again, at the head of their queue, from the time `due` on."""
        heapq.heappush(self._later, (due, next(self._order), piece))

    def set_apart(self, requests: list[list[Piece[Job]]]) -> None:
        """Keep pieces as requests of their own, ahead of all others, the first one first."""
        self._apart += reversed(requests)

    def next_due(self) -> float | None:
        """Tell when the next piece that pauses may travel again."""
        return self._later[0][0] if self._later else None

    def urgency(self, now: float) -> tuple[int, int] | None:
        """Rank what can go now: queries and requests set apart above documents, older above younger; None: nothing.

        One of several places on the wire is kept for queries, so that ingestion never blocks search.
        """
        due = []
        while self._later and self._later[0][0] <= now:
            due.append(heapq.heappop(self._later)[2])
        for piece in reversed(due):
            self._queue(piece).appendleft(piece)
        self._weigh(due, 1)
        places = self.recipe.max_concurrency
        if self.flying < places and (self._apart or self._queries):
            return 2, -(self._apart[-1] if self._apart else self._queries)[0].job.number
        if self._documents and self.flying < max(1, places - 1):
            return 1, -self._documents[0].job.number
        return None

    @property
    def full(self) -> bool:
        """Whether what is waiting fills a request, so that nothing is gained by waiting for more."""
        capacity = self.experience.capacity
        return bool(self._apart) or self._inputs >= capacity.max_inputs or self._size >= capacity.max_bytes

    def form(self, *, limited: bool) -> list[Piece[Job]]:
        """Form one request from what is waiting: queries first, filled up with documents where requests are scarce.

        Args:
            limited: Whether a limit is in force. If not, queries travel alone, and documents are divided among
                the workers: a full request would only be slower.
        """
        if self._apart:
            return self._apart.pop()
        capacity = self.experience.capacity
        inputs, size = capacity.max_inputs, capacity.max_bytes
        pieces = take(self._queries, inputs, size)
        if limited and pieces:
            inputs -= sum(map(len, pieces))
            size -= sum(piece.size for piece in pieces)
            pieces += take(self._documents, inputs, size)
        elif not pieces and not self._queries:
            pieces = take(self._documents, inputs if limited else min(inputs, self._portion()), size)
        if not pieces and (self._queries or self._documents):
            pieces = take_one(self._queries or self._documents)
        self._weigh(pieces, -1)
        return pieces

    def _portion(self) -> int:
        workers = max(1, self.recipe.max_concurrency - 1)
        waiting = sum(map(len, self._documents))
        return max(SMALLEST_SPLIT, -(-waiting // workers))

    def remove(self, job: Job) -> list[Piece[Job]]:
        """Take out what waits of a call.

        What was set apart stays while somebody waits for it: it was refused only for the company it was in.
        """
        if job.future.cancelled():
            self._apart = [kept for ps in self._apart if (kept := [p for p in ps if p.job is not job])]
        removed = [piece for piece in (*self._queries, *self._documents) if piece.job is job]
        self._weigh(removed, -1)
        removed += [piece for *_, piece in self._later if piece.job is job]
        self._queries = deque(piece for piece in self._queries if piece.job is not job)
        self._documents = deque(piece for piece in self._documents if piece.job is not job)
        self._later = [entry for entry in self._later if entry[2].job is not job]
        heapq.heapify(self._later)
        return removed

    def waiting_jobs(self) -> list[Job]:
        """List the calls with texts that wait here, each once, in order."""
        pieces = [*(p for ps in reversed(self._apart) for p in ps), *self._queries, *self._documents]
        pieces += [piece for *_, piece in self._later]
        return list(dict.fromkeys(piece.job for piece in pieces))

    def close_if_done(self) -> None:
        """Close the connections when no client is left and nothing is on the wire."""
        if self.clients == 0 and self.flying == 0:
            self.courier.close()

    def _weigh(self, pieces: list[Piece[Job]], sign: int) -> None:
        """Keep count of what is in the two queues."""
        self._inputs += sign * sum(map(len, pieces))
        self._size += sign * sum(piece.size for piece in pieces)

    def _queue(self, piece: Piece[Job]) -> deque[Piece[Job]]:
        return self._queries if piece.job.is_query else self._documents
