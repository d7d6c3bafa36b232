"""A submitted call, whose result a thread or a task waits for.

A thread waits on a plain lock, because an exception raised by a signal handler leaves a lock in a consistent state. A
`Future` or a `Condition` would stay locked, and the worker that resolves the call would hang.

A call that takes longer than its own `timeout` is left by its caller like one that is cancelled: its unsent texts are
withdrawn, and a request on the wire goes on, because other calls may share it and it is paid for.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from electronhub_embeddings._config.checks import check_timeout
from electronhub_embeddings._workers.account_workers import SIGNAL_INTERVAL
from electronhub_embeddings.errors import APITimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable

    from electronhub_embeddings._scheduling.call import Call
    from electronhub_embeddings._workers.account_workers import AccountWorkers


class SubmittedCall:
    """What waiting in a thread and in an event loop have in common.

    Args:
        call: The call.
        workers: The workers to which it is submitted.
        timeout: Seconds from now until the caller stops waiting; None: never.

    Raises:
        ValueError: `timeout` is out of range.
    """

    def __init__(self, call: Call, workers: AccountWorkers, timeout: float | None) -> None:
        self._call = call
        self._workers = workers
        self._timeout = timeout
        self._ends_at = math.inf if timeout is None else time.monotonic() + check_timeout("timeout", timeout)

    def submit(self) -> None:
        """Hand the texts over to the workers.

        Raises:
            RuntimeError: The system cannot start a thread.
        """
        try:
            self._workers.submit(self._call)
        except BaseException:  # perhaps raised by a signal handler, after the texts were handed over
            self.abandon()
            raise

    def withdraw(self) -> None:
        """Withdraw the unsent texts; the result holds the vectors received."""
        self._workers.withdraw(self._call)

    def abandon(self) -> None:
        """Withdraw the unsent texts, because the caller no longer waits for the result."""
        self._call.abandoned = True
        self._workers.withdraw(self._call)

    def _next_look(self, interval: float) -> float:
        """Return for how many seconds to wait before `interval` or the caller's time is over."""
        return max(0.0, min(interval, self._ends_at - time.monotonic()))

    def _check_time(self) -> None:
        """Raise the error of a call whose caller stops waiting now, unless the call has just ended."""
        if time.monotonic() >= self._ends_at and (received := self._call.partial()) is not None:
            error = APITimeoutError(
                f"The call did not end within its timeout of {self._timeout:g} s.",
                sent=self._call.was_sent,
                next_step="Embed what is missing from .partial, or allow a longer timeout.",
            )
            error.partial = received
            raise error


class PendingCall(SubmittedCall):
    """A call whose result a thread waits for."""

    def __init__(self, call: Call, workers: AccountWorkers, timeout: float | None = None) -> None:
        super().__init__(call, workers, timeout)
        self._done = threading.Lock()
        self._done.acquire()
        call.on_done = self._done.release

    def result(self, look: Callable[[], None] = lambda: None, interval: float = SIGNAL_INTERVAL) -> Any:
        """Wait for the result; an exception raised while waiting, such as KeyboardInterrupt, withdraws unsent texts.

        Args:
            look: Called every `interval` seconds while waiting, to draw a progress bar.
            interval: Seconds.

        Raises:
            ElectronHubError: Any error of `electronhub_embeddings.errors`.
        """
        try:
            while not self._done.acquire(timeout=self._next_look(interval)):
                look()
                self._check_time()
        except BaseException:
            self.abandon()
            raise
        return self._call.result()


class AsyncPendingCall(SubmittedCall):
    """A call whose result a task waits for; to be made in its event loop."""

    def __init__(self, call: Call, workers: AccountWorkers, timeout: float | None = None) -> None:
        super().__init__(call, workers, timeout)
        loop = asyncio.get_running_loop()
        self._done: asyncio.Future[None] = loop.create_future()
        call.on_done = partial(wake, loop, self._done)

    async def result(self, look: Callable[[], None] = lambda: None, interval: float = math.inf) -> Any:
        """Wait for the result; cancelling the task withdraws the unsent texts.

        Args:
            look: Called every `interval` seconds while waiting, to draw a progress bar.
            interval: Seconds; infinity: never.

        Raises:
            ElectronHubError: As in `PendingCall.result`.
        """
        try:
            while not self._done.done() and (seconds := self._next_look(interval)) < math.inf:
                await asyncio.wait([self._done], timeout=seconds)
                look()
                self._check_time()
            await self._done
        except BaseException:
            self.abandon()
            raise
        return self._call.result()


def wake(loop: asyncio.AbstractEventLoop, done: asyncio.Future[None]) -> None:
    """Wake the task that waits for `done`; called by a worker."""
    with suppress(RuntimeError):  # the loop is closed: no task is waiting
        loop.call_soon_threadsafe(_set_done, done)


def _set_done(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)
