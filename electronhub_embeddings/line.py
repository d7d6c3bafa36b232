"""The one line of an account to the service: a queue, its limiter, and the only threads of this package.

Laws of this module:
- A request is formed at the last moment: when a worker is free and a slot was taken, from what is waiting then.
- One worker at a time stands at the turnstile; the others are on the wire or wait behind it. Nobody sleeps elsewhere.
- A failed attempt puts its texts back into the line; no worker holds texts while it waits.
- Stores are asked, and callers are woken, without the lock.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from electronhub_embeddings.aftermath import Aftermath, sort_out
from electronhub_embeddings.courier import Courier
from electronhub_embeddings.errors import ElectronHubError
from electronhub_embeddings.lane import Lane
from electronhub_embeddings.request import Request
from electronhub_embeddings.standstill import Standstill

if TYPE_CHECKING:
    from collections.abc import Callable

    from electronhub_embeddings.job import Job
    from electronhub_embeddings.limits import Pause, Window
    from electronhub_embeddings.settings import Account, Recipe
    from electronhub_embeddings.stores import RateLimitStore
    from electronhub_embeddings.usage import Usage

logger = logging.getLogger("electronhub_embeddings")

GATHER = 0.02
"""Share of the time that a slot is worth (the period over the limit: 12 s at 5 a minute) for which a request that is
not full waits for company, when another one has only just left. So 500 queries at once become two requests: the first
leaves at once, the others together."""

SWEEP = 5.0
"""Seconds between two looks for clients that were garbage collected, while there is nothing to do."""


class Line:
    """Carries the texts of all clients of one account to the service.

    Args:
        account: Whose requests these are.
        store: Where the limiter's window is kept; closed with the line.
    """

    def __init__(self, account: Account, store: RateLimitStore) -> None:
        self._account = account
        self.store = store
        self._changed = threading.Condition(threading.Lock())
        self._turnstile = threading.Lock()
        self._lanes: dict[Recipe, Lane] = {}
        self._workers: set[threading.Thread] = set()
        self._idle = 0
        self._news = 0
        self._limited = True
        self._gap = 0.0
        self._last_start = float("-inf")
        self._standstill = Standstill()
        self._closed = False
        self.forsaken: deque[Callable[[], None]] = deque()
        """What to do for clients that were garbage collected. A finaliser may run anywhere, also inside our own
        locked sections, so it can only leave a note; appending to a deque takes no lock."""

    # The callers' side.

    def attach(self, recipe: Recipe) -> Lane:
        """Open the lane for a client's recipe; `leave` it when the client is done."""
        with self._changed:
            if recipe not in self._lanes:
                self._lanes[recipe] = Lane(recipe, Courier(self._account, recipe))
            lane = self._lanes[recipe]
            lane.clients += 1
            return lane

    def leave(self, lane: Lane, usage: Usage) -> bool:
        """Leave a lane; a client's texts that still wait fail, those on the wire come. True: no client is left."""
        with self._changed:
            lane.clients -= 1
            jobs = [job for job in lane.waiting_jobs() if job.usage is usage or lane.clients == 0]
            done = [job for job in jobs if self._fail(lane, job, ElectronHubError("The client was closed."))]
            if lane.clients == 0:
                self._lanes.pop(lane.recipe, None)
                lane.close_if_done()
            deserted = not self._lanes
        self._wake(done)
        return deserted

    def submit(self, lane: Lane, job: Job) -> None:
        """Put the texts of a call into the line; cancelling its future takes out what was not sent yet.

        Raises:
            ElectronHubError: The client is closed.
        """
        job.withdraw = partial(self._withdraw, lane, job)
        job.future.add_done_callback(lambda future: self._take_out(lane, job) if future.cancelled() else None)
        with self._changed:
            if lane.clients == 0:
                raise ElectronHubError("The client is closed.")
            job.joined_at = self._standstill.total
            lane.join(job)
            self._hire()
            impatient = self._standstill.tell(job)
            done = [job] if impatient and self._fail(lane, job, impatient) else []
            if job.max_wait is not None or not self._standstill.lasts:
                self._tell()
        self._wake(done)

    def close(self, *, wait: bool) -> None:
        """Send the workers home; `wait` for the requests on the wire."""
        with self._changed:
            self._closed = True
            self._tell()
            workers = [worker for worker in self._workers if worker is not threading.current_thread()]
        for worker in workers if wait else ():
            worker.join()
        self.store.close()

    def _withdraw(self, lane: Lane, job: Job) -> None:
        with self._changed:
            done = [job] if self._fail(lane, job, ElectronHubError("The call was withdrawn.")) else []
        self._wake(done)

    def _take_out(self, lane: Lane, job: Job) -> None:
        with self._changed:
            lane.remove(job)
            self._tell()

    # The workers' side.

    def _hire(self) -> None:
        if self._idle == 0:
            worker = threading.Thread(target=self._work, name="electronhub-line", daemon=True)
            self._workers.add(worker)
            self._idle += 1
            worker.start()

    def _work(self) -> None:
        while (request := self._next()) is not None:
            self._carry(request)
        with self._changed:
            self._workers.discard(threading.current_thread())

    def _next(self) -> Request | None:
        """Wait until there are texts and a free slot, and form a request. None: the line is closed."""
        with self._turnstile:
            while (lane := self._wait_for_texts()) is not None:
                news, slot = self._news, uuid.uuid4().hex
                try:
                    pause = self.store.update(partial(self._start, slot=slot, recipe=lane.recipe))
                    if pause is not None:
                        self._wake(self._stand_still(pause, news))
                    elif request := self._form(lane, slot):
                        return request
                    else:
                        self.store.update(partial(self._give_back, slot=slot))
                except Exception as error:  # noqa: BLE001 - the store is gone, and nobody may be left waiting
                    self._fail_all(error)
        return None

    def _wait_for_texts(self) -> Lane | None:
        while True:
            while self.forsaken:
                self.forsaken.popleft()()
            with self._changed:
                if self._closed:
                    self._idle -= 1
                    return None
                now = time.monotonic()
                gathered = self._last_start + self._gap
                lane = self._most_urgent()
                if lane is not None and (now >= gathered or lane.full):
                    return lane
                dues = [due for lane in self._lanes.values() if (due := lane.next_due()) is not None]
                dues += [gathered] if lane is not None else []
                self._changed.wait(max(0.0, min([now + SWEEP, *dues]) - now))

    def _most_urgent(self) -> Lane | None:
        now = time.monotonic()
        ranks = ((rank, lane) for lane in self._lanes.values() if (rank := lane.urgency(now)) is not None)
        return max(ranks, key=lambda ranked: ranked[0], default=(None, None))[1]

    @staticmethod
    def _give_back(window: Window, _now: float, *, slot: str) -> None:
        window.give_back(slot)

    def _start(self, window: Window, now: float, *, slot: str, recipe: Recipe) -> Pause | None:
        limit = min(filter(None, (window.limit, recipe.requests_per_minute)), default=None)
        self._limited = window.probing or limit is not None
        self._gap = GATHER * window.period / limit if limit else 0.0
        return window.start(now, slot, lease=Courier.lease(recipe), cap=recipe.requests_per_minute)

    def _stand_still(self, pause: Pause, news: int) -> list[Job]:
        """Wait for the limit, or until something has changed; return the calls that must not wait so long, failed."""
        with self._changed:
            self._standstill.begin(pause)
            waiting = [(lane, job) for lane in self._lanes.values() for job in lane.waiting_jobs()]
            done = [
                job
                for lane, job in waiting
                if (impatient := self._standstill.tell(job)) and self._fail(lane, job, impatient)
            ]
            if self._news == news and not done:
                self._changed.wait(self._standstill.next_look((job for _, job in waiting), self.store.poll))
            return done

    def _form(self, lane: Lane, slot: str) -> Request | None:
        """Form the request that the slot was taken for; none, if its texts are gone or others more urgent."""
        with self._changed:
            self._standstill.end()
            pieces = lane.form(limited=self._limited) if self._most_urgent() is lane else []
            if not pieces:
                return None
            lane.flying += 1
            self._idle -= 1
            self._last_start = time.monotonic()
            if self._most_urgent() is not None:
                self._hire()
            return Request(lane, pieces, slot, lane.experience.encoding_format)

    def _carry(self, request: Request) -> None:
        """Send a request, hand out what comes back, and settle its slot."""
        lane = request.lane
        outcome = lane.courier.carry(request.texts, request.encoding_format, lane.experience.width)
        try:
            self.store.update(lambda window, now: outcome.account(request.slot, window, now))
            with self._changed:
                request.learn(outcome)
            request.place(outcome)
        except Exception as bug:  # noqa: BLE001 - a fault here must wake the callers, not strand them
            outcome.blunder(bug)
        with self._changed:
            request.count(outcome)
            done = request.land() if outcome.error is None else self._sort_out(request, outcome.error)
            lane.flying -= 1
            lane.close_if_done()
            self._idle += 1
            self._tell()
        self._wake(done)

    def _sort_out(self, request: Request, error: ElectronHubError) -> list[Job]:
        """Send back into the line what deserves another attempt; return the calls that are finished: failed."""
        lane = request.lane
        logger.debug("attempt failed: %s", type(error).__name__)
        aftermath = sort_out(request.pieces, error, request.encoding_format, lane.policy, lane.experience)
        if lane.clients == 0:  # closed meanwhile: nothing is sent any more
            aftermath = Aftermath(failed=[(piece, error) for piece in request.pieces])
        now = time.monotonic()
        lane.set_apart(aftermath.apart)
        done = []
        for pause, piece in aftermath.again:
            if not piece.job.failed:
                lane.rejoin(piece, now + pause)
            elif piece.job.give_up(piece):
                done.append(piece.job)
        for piece, reason in aftermath.failed:
            finished = piece.job.give_up(piece)
            if self._fail(lane, piece.job, reason) or finished:
                done.append(piece.job)
        return done

    def _fail(self, lane: Lane, job: Job, error: ElectronHubError) -> bool:
        """Let a call fail and take out what waits of it; True: nothing of it is under way, so it is finished."""
        job.fail(error)
        finished = False
        for piece in lane.remove(job):
            finished = job.give_up(piece)
        return finished

    def _fail_all(self, error: Exception) -> None:
        reason = ElectronHubError(f"The rate limit store failed: {error}")
        reason.__cause__ = error
        with self._changed:
            pairs = [(lane, job) for lane in self._lanes.values() for job in lane.waiting_jobs()]
            done = [job for lane, job in pairs if self._fail(lane, job, reason)]
        self._wake(done)

    def _wake(self, jobs: list[Job]) -> None:
        with self._changed:
            for job in jobs:
                job.usage.seconds_waited += self._standstill.total - job.joined_at
        for job in jobs:
            job.resolve()

    def _tell(self) -> None:
        """Let the worker at the turnstile look again; the lock is held."""
        self._news += 1
        self._changed.notify()
