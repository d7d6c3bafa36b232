"""The actions that workers perform without the lock: send a batch and store its vectors, or look up cached vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from electronhub_embeddings._codec.result import Result, unexpected_error
from electronhub_embeddings._config.import_lock import importing
from electronhub_embeddings._workers.drift_check import check_model, uses_cache
from electronhub_embeddings._workers.memory_pool import MemoryPool
from electronhub_embeddings._workers.metrics import IS_MEASURED
from electronhub_embeddings._workers.telemetry import Telemetry
from electronhub_embeddings.errors import ElectronHubError, InvalidResponseError, ModelChangedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy as np

    from electronhub_embeddings._config.account import Account
    from electronhub_embeddings._config.request_config import RequestConfig
    from electronhub_embeddings._http.api_client import ApiClient
    from electronhub_embeddings._scheduling.batch import Batch
    from electronhub_embeddings._scheduling.call import Call
    from electronhub_embeddings._workers.rate_limiter import RateLimiter


MIN_POOLED_TEXTS = 32
"""Smallest batch that takes memory of the pool: a query must not wait until documents have become lists."""


class BatchSender:
    """Performs the batches and cache lookups of one account. Thread-safe."""

    def __init__(self, account: Account, limiter: RateLimiter) -> None:
        self._account = account
        self._limiter = limiter
        self._telemetry = Telemetry(account.base_url)
        self._memory = MemoryPool()
        self._api_clients: dict[RequestConfig, ApiClient] = {}

    def send(self, batch: Batch) -> Result:
        """Send a batch, complete its slot, check the model and store the vectors; never raises."""
        result, allocation = Result(), _Allocation(batch, self._memory)
        try:
            result = self._api_client(batch.config).send(batch.texts, batch.encoding_format, allocation.allocate)
        except BaseException as bug:  # noqa: BLE001 - every error must reach the callers
            result.error = unexpected_error(bug)
        self._limiter.complete(batch.slot, result)
        for step in (_store_vectors, self._telemetry.report):  # a request is reported even if its vectors are lost
            try:
                step(batch, result)
            except BaseException as bug:  # noqa: BLE001, PERF203 - for example MemoryError
                result.error = result.error or unexpected_error(bug)
        result.vectors = None  # the memory will hold others
        if allocation.block is not None:
            self._memory.give_back(allocation.block)
        return result

    def report_waits(self, calls: Iterable[Call]) -> None:
        """Report how long calls that have ended have waited for the limit."""
        if IS_MEASURED:
            self._telemetry.metrics.record_waits(calls)

    def prepare(self, call: Call) -> None:
        """Create the output of a call that uses no cache."""
        from electronhub_embeddings._codec.vector_output import VectorOutput  # noqa: PLC0415 - numpy: at the first text

        call.output = VectorOutput(call.inputs, as_lists=call.as_lists)

    def look_up(self, call: Call) -> ElectronHubError | None:
        """Look up a call's texts in its cache; return the error if the lookup failed."""
        try:
            from electronhub_embeddings._codec.vector_output import VectorOutput  # noqa: PLC0415 - as above

            if not uses_cache(call.attachment, call.cache):
                self.prepare(call)
                return None
            recalled = call.cache.recall(call.inputs)
            call.inputs = recalled.inputs
            call.output = output = VectorOutput(recalled.inputs, as_lists=call.as_lists, keep=recalled.keep)
            if recalled.rows is not None:
                output.put_known(recalled.rows)
                call.known = len(recalled.rows)
        except ElectronHubError as error:
            return error
        except BaseException as bug:  # noqa: BLE001 - as above
            return unexpected_error(bug)
        return None

    def forget(self, unused: Iterable[RequestConfig]) -> list[Callable[[], None]]:
        """Forget the API clients of unused request configurations; return the functions that close them."""
        gone = [client for config in unused if (client := self._api_clients.pop(config, None)) is not None]
        return [client.close for client in gone]

    def close(self) -> None:
        """Close all connections."""
        for close in self.forget(list(self._api_clients)):
            close()

    def _api_client(self, config: RequestConfig) -> ApiClient:
        client = self._api_clients.get(config)
        if client is None:
            with importing:  # two threads that import at once could see a module that failed halfway
                from electronhub_embeddings._http.api_client import ApiClient  # noqa: PLC0415 - httpx: at the first text

            # setdefault is atomic; if two threads race, the discarded client has not opened a connection yet
            client = self._api_clients.setdefault(config, ApiClient(self._account, config))
        return client


class _Allocation:
    """The array that a batch is decoded into: the output of its call, or memory of the pool if that is not possible."""

    def __init__(self, batch: Batch, pool: MemoryPool) -> None:
        self._batch = batch
        self._pool = pool
        self.block: memoryview | None = None
        """The memory of the pool, to give back after the vectors are stored."""

    def allocate(self, count: int, dimensions: int) -> np.ndarray:
        """Return an array, float32 of shape (count, dimensions); waits if it takes memory that others have."""
        import numpy as np  # noqa: PLC0415 - as above

        first, *others = self._batch.slices
        if not others and self._batch.reference_for is None:
            rows = first.call.output.place(first.start, first.stop, dimensions)
            if rows is not None:
                return rows
        if count < MIN_POOLED_TEXTS:
            return np.empty((count, dimensions), np.float32)
        self.block = self._pool.take(4 * count * dimensions)
        return np.ndarray((count, dimensions), np.float32, self.block)


def _store_vectors(batch: Batch, result: Result) -> None:
    """Store the vectors of a batch in the outputs of its calls, after the model was checked.

    If vectors of a call do not match those in its cache, only that call fails.
    """
    if result.vectors is None or result.error is not None:
        return
    if batch.reference_for is not None:
        result.vectors = check_model(batch, result.vectors)
    position = 0
    for part in batch.slices:
        call, vectors = part.call, result.vectors[position : position + len(part)]
        position += len(part)
        change = None if call.guard is None else call.guard.change  # inline: each query comes here
        if change is not None and call.attachment.raises_on_change:
            call.fail(ModelChangedError(change.message))
            continue
        if change is not None:
            call.output.forget_known()
        try:
            call.output.put(part.start, part.stop, vectors, keep=change is None and not batch.is_unchecked)
        except InvalidResponseError as error:
            call.fail(error)
