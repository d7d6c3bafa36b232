"""The one line of an account to the service: a queue, its limiter, and the only threads of this package.

Laws of this module:
- A request is formed at the last moment: when a worker is free and a slot was taken, from what is waiting then.
- One worker at a time stands at the turnstile; the others are on the wire or wait behind it. Nobody sleeps elsewhere.
- A failed attempt puts its texts back into the line; no worker holds texts while it waits.
- A caller may carry its own query as a guest, and nothing else: whoever interrupts it interrupts nobody else.
- Stores are asked, and callers are woken, without the lock.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import uuid
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from electronhub_embeddings.courier import Courier
from electronhub_embeddings.errors import ElectronHubError
from electronhub_embeddings.gate import Gate
from electronhub_embeddings.lane import Lane
from electronhub_embeddings.request import Request
from electronhub_embeddings.standstill import Standstill
from electronhub_embeddings.telemetry import Tracer, describe, tell

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from electronhub_embeddings.courier import Outcome
    from electronhub_embeddings.job import Job
    from electronhub_embeddings.limits import Pause
    from electronhub_embeddings.settings import Account, Recipe
    from electronhub_embeddings.stores import RateLimitStore
    from electronhub_embeddings.usage import Usage

logger = logging.getLogger("electronhub_embeddings")

SWEEP = 5.0
"""Seconds between two looks for clients that were garbage collected, while there is nothing to do."""


class Line:
    """Carries the texts of all clients of one account to the service.

    Args:
        account: Whose requests these are.
        store: Where the limiter's window is kept.
        owns_store: Whether to close the store with the line.
    """

    def __init__(self, account: Account, store: RateLimitStore, *, owns_store: bool = False) -> None:
        self._account = account
        self.gate = Gate(store, owns_store=owns_store)
        self._changed = threading.Condition(threading.Lock())
        self._turnstile = threading.Lock()
        self._lanes: dict[Recipe, Lane] = {}
        self._workers: set[threading.Thread] = set()
        self._idle = 0
        self._resting = False
        """Whether the worker at the turnstile waits for texts."""
        self._guests: dict[threading.Thread, float] = {}
        """Until when the request of each can last: nobody waits longer for one that was interrupted."""
        self._lent = False
        """Whether a guest stands there in its place."""
        self._roused = False
        """Whether that worker wanted to go on meanwhile."""
        self._news = 0
        self._unforecast: list[tuple[Lane, Job]] = []
        self._last_start = float("-inf")
        self._standstill = Standstill()
        self._tracer = Tracer(account.base_url)
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
            jobs = [job for job in lane.jobs() if job.usage is usage or lane.clients == 0]
            done = [gone for job in jobs for gone in lane.fail(job, ElectronHubError("The client was closed."))]
            if lane.clients == 0:
                self._lanes.pop(lane.recipe, None)
                lane.close_if_done()
            deserted = not self._lanes
        self._wake(done)
        return deserted

    def submit(self, lane: Lane, job: Job, *, quietly: bool = False) -> None:
        """Put the texts of a call into the line; what of them is not sent yet when its future is cancelled never is.

        Args:
            lane: Where its texts go.
            job: The call.
            quietly: Tell no worker.

        Raises:
            ElectronHubError: The client is closed.
            RuntimeError: The system has no thread to carry them.
        """
        job.withdraw = partial(self._withdraw, lane, job)
        with self._changed:
            if lane.clients == 0:
                raise ElectronHubError("The client is closed.")
            self._hire()
            job.joined_at = self._standstill.total
            lane.join(job)
            impatient = self._standstill.explain(job)
            done = lane.fail(job, impatient) if impatient else []
            if job.max_wait is not None:
                self._unforecast.append((lane, job))
            if not quietly and (job.max_wait is not None or not self._standstill.lasts):
                self._notify()
        self._wake(done)

    def ask(self, lane: Lane, job: Job) -> None:
        """Put a query into the line, and carry it in this very thread if nothing stands in its way.

        To wake a worker, and to be woken by it, takes longer than all else that is ours of a query.

        Raises:
            BaseException: What interrupted this thread, Ctrl-C for one.
            ElectronHubError: The client is closed.
            RuntimeError: The system has no thread to carry it.
        """
        interruption = None
        try:
            if not self._come_in(lane):
                self.submit(lane, job)
            elif (request := self._enter(lane, job)) is not None:
                interruption = self._carry(request)
        finally:
            self._go()
        if interruption is not None:
            raise interruption

    def close(self, *, wait: bool) -> None:
        """Send the workers home; `wait` for the requests on the wire."""
        with self._changed:
            self._closed = True
            self._notify()
            here, abandoned = threading.current_thread(), not self._workers
            workers = [worker for worker in self._workers if here is not worker and here not in self._guests]
        for worker in workers if wait and not sys.is_finalizing() else ():
            worker.join()
        if abandoned:
            self.gate.close()

    def sweep(self) -> None:
        """Give back the tickets of clients that were garbage collected."""
        while self.forsaken:
            self.forsaken.popleft()()

    def _withdraw(self, lane: Lane, job: Job) -> None:
        with self._changed:
            done = lane.fail(job, ElectronHubError("The call was withdrawn."))
        self._wake(done)

    # The guests' side.

    def _come_in(self, lane: Lane) -> bool:
        """Take the place of the worker at the turnstile, if it rests and nothing waits."""
        here, now = threading.current_thread(), time.monotonic()
        with self._changed:
            if not self._resting or self._lent or here in self._guests:
                return False
            if self._anything_waits() or now < self._gathered():
                return False
            self._lent, self._roused = True, False
            self._guests[here] = now + Courier.lease(lane.recipe)
            self._idle += 1
            return True

    def _enter(self, lane: Lane, job: Job) -> Request | None:
        """Form a request from a query alone, and give the place back; None: it is left to the workers."""
        request = None
        try:
            self.submit(lane, job, quietly=True)
            _, request = self._attempt(lane, guest=job)
        finally:
            with self._changed:
                self._lent = False
                if self._roused or request is None:
                    self._notify()
        return request

    def _go(self) -> None:
        if threading.current_thread() in self._guests:
            with self._changed:
                del self._guests[threading.current_thread()]
                self._idle -= 1
                if self._closed:
                    self._notify()

    # The workers' side.

    def _hire(self) -> None:
        """See to it that a worker is free; if there are others, a system without threads only makes us slower."""
        if self._idle:
            return
        worker = threading.Thread(target=self._work, name="electronhub-line", daemon=True)
        try:
            worker.start()
        except RuntimeError:
            if not self._workers:
                raise
        else:
            self._workers.add(worker)
            self._idle += 1

    def _work(self) -> None:
        while self._serve():
            pass
        with self._changed:
            self._workers.discard(threading.current_thread())
            last = not self._workers
            while last and (left := max(self._guests.values(), default=0.0) - time.monotonic()) > 0:
                self._changed.wait(left)
        if last:
            self.gate.close()

    def _serve(self) -> bool:
        """Carry the next request; False: there is none any more.

        A worker that waits holds no request: the error of one knows the frames in which it was raised, and so a
        client that nobody else has any more.
        """
        request = self._next()
        if request is not None:
            self._carry(request)
        return request is not None

    def _next(self) -> Request | None:
        """Wait until there are texts and a free slot, and form a request. None: the line is closed."""
        with self._turnstile:
            while (lane := self._wait_for_texts()) is not None:
                news = self._news
                pause, request = self._attempt(lane)
                if request is not None:
                    return request
                if pause is not None:
                    self._wake(self._stand_still(pause, news))
        return None

    def _attempt(self, lane: Lane, *, guest: Job | None = None) -> tuple[Pause | None, Request | None]:
        """Take a slot and form a request; whoever calls this stands at the turnstile.

        Args:
            lane: The most urgent one.
            guest: The query of the guest, which is not to travel with others.

        Returns:
            Why there is no slot; the request, if there was one and it is wanted.
        """
        slot = uuid.uuid4().hex
        try:
            self._forecast()
            pause = self.gate.take(slot, lease=Courier.lease(lane.recipe), cap=self._cap())
        except Exception as error:  # noqa: BLE001 - the store is gone, and nobody may be left waiting
            self._fail_all(error)
            return None, None
        if pause is not None:
            return pause, None
        request = self._form(lane, slot, guest)
        if request is None:
            self.gate.settle(lambda window, _: window.give_back(slot))
        return None, request

    def _wait_for_texts(self) -> Lane | None:
        while True:
            self.sweep()
            with self._changed:
                if self._closed:
                    self._idle -= 1
                    return None
                if self._lent:
                    self._roused = True
                    if not self._changed.wait(SWEEP):
                        self._lent = False  # that guest was interrupted in the wrong microsecond, or takes very long
                    continue
                now = time.monotonic()
                gathered = self._gathered()
                lane = self._most_urgent()
                if lane is not None and (now >= gathered or lane.full):
                    return lane
                if lane is None:
                    self._standstill.end()
                dues = [due for lane in self._lanes.values() if (due := lane.next_due()) is not None]
                dues += [gathered] if lane is not None else []
                self._resting = True
                self._changed.wait(max(0.0, min([now + SWEEP, *dues]) - now))
                self._resting = False

    def _most_urgent(self) -> Lane | None:
        now, first, highest = time.monotonic(), None, (-1, 0)
        for lane in self._lanes.values():
            rank = lane.urgency(now)
            if rank is not None and rank > highest:
                first, highest = lane, rank
        return first

    def _gathered(self) -> float:
        """Tell when enough time has gone by since the last start for texts to have gathered."""
        return self._last_start + (self.gate.gap or 0.0)

    def _anything_waits(self) -> bool:
        return any(lane.waits for lane in self._lanes.values())

    def _cap(self) -> int | None:
        """Find the lowest limit that a client of the account asks for; it holds for all of them."""
        return min(
            (cap for lane in list(self._lanes.values()) if (cap := lane.recipe.requests_per_minute)), default=None
        )

    def _forecast(self) -> None:
        """Fail the calls of many requests whose last one cannot start within their `max_wait`, before the next does."""
        if not self._unforecast:
            return
        with self._changed:
            asked = [(lane, job, lane.starts_for(job)) for lane, job in self._unforecast if not job.failed]
            self._unforecast.clear()
        waits = self.gate.forecast([starts for *_, starts in asked], cap=self._cap()) if asked else []
        done: list[Job] = []
        with self._changed:
            if waits is None:
                self._unforecast += [(lane, job) for lane, job, _ in asked]
            for (lane, job, starts), wait in zip(asked, waits or (), strict=False):
                if impatient := self._standstill.too_long(job, wait, f"rate limit, {starts} requests"):
                    done += lane.fail(job, impatient)
        self._wake(done)

    def _stand_still(self, pause: Pause, news: int) -> list[Job]:
        """Wait for the limit, or until something has changed; return the calls that must not wait so long, failed."""
        with self._changed:
            self._standstill.begin(pause)
            waiting = [(lane, job) for lane in self._lanes.values() for job in lane.jobs()]
            done: list[Job] = []
            for lane, job in waiting:
                if impatient := self._standstill.explain(job):
                    done += lane.fail(job, impatient)
            if self._news == news and not done:
                self._changed.wait(self._standstill.next_look((job for _, job in waiting), self.gate.store.poll))
            return done

    def _form(self, lane: Lane, slot: str, guest: Job | None) -> Request | None:
        """Form the request that the slot was taken for; none, if its texts are gone or others more urgent."""
        with self._changed:
            self._standstill.end()
            wanted = self._most_urgent() is lane and (guest is None or lane.jobs() == [guest])
            pieces = lane.form(limited=self.gate.gap is not None) if wanted else []
            if not pieces:
                return None
            lane.flying += 1
            self._idle -= 1
            self._last_start = time.monotonic()
            if self._most_urgent() is not None:
                self._hire()
            return Request(lane, pieces, slot, lane.experience.encoding_format)

    def _carry(self, request: Request) -> BaseException | None:
        """Send a request, hand out what comes back, and settle its slot; return what interrupted this."""
        lane = request.lane
        outcome = lane.courier.carry(
            request.texts, request.encoding_format, lane.experience.width, partial(self._room, request)
        )
        for step in (self._deliver, self._record):
            try:
                step(request, outcome)
            except BaseException as bug:  # noqa: BLE001, PERF203 - no memory, say: the callers must hear of it
                outcome.blunder(bug)
        with self._changed:
            done = (
                request.land()
                if outcome.error is None
                else lane.take_back(request.pieces, outcome.error, request.encoding_format)
            )
            lane.flying -= 1
            lane.close_if_done()
            self._idle += 1
            if self._anything_waits():
                self._notify()
        self._wake(done)
        return outcome.interruption

    def _deliver(self, request: Request, outcome: Outcome) -> None:
        """Settle the slot, and hand out the rows."""
        self.gate.settle(partial(outcome.settle_slot, request.slot))
        with self._changed:
            request.learn(outcome)
        request.place(outcome)

    def _record(self, request: Request, outcome: Outcome) -> None:
        """Count the request, and tell of it."""
        with self._changed:
            request.count(outcome)
            stood = self._standstill.total
        if outcome.sent and request.observed:
            infos = describe(request, outcome, stood)
            self._tracer.record(request, outcome, infos)
            for job, info in infos:
                if job.on_request is not None:
                    tell(job.on_request, info)

    def _room(self, request: Request, count: int, width: int) -> np.ndarray:
        with self._changed:
            return request.room(count, width)

    def _fail_all(self, error: Exception) -> None:
        reason = ElectronHubError(f"The rate limit store failed: {error}")
        reason.__cause__ = error
        with self._changed:
            waiting = [(lane, job) for lane in self._lanes.values() for job in lane.jobs()]
            done = [gone for lane, job in waiting for gone in lane.fail(job, reason)]
        self._wake(done)

    def _wake(self, jobs: list[Job]) -> None:
        if not jobs:
            return
        with self._changed:
            for job in jobs:
                job.usage.seconds_waited += self._standstill.total - job.joined_at
        for job in jobs:
            job.resolve()

    def _notify(self) -> None:
        """Let the worker at the turnstile look again; the lock is held."""
        self._news += 1
        self._changed.notify()
