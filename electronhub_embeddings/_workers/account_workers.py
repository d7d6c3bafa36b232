"""The worker threads of one account (leader/followers): they run its scheduler and perform its actions.

Invariants:
- A caller's thread opens no file, sends nothing, and takes no lock but the account registry's, which is reentrant, at a
  client's first text. It puts an event into the inbox, starts the first worker if there is none, and waits for its
  call. An exception raised by a signal handler therefore leaves no inconsistent state and reaches the caller unchanged.
- One worker leads at a time: it reads the inbox and asks the scheduler for the next action. Nobody waits or sends while
  leading. Idle workers wait for an event; one of them wakes, and leads.
- Whoever leaves texts waiting behind wakes another worker first, so that none waits beside a free slot.
- The scheduler is used only with its lock held. No I/O happens and no caller is woken while the lock is held.
- An idle worker keeps no reference to its last batch: the exception's traceback frames would keep the client alive.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from electronhub_embeddings._codec.result import unexpected_error
from electronhub_embeddings._config.secret import drop_frames
from electronhub_embeddings._scheduling.actions import AcquireSlot, Forecast, LookUp, Wait
from electronhub_embeddings._scheduling.scheduler import Scheduler
from electronhub_embeddings._workers.batch_sender import BatchSender
from electronhub_embeddings._workers.event_inbox import EventInbox
from electronhub_embeddings._workers.rate_limiter import new_slot
from electronhub_embeddings._workers.worker_threads import WorkerThreads, is_worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from electronhub_embeddings._config.account import Account
    from electronhub_embeddings._scheduling.batch import Batch
    from electronhub_embeddings._scheduling.call import Attachment, Call
    from electronhub_embeddings._workers.event_inbox import Event
    from electronhub_embeddings._workers.rate_limiter import RateLimiter

logger = logging.getLogger("electronhub_embeddings")

SIGNAL_INTERVAL = 0.5
"""Seconds after which a waiting thread looks for signals: a signal that arrives just before the wait does not end it,
and Python would run its handler only afterwards."""

STATE_TIMEOUT = 5.0
"""Seconds to wait for the workers to say whether they have anything to do."""


class AccountWorkers:
    """Sends the texts of all clients of an account to the service.

    Threads are started on demand and end when the last client has closed. The next call starts new threads.

    Args:
        account: The account whose requests are sent.
        limiter: The account's rate limiter.
    """

    def __init__(self, account: Account, limiter: RateLimiter) -> None:
        self.limiter = limiter
        self.is_retired = False
        """Whether other workers have replaced these, with another store."""
        self._sender = BatchSender(account, limiter)
        self._scheduler = Scheduler()
        self._lock = threading.Lock()
        self._leading = threading.Lock()
        self._inbox = EventInbox()
        self._threads = WorkerThreads(self._work)
        self._next_slot = new_slot()
        """The name of the slot that the next request takes: the same while it waits, so that it keeps its place."""
        self._busy: set[int] = set()
        """Ids of the threads that perform an action. All others lead or wait for the lead."""
        self._when_gone: list[Callable[[], None]] = []
        """Callbacks for the end of the last thread."""

    # Called by callers' threads: a signal handler may interrupt any statement.

    def submit(self, call: Call) -> None:
        """Queue a call; `call.on_done` is called when the call has ended.

        Raises:
            RuntimeError: The system cannot start a thread.
        """
        self._post_and_start(partial(self._take_in, call))

    def withdraw(self, call: Call) -> None:
        """Remove the unsent texts of a call."""
        self._inbox.post(partial(self._scheduler.withdraw, call))

    def detach(self, attachment: Attachment, when_gone: Callable[[], None] | None = None) -> bool:
        """Detach a client; return whether `when_gone` is called, when no request is in flight or a client is left."""
        attachment.closed = True
        if when_gone is None or is_worker() or self.is_dormant or sys.is_finalizing():
            self._inbox.post(partial(self._scheduler.detach, attachment))
            return False
        with suppress(RuntimeError):  # the interpreter is shutting down: no worker can start, so do not wait for one
            self._post_and_start(partial(self._detach, attachment, when_gone))
            return True
        return False

    @property
    def is_dormant(self) -> bool:
        """Whether there is no worker, and therefore no client."""
        return self._threads.is_dormant

    def state(self) -> tuple[bool, bool]:
        """Return whether there are clients and whether there are calls, after all queued events were handled.

        The inbox is handled first so that clients that were garbage collected do not count. Workers that do not answer
        in time are busy, for example with a file.
        """
        answer: list[tuple[bool, bool]] = []
        answered = threading.Lock()
        answered.acquire()

        def answer_state(_: float) -> None:
            answer.append((self._scheduler.has_clients, self._scheduler.is_waiting or bool(self._busy)))
            answered.release()

        with suppress(RuntimeError):
            self._post_and_start(answer_state)
            deadline = time.monotonic() + STATE_TIMEOUT
            while not answered.acquire(timeout=SIGNAL_INTERVAL) and time.monotonic() < deadline:
                pass
        return answer[0] if answer else (True, True)

    def _post_and_start(self, event: Event) -> None:
        """Post an event that must be handled even if there is no worker yet."""
        self._inbox.post(event)
        self._threads.start_first()

    # Called by worker threads.

    def _work(self) -> None:
        while self._work_safely():
            pass
        if self._threads.leave():
            self._end()

    def _end(self) -> None:
        """Close connections and the store; if a call has arrived meanwhile, start a new worker."""
        self._sender.close()
        self.limiter.keeper.close()
        when_gone, self._when_gone = self._when_gone, []
        self._threads.become_dormant()
        for callback in when_gone:
            callback()
        if self._inbox:
            self._threads.start_first()

    def _work_safely(self) -> bool:
        """Call `_work_once`. On an internal error, fail all waiting calls, so that no caller waits for ever."""
        try:
            return self._work_once()
        except BaseException as bug:  # noqa: BLE001 - for example MemoryError
            logger.error("a worker failed: %s", type(bug).__name__)  # noqa: TRY400 - the traceback's frames hold texts
            with self._lock:
                self._busy.discard(threading.get_ident())
                self._scheduler.fail_all(unexpected_error(bug), time.monotonic())
            return True

    def _work_once(self) -> bool:
        """Lead until there is an action to perform, then perform it, or wait for an event; False: no client is left."""
        with self._leading:
            work = self._lead()
        if work is None:
            self._inbox.wake()  # the next worker ends, too
            return False
        work()
        return True

    def _lead(self) -> Callable[[], None] | None:
        """Perform the scheduler's short actions; return the first long one, or None if no client is left."""
        event: Event | None = None
        while True:
            with self._lock:
                self._handle_events(event)
                action = self._scheduler.next_action(time.monotonic())
                is_idle = isinstance(action, Wait) and not (self._busy or self._scheduler.is_waiting)
                is_over = is_idle and not self._scheduler.has_clients
                if isinstance(action, LookUp):
                    self._busy.add(threading.get_ident())
                effects = self._take_effects()
            _perform(effects)
            del effects
            if isinstance(action, LookUp):
                return partial(self._look_up, action.call)
            event = None
            if isinstance(action, AcquireSlot):
                batch = self._acquire_slot(action)
                if batch is not None:
                    return partial(self._send, batch)
            elif isinstance(action, Forecast):
                event = self._forecast(action)
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
            is_waiting = self._scheduler.is_waiting
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
            pause, linger = self.limiter.acquire(
                slot,
                max_duration=action.max_duration,
                cap=action.cap,
                interactive=action.interactive,
                documents=action.documents,
            )
        except Exception as error:  # noqa: BLE001 - if the store has failed, waiting calls must fail too
            self._next_slot = new_slot()
            with self._lock:
                self._scheduler.limiter_failed(drop_frames(error), time.monotonic())
            return None
        with self._lock:
            if pause is not None:
                self._scheduler.slot_denied(pause, self.limiter.keeper.store.poll, time.monotonic())
                return None
            self._next_slot = new_slot()
            self._handle_events(None)
            batch = self._scheduler.slot_granted(slot, linger, time.monotonic())
            if batch is not None:
                self._busy.add(threading.get_ident())
        if batch is None:
            self.limiter.release(slot)
        return batch

    def _forecast(self, action: Forecast) -> Event:
        try:
            waits = self.limiter.forecast(action.requests, cap=action.cap)
        except Exception as error:  # noqa: BLE001 - as above
            return partial(self._scheduler.limiter_failed, drop_frames(error))
        return partial(self._scheduler.forecast, waits)

    def _send(self, batch: Batch) -> None:
        self._find_successor()
        result = self._sender.send(batch)
        self._report(partial(self._scheduler.finished, batch, result))

    def _look_up(self, call: Call) -> None:
        self._find_successor()
        self._report(partial(self._scheduler.looked_up, call, self._sender.look_up(call)))

    def _report(self, event: Event) -> None:
        """Pass the result of an action to the scheduler, and wake callers; this worker leads next, if no other does."""
        with self._lock:
            self._busy.discard(threading.get_ident())
            event(time.monotonic())
            effects = self._take_effects()
        del event
        _perform(effects)

    def _take_in(self, call: Call, now: float) -> None:
        if call.cache is None:
            try:
                self._sender.prepare(call)
            except Exception as bug:  # noqa: BLE001 - for example MemoryError; the caller must receive an error
                call.fail(unexpected_error(bug))
        self._scheduler.submit(call, now)

    def _detach(self, attachment: Attachment, when_gone: Callable[[], None], now: float) -> None:
        self._scheduler.detach(attachment, now)
        if self._scheduler.has_clients:
            when_gone()
        else:
            self._when_gone.append(when_gone)

    def _take_effects(self) -> list[Callable[[], None]]:
        """Remove the effects that must be applied after the lock is released; the lock must be held."""
        effects = self._scheduler.take_effects()
        waking = [call.resolve for call in effects.complete]
        return waking + self._sender.forget(effects.unused) if effects.unused else waking


def _perform(effects: list[Callable[[], None]]) -> None:
    for effect in effects:
        effect()
