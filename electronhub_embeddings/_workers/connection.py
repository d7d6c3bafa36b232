"""Connects a client to the workers of its account."""

from __future__ import annotations

import asyncio
import threading
import weakref
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from electronhub_embeddings._config.checks import check_max_wait
from electronhub_embeddings._config.import_lock import importing
from electronhub_embeddings._config.secret import reveal, without_frames
from electronhub_embeddings._scheduling.call import Attachment, Call
from electronhub_embeddings._scheduling.inquiry import Inquiry
from electronhub_embeddings._workers.account_registry import visit, workers_of
from electronhub_embeddings._workers.account_workers import SIGNAL_INTERVAL
from electronhub_embeddings._workers.drift_check import guard_of, uses_cache
from electronhub_embeddings._workers.pending_call import AsyncPendingCall, PendingCall, wake
from electronhub_embeddings._workers.price_request import ask_price
from electronhub_embeddings._workers.telemetry import current_context
from electronhub_embeddings._workers.worker_threads import is_worker
from electronhub_embeddings.errors import ElectronHubError
from electronhub_embeddings.rate_limit_stores import is_replaceable
from electronhub_embeddings.usage import tracked_usages

if TYPE_CHECKING:
    from collections.abc import Callable

    from electronhub_embeddings._codec.distinct_texts import TextInputs
    from electronhub_embeddings._config.options import Options
    from electronhub_embeddings._rate_limit.limit_status import LimitStatus
    from electronhub_embeddings._scheduling.job_forecast import JobForecast
    from electronhub_embeddings._scheduling.progress import Progress
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
        guard = None if cache is None or options.on_model_change == "ignore" else guard_of(cache)
        raises = options.on_model_change == "raise"
        self._attachment = Attachment(options.request_config, usage, guard, raises_on_change=raises)
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
        self,
        inputs: TextInputs,
        progress: Progress,
        *,
        is_query: bool = False,
        as_lists: bool = False,
        max_wait: float | None = None,
        timeout: float | None = None,
    ) -> PendingCall:
        """Submit texts; a thread waits for the result with `PendingCall.result`.

        Args:
            inputs: The texts.
            progress: The counters that a progress bar displays.
            is_query: Whether the texts go ahead of documents.
            as_lists: Whether to return lists instead of an array.
            max_wait: Seconds that the call may wait for the limit; None: the client's option.
            timeout: Seconds after which the caller stops waiting; None: never.

        Raises:
            ValueError: `max_wait` or `timeout` is out of range.
            ElectronHubError: The current thread is a worker, which would wait for itself.
            RuntimeError: The system cannot start a thread.
        """
        call = self._call(inputs, progress, is_query=is_query, as_lists=as_lists, max_wait=max_wait)
        pending = PendingCall(call, self._workers, timeout)
        pending.submit()
        return pending

    def submit_async(
        self,
        inputs: TextInputs,
        progress: Progress,
        *,
        is_query: bool = False,
        as_lists: bool = False,
        max_wait: float | None = None,
        timeout: float | None = None,
    ) -> AsyncPendingCall:
        """Submit texts; a task waits for the result with `AsyncPendingCall.result`. Otherwise the same as `submit`."""
        call = self._call(inputs, progress, is_query=is_query, as_lists=as_lists, max_wait=max_wait)
        pending = AsyncPendingCall(call, self._workers, timeout)
        pending.submit()
        return pending

    @property
    def cache_in_use(self) -> VectorCache | None:
        """The cache in which texts are looked up now; None: there is none, or another model has filled it.

        Raises:
            CacheError: The cache cannot be read.
            ModelChangedError: Another model has filled it, and the client wants an error.
        """
        cache = self._cache
        return cache if cache is not None and uses_cache(self._attachment, cache) else None

    def forecast(self, inputs: TextInputs, weight: float) -> JobForecast:
        """Return what texts of a weight would need if they were submitted now; the calling thread waits.

        Raises:
            ElectronHubError: The rate limiter's store failed, or the current thread is a worker.
            RuntimeError: The system cannot start a thread.
        """
        if is_worker():
            raise _own_worker()
        done = threading.Lock()
        done.acquire()
        inquiry = Inquiry(inputs, weight, self._attachment, done.release)
        self._workers.inquire(inquiry)
        while not done.acquire(timeout=SIGNAL_INTERVAL):
            pass
        return inquiry.result()

    def price(self, is_given_up: Callable[[], bool] = lambda: False) -> float | None:
        """Ask the service for the price of a million tokens; None: it names none. Raises as `ask_price`.

        Args:
            is_given_up: Tells whether nobody waits for the price any more.
        """
        with importing:
            from electronhub_embeddings._http.api_client import ApiClient  # noqa: PLC0415 - httpx is slow to import

        options, config = self._options, self._attachment.config
        with closing(ApiClient(options.account, config)) as api_client, visit(self._workers) as limiter:
            return ask_price(
                api_client.model_price,
                limiter,
                max_duration=config.max_duration,
                cap=config.requests_per_minute,
                max_wait=options.max_wait,
                is_given_up=lambda: self._attachment.closed or is_given_up(),
            )

    def limit_status(self) -> LimitStatus:
        """Return what is known of the limit; reads the store in this thread, and raises its exceptions."""
        with visit(self._workers) as limiter:
            return limiter.status(cap=self._options.requests_per_minute)

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
        if self._workers.detach(self._attachment, partial(wake, loop, gone)):
            await gone

    def _call(
        self, inputs: TextInputs, progress: Progress, *, is_query: bool, as_lists: bool, max_wait: float | None
    ) -> Call:
        if is_worker():
            raise _own_worker()
        return Call(
            inputs,
            self._attachment,
            is_query=is_query,
            max_wait=self._options.max_wait if max_wait is None else check_max_wait("max_wait", max_wait),
            progress=progress,
            as_lists=as_lists,
            cache=self._cache,
            on_request=self._options.on_request,
            trace_context=current_context(),
            tracked=tracked_usages.get(),
        )


def _own_worker() -> ElectronHubError:
    return ElectronHubError(
        "A text cannot be embedded inside on_request: the worker that calls it would wait for itself. "
        "Hand the text over to another thread, and do not wait for it there."
    )


@without_frames
def _find_workers(options: Options) -> AccountWorkers:
    return workers_of(options.account, reveal(options.rate_limit_store))
