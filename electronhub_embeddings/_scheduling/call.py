"""A call: one list of texts that a caller waits for, and its progress."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, Protocol

from electronhub_embeddings._config.caller_warning import warn_caller
from electronhub_embeddings._rate_limit.wording import AFTER_BUG, AFTER_CLOSE
from electronhub_embeddings.errors import ElectronHubError, ModelChangedWarning
from electronhub_embeddings.usage import add_usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import numpy as np

    from electronhub_embeddings._codec.distinct_texts import TextInputs
    from electronhub_embeddings._config.request_config import RequestConfig
    from electronhub_embeddings._scheduling.drift_guard import DriftGuard, ModelChange
    from electronhub_embeddings._scheduling.progress import Progress
    from electronhub_embeddings.usage import RequestInfo, Usage

_numbers = count()


class Output(Protocol):
    """Where the vectors of a call are collected."""

    def place(self, start: int, stop: int, dimensions: int) -> np.ndarray | None:
        """Return the rows of texts `start` to `stop` (exclusive), to decode into; None: decode into a new array."""
        ...

    def put(self, start: int, stop: int, vectors: np.ndarray, *, keep: bool = True) -> None:
        """Store the vectors of texts `start` to `stop` (exclusive), in the cache as well if `keep` is set."""
        ...

    def forget_known(self) -> None:
        """Forget the cached vectors: those of the same texts are put again."""
        ...

    def result(self) -> Any:
        """Return the vectors in the order of the inputs."""
        ...

    def partial(self) -> Mapping[int, np.ndarray]:
        """Return the vectors that were finished before the call failed: input index -> vector."""
        ...


class NoOutput:
    """The output of a call that no worker has accepted yet."""

    def place(self, start: int, stop: int, dimensions: int) -> None:
        """Return None."""

    def put(self, start: int, stop: int, vectors: np.ndarray, *, keep: bool = True) -> None:
        """Raise an error: such a call never receives vectors."""
        raise NotImplementedError

    def forget_known(self) -> None:
        """Raise an error: such a call has no cached vectors."""
        raise NotImplementedError

    def result(self) -> None:
        """Return nothing."""

    def partial(self) -> Mapping[int, np.ndarray]:
        """Return nothing."""
        return {}


class Attachment:
    """One client's connection to the workers of its account: from its first text until it is closed.

    Args:
        config: The request configuration of the client.
        usage: The client's usage counters.
        guard: Tells whether the model is still the one that filled the client's cache; None: nobody looks.
        raises_on_change: Whether calls fail if it is not; otherwise they warn, and go on without the cache.
    """

    def __init__(
        self, config: RequestConfig, usage: Usage, guard: DriftGuard | None = None, *, raises_on_change: bool = False
    ) -> None:
        self.config = config
        self.usage = usage
        self.guard = guard
        self.raises_on_change = raises_on_change
        self.closed = False
        """Set before the workers are notified, so that they accept no later call of the client."""


def closed_error() -> ElectronHubError:
    """Return the error of a call whose client was closed before all of its texts were sent."""
    return ElectronHubError("The client was closed.", next_step=AFTER_CLOSE)


class Call:
    """The texts of one call and their state.

    The scheduler updates the counters. The caller's thread reads `result()`, after `on_done` was called, and may at any
    time set `abandoned` and call `partial`.

    Args:
        inputs: The validated texts.
        attachment: The client that makes the call.
        is_query: Whether the call is a query, which goes ahead of documents.
        max_wait: Seconds that the call may spend waiting for the limit; None: no limit.
        progress: The progress that a progress bar shows.
        as_lists: Whether the caller wants lists of Python floats instead of an array.
        cache: The cache for the vectors; None: no cache.
        on_request: Called with a `RequestInfo` after each request that carried texts of this call.
        trace_context: The caller's OpenTelemetry context.
        tracked: The counters of the blocks of `track_usage` that surround the caller.
        on_done: Called once, from a worker thread, when `result()` is available.
    """

    def __init__(
        self,
        inputs: TextInputs,
        attachment: Attachment,
        *,
        is_query: bool,
        max_wait: float | None,
        progress: Progress,
        as_lists: bool = False,
        cache: Any = None,
        on_request: Callable[[RequestInfo], None] | None = None,
        trace_context: Any = None,
        tracked: Iterable[Usage] = (),
        on_done: Callable[[], None] = lambda: None,
    ) -> None:
        self.number = next(_numbers)
        self.inputs = inputs
        self.attachment = attachment
        self.guard = attachment.guard
        self.is_query = is_query
        self.max_wait = max_wait
        self.progress = progress
        self.as_lists = as_lists
        self.cache = cache
        self.on_request = on_request
        self.trace_context = trace_context
        self.usages = (attachment.usage, *tracked)
        """All counters to which the call's usage is added, with `add_usage`."""
        self.on_done = on_done
        self.output: Output = NoOutput()
        self.known = 0
        """Number of texts, counted from the first, whose vectors came from the cache."""
        self.outstanding = len(inputs.texts)
        """Texts that are waiting or in flight."""
        self.error: ElectronHubError | None = None
        self.abandoned = False
        """Whether the caller no longer waits for the result."""
        self.withdrawn = False
        """Whether the unsent texts were withdrawn, so that no more texts of the call are sent."""
        self.blocked_before = 0.0
        """Seconds for which the scheduler was blocked by the limit while no text of the call was waiting."""
        self.waited = 0.0
        """Seconds that the call has waited for the limit; set when the call ends."""
        self.was_warned = False
        """Whether a long wait of the call was logged as a warning."""
        self.was_sent = False
        """Whether any text of the call was sent."""
        self.requests_in_flight = 0
        """Slices in flight; few batches hold more than one of a call."""
        self._in_flight = 0
        """Texts in flight."""
        self._blocked_when_sent = 0.0
        """Seconds for which the scheduler had been blocked when texts of the call were last sent."""
        self._result: Any = None
        self._is_resolved = False

    @property
    def failed(self) -> bool:
        """Whether the call's texts are no longer retried: the call has failed, or no caller waits for it."""
        return self.error is not None or self.is_over

    @property
    def is_over(self) -> bool:
        """Whether no further texts of the call are sent, not even for `.partial`."""
        return self.abandoned or self.withdrawn or self.attachment.closed

    @property
    def model_change(self) -> ModelChange | None:
        """The change of the model that was noticed with the client's cache; None: none, or nobody looks."""
        return None if self.guard is None else self.guard.change

    @property
    def mixes_models(self) -> bool:
        """Whether cached vectors of another model stand beside those that the service sends now."""
        return self.known > 0 and self.model_change is not None and not self.failed

    def count_known(self) -> None:
        """Count the texts with cached vectors as finished."""
        self._count_known(self.known)

    def forget_known(self) -> int:
        """Count the texts with cached vectors as outstanding again; return their number."""
        known, self.known = self.known, 0
        self.output.forget_known()
        self._count_known(-known)
        return known

    def _count_known(self, texts: int) -> None:
        self.outstanding -= texts
        self.progress.advance(texts)
        add_usage(self.usages, cache_hits=texts)

    def fail(self, error: ElectronHubError) -> None:
        """Record the error of the call, unless it has one; it is raised when none of its texts is outstanding."""
        if self.error is None:
            index = error.index
            self.error = error.for_caller(None if index is None else self.inputs.first_input(index))

    def note_sent(self, texts: int, blocked: float) -> None:
        """Record that texts were sent, when the scheduler had been blocked for `blocked` seconds in total."""
        self._in_flight += texts
        self.was_sent = True
        self.requests_in_flight += 1
        self._blocked_when_sent = blocked

    def note_returned(self, texts: int, blocked: float) -> None:
        """Record that texts are no longer in flight; a call with all texts in flight does not wait for the limit."""
        if self._in_flight == self.outstanding:
            self.blocked_before += blocked - self._blocked_when_sent
            self._blocked_when_sent = blocked
        self._in_flight -= texts
        self.requests_in_flight -= 1

    def finish(self, texts: int) -> bool:
        """Record that `texts` texts are finished; return whether the call is complete."""
        self.outstanding -= texts
        return self.outstanding == 0

    def resolve(self) -> None:
        """Assemble the result and wake the caller; called by a worker thread that holds no lock."""
        try:
            if self.error is None:
                self._result = self.output.result()
            else:
                self.error.partial = self.output.partial()
        except Exception as bug:  # noqa: BLE001 - for example MemoryError; the caller must receive an error
            self.error = ElectronHubError(f"Unexpected {type(bug).__name__}: {bug}", next_step=AFTER_BUG)
            self.error.__cause__ = bug
        self._is_resolved = True
        self.output = NoOutput()
        self.on_done()

    def partial(self) -> Mapping[int, np.ndarray] | None:
        """Return the vectors received so far; None: the call has just ended, and all that there is is its result."""
        received = self.output.partial()
        return None if self._is_resolved else received  # looked at last: the output is dropped after it is set

    def result(self) -> Any:
        """Return the vectors, or raise the error that the call ended with; warn if another model has made them.

        Raises:
            ElectronHubError: Any error in `electronhub_embeddings.errors`.
            ModelChangedWarning: The filters of `warnings` turn it into an exception.
        """
        if self.error is not None:
            error, self.error = self.error, None
            try:
                raise error
            finally:
                del error  # breaks a reference cycle with this frame that would keep all vectors alive
        if self.guard is not None and (change := self.guard.change) is not None:
            warn_caller(ModelChangedWarning(change.message))
        return self._result
