"""What each worker thread of an account runs (leader/followers): it asks the scheduler what to do, and does it.

Invariants:
- One worker leads at a time: it reads the inbox and asks the scheduler for the next action. Nobody waits or sends while
  leading. Idle workers wait for an event; one of them wakes, and leads.
- Whoever leaves texts waiting behind wakes another worker first, so that none waits beside a free slot.
- The scheduler is used only with its lock held. No I/O happens and no caller is woken while the lock is held.
- An idle worker keeps no reference to its last batch: the exception's traceback frames would keep the client alive.
"""

from __future__ import annotations

import logging
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from electronhub_embeddings._codec.result import unexpected_error
from electronhub_embeddings._config.secret import drop_frames
from electronhub_embeddings._scheduling.actions import AcquireSlot, CheckMaxWait, LookAhead, LookUp, Wait
from electronhub_embeddings._scheduling.scheduler import Scheduler
from electronhub_embeddings._workers.rate_limiter import new_slot

if TYPE_CHECKING:
    from collections.abc import Callable

    from electronhub_embeddings._scheduling.batch import Batch
    from electronhub_embeddings._scheduling.call import Call
    from electronhub_embeddings._workers.batch_sender import BatchSender
    from electronhub_embeddings._workers.event_inbox import Event, EventInbox
    from electronhub_embeddings._workers.rate_limiter import RateLimiter
    from electronhub_embeddings._workers.worker_threads import WorkerThreads

logger = logging.getLogger("electronhub_embeddings")


