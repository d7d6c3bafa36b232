"""The workers of one account: callers hand their texts over to them, and the first text starts the first thread.

Invariants:
- A caller's thread opens no file, sends nothing, and takes no lock but the account registry's, which is reentrant, at a
  client's first text. It puts an event into the inbox, starts the first worker if there is none, and waits for its
  call. An exception raised by a signal handler therefore leaves no inconsistent state and reaches the caller unchanged.
- What callers ask for is done by the worker threads, which all run a `WorkerLoop`.
"""

from __future__ import annotations

import sys
import threading
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from electronhub_embeddings._codec.result import unexpected_error
from electronhub_embeddings._workers.batch_sender import BatchSender
from electronhub_embeddings._workers.event_inbox import EventInbox
from electronhub_embeddings._workers.worker_loop import WorkerLoop
from electronhub_embeddings._workers.worker_threads import WorkerThreads, is_worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from electronhub_embeddings._config.account import Account
    from electronhub_embeddings._scheduling.call import Attachment, Call
    from electronhub_embeddings._scheduling.inquiry import Inquiry
    from electronhub_embeddings._workers.event_inbox import Event
    from electronhub_embeddings._workers.rate_limiter import RateLimiter

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
        self._inbox = EventInbox()
        self._threads = WorkerThreads(self._work)
        self._loop = WorkerLoop(limiter, self._sender, self._inbox, self._threads)
        self._when_gone: list[Callable[[], None]] = []
        """Callbacks for the end of the last thread."""

    # Called by callers' threads: a signal handler may interrupt any statement.

    def submit(self, call: Call) -> None:
        """Queue a call; `call.on_done` is called when the call has ended.

        Raises:
            RuntimeError: The system cannot start a thread.
        """
        self._post_and_start(partial(self._take_in, call))

    def inquire(self, inquiry: Inquiry) -> None:
        """Have an inquiry answered; raises as `submit`."""
        self._post_and_start(partial(self._loop.scheduler.inquire, inquiry))

    def withdraw(self, call: Call) -> None:
        """Remove the unsent texts of a call."""
        self._inbox.post(partial(self._loop.scheduler.withdraw, call))

    def detach(self, attachment: Attachment, when_gone: Callable[[], None] | None = None) -> bool:
        """Detach a client; return whether `when_gone` is called, when no request is in flight or a client is left."""
        attachment.closed = True
        if when_gone is None or is_worker() or self.is_dormant or sys.is_finalizing():
            self._inbox.post(partial(self._loop.scheduler.detach, attachment))
            return False
        with suppress(RuntimeError):  # the interpreter is shutting down: no worker can start, so do not wait for one
            self._post_and_start(partial(self._detach, attachment, when_gone))
            return True
        return False

    @property
    def is_dormant(self) -> bool:
        """Whether there is no worker, and therefore no client."""
        return self._threads.is_dormant

    def depths(self) -> list[tuple[str, int]]:
        """Return the model and the number of waiting texts of each queue; takes no lock, and starts no worker."""
        return self._loop.scheduler.depths()

    def state(self) -> tuple[bool, bool]:
        """Return whether there are clients and whether there are calls, after all queued events were handled.

        The inbox is handled first so that clients that were garbage collected do not count. Workers that do not answer
        in time are busy, for example with a file.
        """
        answer: list[tuple[bool, bool]] = []
        answered = threading.Lock()
        answered.acquire()

        def answer_state(_: float) -> None:
            answer.append((self._loop.scheduler.has_clients, self._loop.is_busy))
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
        self._loop.run()
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

    def _take_in(self, call: Call, now: float) -> None:
        if call.cache is None:
            try:
                self._sender.prepare(call)
            except Exception as bug:  # noqa: BLE001 - for example MemoryError; the caller must receive an error
                call.fail(unexpected_error(bug))
        self._loop.scheduler.submit(call, now)
        self._tell_closers()

    def _detach(self, attachment: Attachment, when_gone: Callable[[], None], now: float) -> None:
        self._loop.scheduler.detach(attachment, now)
        self._when_gone.append(when_gone)
        self._tell_closers()

    def _tell_closers(self) -> None:
        """Let nobody wait for the end of the workers if they stay for another client."""
        if self._when_gone and self._loop.scheduler.has_clients:
            when_gone, self._when_gone = self._when_gone, []
            for callback in when_gone:
                callback()
