"""The texts that may travel together: one lane of the line for each recipe. Touched with the line's lock held."""

from __future__ import annotations

import heapq
import logging
import math
import time
from collections import deque
from itertools import count
from typing import TYPE_CHECKING

from electronhub_embeddings.aftermath import Aftermath, Experience, sort_out
from electronhub_embeddings.packing import Capacity, Piece, take, take_one
from electronhub_embeddings.retrying import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

    from electronhub_embeddings.courier import Courier
    from electronhub_embeddings.errors import ElectronHubError
    from electronhub_embeddings.job import Job
    from electronhub_embeddings.settings import Recipe

logger = logging.getLogger("electronhub_embeddings")

SMALLEST_SPLIT = 64
"""Texts below which a request is not made smaller for the sake of more workers."""

SMALLEST_SHARE = 2
"""Nor is it made smaller than this part of what each worker would carry of the call: what is left is divided among all
workers, so the last requests would be many and small."""


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
        self._apart: dict[bool, list[list[Piece[Job]]]] = {True: [], False: []}
        self._later: list[tuple[float, int, Piece[Job]]] = []
        self._order = count()
        self._inputs = 0
        self._size = 0

    def join(self, job: Job) -> None:
        """Let all texts of a call that are not known already wait at the end of their queue."""
        piece = Piece(job, job.known, len(job.inputs.texts))
        self._queue(piece).append(piece)
        self._weigh([piece], 1)

    def rejoin(self, piece: Piece[Job], due: float) -> None:
        """Let texts of a failed request wait again, at the head of their queue, from the time `due` on."""
        heapq.heappush(self._later, (due, next(self._order), piece))

    def set_apart(self, requests: list[list[Piece[Job]]]) -> None:
        """Keep pieces as requests of their own, the first one first; with a query among them they rank as queries."""
        for pieces in reversed(requests):
            self._apart[any(piece.job.is_query for piece in pieces)].append(pieces)

    def next_due(self) -> float | None:
        """Tell when the next piece that pauses may travel again."""
        return self._later[0][0] if self._later else None

    def urgency(self, now: float) -> tuple[int, int] | None:
        """Rank what can go now: queries above documents, older ones above younger; None: nothing can.

        One of several places on the wire is kept for queries, so that ingestion never blocks search.
        """
        due = []
        while self._later and self._later[0][0] <= now:
            due.append(heapq.heappop(self._later)[2])
        for piece in reversed(due):
            self._queue(piece).appendleft(piece)
            self._weigh([piece], 1)
        places = self.recipe.max_concurrency
        for is_query, queue, limit in ((True, self._queries, places), (False, self._documents, max(1, places - 1))):
            apart = self._apart[is_query]
            if (queue or apart) and self.flying < limit:
                heads = [pieces[0] for pieces in (*apart[-1:], queue) if pieces]
                return int(is_query), -min(piece.job.number for piece in heads)
        return None

    @property
    def waits(self) -> bool:
        """Whether anything is waiting, whenever it may go."""
        return bool(self._queries or self._documents or self._later or any(self._apart.values()))

    @property
    def full(self) -> bool:
        """Whether what is waiting fills a request, so that nothing is gained by waiting for more."""
        capacity = self.experience.capacity
        apart = any(self._apart.values())
        return apart or self._inputs >= capacity.max_inputs or self._size >= capacity.max_bytes

    def starts_for(self, job: Job) -> int:
        """Count the requests, at least, until the last text of a call has left."""
        capacity, inputs, size, last = self.experience.capacity, 0, 0, 0
        for piece in self._queries if job.is_query else self._documents:
            inputs, size = inputs + len(piece), size + piece.size
            if piece.job is job:
                full = max(inputs / capacity.max_inputs, size / capacity.max_bytes if capacity.charged else 0.0)
                last = math.ceil(full)
        return last

    def form(self, *, limited: bool) -> list[Piece[Job]]:
        """Form one request from what is waiting: queries first, filled up with documents where requests are scarce.

        Args:
            limited: Whether a limit is in force. If not, queries travel alone, and documents are divided among
                the workers: a full request would only be slower.
        """
        self._take_out(lambda piece: piece.job.future.cancelled())
        if self._apart[True] or (self._apart[False] and not self._queries):
            return self._apart[bool(self._apart[True])].pop()
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
        call = len(self._documents[0].job.inputs.texts) if self._documents else 0
        return max(SMALLEST_SPLIT, -(-waiting // workers), call // (workers * SMALLEST_SHARE))

    def remove(self, job: Job, *, spare_apart: bool = False) -> list[Piece[Job]]:
        """Take out what waits of a call.

        Args:
            job: The call.
            spare_apart: Leave what was set apart: the call fails by another text, these may only have been refused
                for its company.
        """
        return self._take_out(lambda piece: piece.job is job, spare_apart=spare_apart)

    def fail(self, job: Job, error: ElectronHubError, *, spare_apart: bool = False) -> list[Job]:
        """Let a call fail and take out what waits of it; return it if nothing of it is under way any more."""
        job.fail(error)
        settled = [job.settle(piece) for piece in self.remove(job, spare_apart=spare_apart)]
        return [job] if any(settled) else []

    def take_back(self, pieces: list[Piece[Job]], error: ElectronHubError, encoding_format: str) -> list[Job]:
        """Take back the texts of a failed request that deserve another attempt; return the calls that are finished.

        Args:
            pieces: What the request carried.
            error: How it failed.
            encoding_format: How it asked for vectors.
        """
        logger.debug("attempt failed: %s", type(error).__name__)
        aftermath: Aftermath[Job] = Aftermath(failed=[(piece, error.for_caller()) for piece in pieces])
        if self.clients:  # else closed meanwhile: nothing is sent any more
            try:
                aftermath = sort_out(pieces, error, encoding_format, self.policy, self.experience)
            except Exception:  # a fault of ours in reading an error: its request fails as a whole, and is heard of
                logger.exception("an error could not be sorted out")
        self.set_apart(aftermath.apart)
        now, done = time.monotonic(), []
        for pause, piece in aftermath.again:
            if not piece.job.failed:
                self.rejoin(piece, now + pause)
            elif piece.job.settle(piece):
                done.append(piece.job)
        for piece, reason in aftermath.failed:
            finished = [piece.job] if piece.job.settle(piece) else []
            done += self.fail(piece.job, reason, spare_apart=True) or finished
        return done

    def jobs(self) -> list[Job]:
        """List the calls with texts that wait here, each once, in order."""
        apart = [piece for requests in self._apart.values() for pieces in reversed(requests) for piece in pieces]
        pieces = [*apart, *self._queries, *self._documents, *(piece for *_, piece in self._later)]
        return list(dict.fromkeys(piece.job for piece in pieces))

    def _take_out(self, unwanted: Callable[[Piece[Job]], bool], *, spare_apart: bool = False) -> list[Piece[Job]]:
        out = [piece for piece in (*self._queries, *self._documents) if unwanted(piece)]
        self._weigh(out, -1)
        out += [piece for *_, piece in self._later if unwanted(piece)]
        if out:
            self._queries = deque(piece for piece in self._queries if not unwanted(piece))
            self._documents = deque(piece for piece in self._documents if not unwanted(piece))
            self._later = [entry for entry in self._later if not unwanted(entry[2])]
            heapq.heapify(self._later)
        for is_query, requests in self._apart.items() if not spare_apart else ():
            out += [piece for pieces in requests for piece in pieces if unwanted(piece)]
            if requests:
                kept = ([piece for piece in pieces if not unwanted(piece)] for pieces in requests)
                self._apart[is_query] = [pieces for pieces in kept if pieces]
        return out

    def close_if_done(self) -> None:
        """Close the connections when no client is left and nothing is on the wire."""
        if self.clients == 0 and self.flying == 0:
            self.courier.close()

    def _weigh(self, pieces: list[Piece[Job]], sign: int) -> None:
        """Keep count of what is in the two queues."""
        for piece in pieces:
            self._inputs += sign * len(piece)
            self._size += sign * piece.size

    def _queue(self, piece: Piece[Job]) -> deque[Piece[Job]]:
        return self._queries if piece.job.is_query else self._documents