class WorkerLoop:
    """Runs the scheduler of an account in its worker threads.

    Args:
        limiter: The account's rate limiter.
        sender: Performs what takes long.
        inbox: The events of callers.
        threads: The threads, which all run this loop.
    """

    def __init__(self, limiter: RateLimiter, sender: BatchSender, inbox: EventInbox, threads: WorkerThreads) -> None:
        self.scheduler = Scheduler()
        """Used in events only: these are handled with the lock held."""
        self._limiter = limiter
        self._sender = sender
        self._inbox = inbox
        self._threads = threads
        self._lock = threading.Lock()
        self._leading = threading.Lock()
        self._next_slot = new_slot()
        """The name of the slot that the next request takes: the same while it waits, so that it keeps its place."""
        self._busy: set[int] = set()
        """Ids of the threads that perform an action. All others lead or wait for the lead."""

    @property
    def is_busy(self) -> bool:
        """Whether texts wait, are looked up or are on the wire."""
        return self.scheduler.is_waiting or bool(self._busy)

    def run(self) -> None:
        """Work until no client is left."""
        while self._work_safely():
            pass

    def _work_safely(self) -> bool:
        """Call `_work_once`. On an internal error, fail all waiting calls, so that no caller waits for ever."""
        try:
            return self._work_once()
        except BaseException as bug:  # noqa: BLE001 - for example MemoryError
            logger.error("a worker failed: %s", type(bug).__name__)  # noqa: TRY400 - the traceback's frames hold texts
            with self._lock:
                self._busy.discard(threading.get_ident())
                self.scheduler.fail_all(unexpected_error(bug), time.monotonic())
            return True

    def _work_once(self) -> bool:
        """Lead until there is an action, and perform it, or wait for an event; False: no client is left.

        Whoever has performed an action leads next, if nobody does: what callers wait for and what is to be done next
        take one locked section, and whoever is woken finds the GIL free.
        """
        with self._leading:
            work = self._lead()
        while work is not None:
            report = work()
            if report is None:
                return True
            if not self._leading.acquire(blocking=False):  # who leads may be asking a store
                self._report(report)
                return True
            try:
                work, report = self._lead(report), None
            finally:
                self._leading.release()
        self._inbox.wake()  # the next worker ends, too
        return False

    def _lead(self, event: Event | None = None) -> Callable[[], Event | None] | None:
        """Perform the scheduler's short actions; return the first long one, or None if no client is left.

        Args:
            event: The result of the action that this worker has performed.
        """
        while True:
            with self._lock:
                self._busy.discard(threading.get_ident())
                self._handle_events(event)
                action = self.scheduler.next_action(time.monotonic())
                is_idle = isinstance(action, Wait) and not (self._busy or self.scheduler.is_waiting)
                is_over = is_idle and not self.scheduler.has_clients
                if isinstance(action, LookUp):
                    self._busy.add(threading.get_ident())
                effects = self._take_effects()
            while effects:  # none is kept while the limiter is asked
                effects.pop(0)()
            if isinstance(action, LookUp):
                return partial(self._look_up, action.call)
            event = None
            if isinstance(action, AcquireSlot):
                batch = self._acquire_slot(action)
                if batch is not None:
                    return partial(self._send, batch)
            elif isinstance(action, (CheckMaxWait, LookAhead)):
                event = self._ask_limiter(action)
            elif is_over:
                return None
            else:
                return partial(self._inbox.wait, None if action.until is None else action.until - time.monotonic())

    def _find_successor(self) -> None:
        """Make sure that another worker leads while this one performs an action."""
        if len(self._busy) >= self._threads.count:
            try:
                self._threads.spawn()
            except RuntimeError:
                logger.warning("the system has no thread to send another request meanwhile")
            return
        with self._lock:
            is_waiting = self.scheduler.is_waiting
        if is_waiting:
            self._inbox.wake()

    def _handle_events(self, event: Event | None) -> None:
        """Pass all events to the scheduler; the lock must be held."""
        now = time.monotonic()
        if event is not None:
            event(now)
        for posted in self._inbox.take_all():
            posted(now)

    def _acquire_slot(self, action: AcquireSlot) -> Batch | None:
        """Acquire a slot and form the batch to send in that slot."""
        slot, batch = self._next_slot, None
        try:
            pause, linger = self._limiter.acquire(
                slot,
                max_duration=action.max_duration,
                cap=action.cap,
                interactive=action.interactive,
                documents=action.documents,
            )
        except Exception as error:  # noqa: BLE001 - if the store has failed, waiting calls must fail too
            self._next_slot = new_slot()
            with self._lock:
                self.scheduler.limiter_failed(drop_frames(error), time.monotonic())
            return None
        with self._lock:
            if pause is not None:
                self.scheduler.slot_denied(pause, self._limiter.keeper.store.poll, time.monotonic())
                return None
            self._next_slot = new_slot()
            self._handle_events(None)
            batch = self.scheduler.slot_granted(slot, linger, time.monotonic())
            if batch is not None:
                self._busy.add(threading.get_ident())
        if batch is None:
            self._limiter.release(slot)
        return batch

    def _ask_limiter(self, action: CheckMaxWait | LookAhead) -> Event:
        """Ask the limiter what is to come, without taking a slot."""
        try:
            if isinstance(action, LookAhead):
                return partial(self.scheduler.looked_ahead, self._limiter.look_ahead(action.cap))
            waits = self._limiter.minimum_waits(action.requests, cap=action.cap)
            return partial(self.scheduler.max_wait_checked, waits)
        except Exception as error:  # noqa: BLE001 - as above
            return partial(self.scheduler.limiter_failed, drop_frames(error))

    def _send(self, batch: Batch) -> Event:
        self._find_successor()
        return partial(self.scheduler.finished, batch, self._sender.send(batch))

    def _look_up(self, call: Call) -> Event:
        self._find_successor()
        return partial(self.scheduler.looked_up, call, self._sender.look_up(call))

    def _report(self, event: Event) -> None:
        """Pass the result of an action to the scheduler, and wake callers."""
        with self._lock:
            self._busy.discard(threading.get_ident())
            event(time.monotonic())
            effects = self._take_effects()
        del event
        for effect in effects:
            effect()

    def _take_effects(self) -> list[Callable[[], None]]:
        """Remove the effects that must be applied after the lock is released; the lock must be held."""
        effects = self.scheduler.take_effects()
        waking: list[Callable[[], None]] = []
        if effects.complete:  # first the report: a caller that looks at it afterwards finds its call there
            waking.append(partial(self._sender.report_waits, effects.complete))
            waking += [call.resolve for call in effects.complete]
        if effects.answered:
            waking += [inquiry.resolve for inquiry in effects.answered]
        return waking + self._sender.forget(effects.unused) if effects.unused else waking
