"""Connects a client to the workers of its account; callers wait in a thread or in an event loop.

A thread waits on a plain lock, because an exception raised by a signal handler leaves a lock in a consistent state. A
`Future` or a `Condition` would stay locked, and the worker that resolves the call would hang.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from contextlib import closing, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from electronhub_embeddings._config.import_lock import importing
from electronhub_embeddings._config.secret import reveal, without_frames
from electronhub_embeddings._scheduling.call import Attachment, Call
from electronhub_embeddings._scheduling.inquiry import Inquiry
from electronhub_embeddings._workers.account_registry import workers_of
from electronhub_embeddings._workers.account_workers import SIGNAL_INTERVAL
from electronhub_embeddings._workers.price_request import ask_price
from electronhub_embeddings._workers.telemetry import current_context
from electronhub_embeddings._workers.worker_threads import is_worker
from electronhub_embeddings.errors import ElectronHubError
from electronhub_embeddings.rate_limit_stores import is_replaceable

if TYPE_CHECKING:
    from collections.abc import Callable

    from electronhub_embeddings._codec.text_preparation import TextInputs
    from electronhub_embeddings._config.options import Options
    from electronhub_embeddings._progress_bar import Progress
    from electronhub_embeddings._scheduling.job_forecast import JobForecast
    from electronhub_embeddings._storage.vector_cache import VectorCache
    from electronhub_embeddings._workers.account_workers import AccountWorkers
    from electronhub_embeddings.usage import Usage


class Connection:
    """Submits a client's texts to the workers of its account.

    Args:
        options: The client's options.
        usage: The client's counters.
        cache: The client's vector cache, or None.

    Raises:
        StoreConflictError: Other clients of the account use another rate limit store.
    """

    def __init__(self, options: Options, usage: Usage, cache: VectorCache | None) -> None:
        self._options = options
        self._cache = cache
        self._attachment = Attachment(options.request_config, usage)
        self._workers = _find_workers(options)

    def close_with(self, owner: object) -> None:
        """Close the connection when its owner is garbage collected."""
        weakref.finalize(owner, self._workers.detach, self._attachment).atexit = False

    @property
    def is_retired(self) -> bool:
        """Whether other workers have replaced those of this connection, or should do so.

        They should if another client has named a store that does not work, and this one has named none.
        """
        names_store = self._options.rate_limit_store is not None
        return self._workers.is_retired or (
            not names_store and is_replaceable(self._workers.limiter.keeper.store, None, None)
        )

    def submit(
        self, inputs: TextInputs, progress: Progress, *, is_query: bool = False, as_lists: bool = False
    ) -> PendingCall:
        """Submit texts; a thread waits for the result with `PendingCall.result`.

        Raises:
            ElectronHubError: The current thread is a worker, which would wait for itself.
            RuntimeError: The system cannot start a thread.
        """
        call = self._call(inputs, progress, is_query=is_query, as_lists=as_lists)
        pending = PendingCall(call, self._workers)
        self._submit(call)
        return pending

    def forecast(self, inputs: TextInputs) -> JobForecast:
        """Return what texts would need if they were submitted now; the calling thread waits.

        Raises:
            ElectronHubError: The rate limiter's store failed, or the current thread is a worker.
            RuntimeError: The system cannot start a thread.
        """
        if is_worker():
            raise _own_worker()
        done = threading.Lock()
        done.acquire()
        inquiry = Inquiry(inputs, self._attachment.config, done.release)
        self._workers.inquire(inquiry)
        while not done.acquire(timeout=SIGNAL_INTERVAL):
            pass
        return inquiry.result()

    def price(self) -> float | None:
        """Ask the service for the price of a million tokens; None: it names none. Raises as `ask_price`."""
        with importing:
            from electronhub_embeddings._http.api_client import ApiClient  # noqa: PLC0415 - httpx is slow to import

        options, config = self._options, self._attachment.config
        with closing(ApiClient(options.account, config)) as api_client:
            return ask_price(
                api_client.model_price,
                self._workers.limiter,
                max_duration=config.max_duration,
                cap=config.requests_per_minute,
                max_wait=options.max_wait,
            )

    async def embed(
        self,
        inputs: TextInputs,
        progress: Progress,
        *,
        is_query: bool = False,
        as_lists: bool = False,
        look: Callable[[], None] = lambda: None,
        interval: float | None = None,
    ) -> Any:
        """Submit texts and wait for the result in an event loop; cancelling the task withdraws the unsent texts.

        Args:
            inputs: The texts.
            progress: The counters that a progress bar displays.
            is_query: Whether the texts go ahead of documents.
            as_lists: Whether to return lists instead of an array.
            look: Called every `interval` seconds while waiting, to draw a progress bar.
            interval: Seconds; None: never.

        Raises:
            ElectronHubError: As in `submit`, or the error that the call has ended with.
        """
        call = self._call(inputs, progress, is_query=is_query, as_lists=as_lists)
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        call.on_done = partial(_wake, loop, done)
        try:
            self._submit(call)
            while interval is not None and not done.done():
                await asyncio.wait([done], timeout=interval)
                look()
            await done
        except BaseException:
            call.abandoned = True
            self._workers.withdraw(call)
            raise
        return call.result()

    def close(self, *, wait: bool = True) -> None:
        """Detach from the workers; with `wait`, and if no other client is left, wait for the requests in flight."""
        if not wait:
            self._workers.detach(self._attachment)
            return
        gone = threading.Lock()
        gone.acquire()
        if self._workers.detach(self._attachment, gone.release):
            while not gone.acquire(timeout=SIGNAL_INTERVAL):
                pass

    async def aclose(self) -> None:
        """Detach from the workers; if no other client is left, wait in the event loop for the requests in flight."""
        loop = asyncio.get_running_loop()
        gone: asyncio.Future[None] = loop.create_future()
        if self._workers.detach(self._attachment, partial(_wake, loop, gone)):
            await gone

    def _call(self, inputs: TextInputs, progress: Progress, *, is_query: bool, as_lists: bool) -> Call:
        return Call(
            inputs,
            self._attachment,
            is_query=is_query,
            max_wait=self._options.max_wait,
            progress=progress,
            as_lists=as_lists,
            cache=self._cache,
            on_request=self._options.on_request,
            trace_context=current_context(),
        )

    def _submit(self, call: Call) -> None:
        if is_worker():
            raise _own_worker()
        self._workers.submit(call)


class PendingCall:
    """A submitted call whose result a thread waits for."""

    def __init__(self, call: Call, workers: AccountWorkers) -> None:
        self._call = call
        self._workers = workers
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
            while not self._done.acquire(timeout=interval):
                look()
        except BaseException:
            self.abandon()
            raise
        return self._call.result()

    def withdraw(self) -> None:
        """Withdraw the unsent texts; the result holds the vectors received."""
        self._workers.withdraw(self._call)

    def abandon(self) -> None:
        """Withdraw the unsent texts, because the caller no longer waits for the result."""
        self._call.abandoned = True
        self._workers.withdraw(self._call)


def _own_worker() -> ElectronHubError:
    return ElectronHubError(
        "A text cannot be embedded inside on_request: the worker that calls it would wait for itself. "
        "Hand the text over to another thread, and do not wait for it there."
    )


@without_frames
def _find_workers(options: Options) -> AccountWorkers:
    return workers_of(options.account, reveal(options.rate_limit_store))


def _wake(loop: asyncio.AbstractEventLoop, done: asyncio.Future[None]) -> None:
    """Wake the task that waits for `done`; called by a worker."""
    with suppress(RuntimeError):  # the loop is closed: no task is waiting
        loop.call_soon_threadsafe(_set_done, done)


def _set_done(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)
