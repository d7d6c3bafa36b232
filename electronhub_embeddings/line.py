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

from electronhub_embeddings.aftermath import sort_out
from electronhub_embeddings.courier import Courier
from electronhub_embeddings.errors import ElectronHubError, RateLimitError
from electronhub_embeddings.lane import Lane
from electronhub_embeddings.request import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from electronhub_embeddings.job import Job
    from electronhub_embeddings.limits import Pause, Window
    from electronhub_embeddings.packing import Piece
    from electronhub_embeddings.settings import Account, Recipe
    from electronhub_embeddings.stores import RateLimitStore
    from electronhub_embeddings.usage import Usage

logger = logging.getLogger("electronhub_embeddings")

LONG_WAIT = 5.0
"""Seconds from which on a wait for the limit is worth a line in the log."""

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
        self._stood = 0.0
        self._standing_since: float | None = None
        self._closed = False
        self.forsaken: deque[Callable[[], None]] = deque()
        """What to do for clients that were garbage collected. A finaliser may run anywhere, also inside our own
        locked sections, so it can only leave a note; appending to a deque takes no lock."""

    # The callers' side.

    def attach(self, recipe: Recipe) -> Lane:
        """Open the lane for a client's recipe; `detach` when the client is done."""
        with self._changed:
            if recipe not in self._lanes:
                self._lanes[recipe] = Lane(recipe, Courier(self._account, recipe))
            lane = self._lanes[recipe]
            lane.clients += 1
            return lane

    def detach(self, lane: Lane) -> bool:
        """Leave a lane; the last client takes it away. True: no client is left on the whole line."""
        with self._changed:
            lane.clients -= 1
            if lane.clients == 0:
                self._lanes.pop(lane.recipe, None)
                lane.close_if_done()
            return not self._lanes

    def submit(self, lane: Lane, job: Job) -> None:
        """Put the texts of a call into the line; cancelling its future takes out what was not sent yet."""
        job.withdraw = partial(self._withdraw, lane, job, "The call was withdrawn.")
        job.future.add_done_callback(lambda future: self._leave(lane, job) if future.cancelled() else None)
        with self._changed:
            job.joined_at = self._standstill()
            lane.join(job)
            self._hire()
            self._tell()

    def abandon(self, lane: Lane, usage: Usage) -> None:
        """Fail what still waits of a client that closes; what is on the wire is finished."""
        with self._changed:
            jobs = [job for job in lane.waiting_jobs() if job.usage is usage]
        for job in jobs:
            self._withdraw(lane, job, "The client was closed.")

    def close(self, *, wait: bool) -> None:
        """Send the workers home; `wait` for the requests on the wire."""
        with self._changed:
            self._closed = True
            self._tell()
            workers = [worker for worker in self._workers if worker is not threading.current_thread()]
        for worker in workers if wait else ():
            worker.join()
        self.store.close()

    def _withdraw(self, lane: Lane, job: Job, why: str) -> None:
        with self._changed:
            done = [job] if self._fail(lane, job, ElectronHubError(why)) else []
        self._wake(done)

    def _leave(self, lane: Lane, job: Job) -> None:
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
                except Exception as error:  # noqa: BLE001 - the store is gone, and nobody may be left waiting
                    self._fail_all(error)
                    continue
                if pause is not None:
                    self._wake(self._stand_still(pause, news))
                    continue
                if pieces := self._form(lane):
                    return Request(lane, pieces, slot)
                self.store.update(partial(self._give_back, slot=slot))
        return None

    def _wait_for_texts(self) -> Lane | None:
        while True:
            while self.forsaken:
                self.forsaken.popleft()()
            with self._changed:
                if self._closed:
                    self._idle -= 1
                    return None
                if (lane := self._most_urgent()) is not None:
                    return lane
                dues = [due for lane in self._lanes.values() if (due := lane.next_due()) is not None]
                self._changed.wait(min(SWEEP, max(0.0, min(dues) - time.monotonic())) if dues else SWEEP)

    def _most_urgent(self) -> Lane | None:
        now = time.monotonic()
        ranks = ((rank, lane) for lane in self._lanes.values() if (rank := lane.urgency(now)) is not None)
        return max(ranks, key=lambda ranked: ranked[0], default=(None, None))[1]

    @staticmethod
    def _give_back(window: Window, _now: float, *, slot: str) -> None:
        window.give_back(slot)

    def _start(self, window: Window, now: float, *, slot: str, recipe: Recipe) -> Pause | None:
        self._limited = window.probing or window.limit is not None or recipe.requests_per_minute is not None
        return window.start(now, slot, lease=Courier.lease(recipe), cap=recipe.requests_per_minute)

    def _stand_still(self, pause: Pause, news: int) -> list[Job]:
        """Wait for the limit, or until something has changed; return the calls that must not wait so long, failed."""
        with self._changed:
            if self._standing_since is None:
                self._standing_since = time.monotonic()
                if pause.seconds >= LONG_WAIT:
                    logger.info("%s: next request in %.0f s", pause.reason, pause.seconds)
            done, patience = [], pause.seconds or float("inf")
            for lane in self._lanes.values():
                for job in lane.waiting_jobs():
                    job.progress.standstill(pause)
                    if job.max_wait is None:
                        continue
                    left = job.max_wait - (self._standstill() - job.joined_at)
                    if left <= 0 or pause.seconds > left:
                        done += [job] if self._fail(lane, job, _too_long(job, pause)) else []
                    patience = min(patience, left)
            if self._news == news and not done:
                patience = min(patience, self.store.poll or patience)
                self._changed.wait(patience if patience < threading.TIMEOUT_MAX else None)
            return done

    def _form(self, lane: Lane) -> list[Piece[Job]]:
        """Form the request that the slot was taken for; nothing, if its texts are gone or others more urgent."""
        with self._changed:
            self._stood, self._standing_since = self._standstill(), None
            if self._most_urgent() is not lane:
                return []
            pieces = lane.form(limited=self._limited)
            if pieces:
                lane.flying += 1
                self._idle -= 1
                if self._most_urgent() is not None:
                    self._hire()
            return pieces

    def _carry(self, request: Request) -> None:
        """Send a request, hand out what comes back, and settle its slot."""
        lane = request.lane
        outcome = lane.courier.carry(request.texts, lane.experience)
        try:
            self.store.update(lambda window, now: outcome.account(request.slot, window, now))
        except Exception:
            logger.exception("the rate limit store failed")
        with self._changed:
            request.learn(outcome)
            request.count(outcome)
        if outcome.error is None:
            request.place(outcome)
        with self._changed:
            done = request.land() if outcome.error is None else self._sort_out(request, outcome.error)
            lane.flying -= 1
            lane.close_if_done()
            self._idle += 1
            self._tell()
        self._wake(done)

    def _sort_out(self, request: Request, error: ElectronHubError) -> list[Job]:
        """Send back into the line what deserves another attempt; return the calls that are finished: failed."""
        lane = request.lane
        aftermath = sort_out(request.pieces, error, lane.policy, lane.experience)
        logger.debug("attempt failed: %s", type(error).__name__)
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

    def _wake(self, jobs: Iterable[Job]) -> None:
        for job in jobs:
            job.resolve()

    def _tell(self) -> None:
        """Let the worker at the turnstile look again; the lock is held."""
        self._news += 1
        self._changed.notify()

    def _standstill(self) -> float:
        """Seconds that the line has stood waiting for the limit, all in all."""
        since = self._standing_since
        return self._stood + (time.monotonic() - since if since is not None else 0.0)


def _too_long(job: Job, pause: Pause) -> RateLimitError:
    message = f"The next request may start in {pause.seconds:.1f} s ({pause.reason}), max_wait is {job.max_wait:g} s."
    return RateLimitError(message, status_code=429, retry_after=pause.seconds)
