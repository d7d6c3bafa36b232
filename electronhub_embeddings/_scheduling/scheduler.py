"""The scheduler of one account: a state machine that decides which texts are sent next, and when.

Events go in, actions come out, and time is an argument. The workers call `next_action`, perform the action without
holding a lock, and report its result:

    submit, inquire, withdraw, detach             requests of callers
    looked_up, looked_ahead, forecast, slot_granted, slot_denied, limiter_failed, finished     results of actions
    take_effects                                  calls to wake, and configurations that are no longer used

Invariants:
- A batch is formed as late as possible: when its slot is granted, from the texts that are waiting then.
- For every batch that `slot_granted` returns, `finished` is called exactly once.
- Every submitted call appears exactly once in `Effects.complete`, with its vectors or with one error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from electronhub_embeddings._scheduling.actions import AcquireSlot, Effects, Forecast, LookAhead, LookUp, Wait
from electronhub_embeddings._scheduling.batch import Slice
from electronhub_embeddings._scheduling.cache_lookups import CacheLookups
from electronhub_embeddings._scheduling.max_wait import LimitWait
from electronhub_embeddings._scheduling.request_queues import RequestQueues
from electronhub_embeddings._scheduling.wait_forecasts import WaitForecasts
from electronhub_embeddings._scheduling.watchers import Watchers
from electronhub_embeddings._usage_tracking import add_usage
from electronhub_embeddings._wording import AFTER_CLOSE, AFTER_STORE_FAILURE, counted
from electronhub_embeddings.errors import ElectronHubError, RateLimitError

if TYPE_CHECKING:
    from electronhub_embeddings._codec.result import Result
    from electronhub_embeddings._rate_limit.outlook import Outlook
    from electronhub_embeddings._rate_limit.sliding_window import Pause
    from electronhub_embeddings._scheduling.batch import Batch
    from electronhub_embeddings._scheduling.call import Attachment, Call
    from electronhub_embeddings._scheduling.inquiry import Inquiry
    from electronhub_embeddings._scheduling.request_queue import RequestQueue


class Scheduler:
    """Decides for all clients of an account. It never waits, sends or reads a clock."""

    def __init__(self) -> None:
        self._queues = RequestQueues()
        self._lookups = CacheLookups()
        self._limit_wait = LimitWait()
        self._forecasts = WaitForecasts()
        self._watchers = Watchers()
        self._last_start = float("-inf")
        self._linger: float | None = None
        """Seconds for which a batch that is not full lingers after the previous one; None: no limit applies."""
        self._effects = Effects()

    @property
    def has_clients(self) -> bool:
        """Whether any client is attached."""
        return any(queue.attachments for queue in self._queues)

    @property
    def is_waiting(self) -> bool:
        """Whether any text, or anybody who has inquired, is waiting."""
        return (
            bool(self._watchers.inquiries)
            or self._lookups.is_waiting
            or any(queue.is_waiting for queue in self._queues)
        )

    def depths(self) -> list[tuple[str, int]]:
        """Return the model and the number of waiting texts of each queue; may be called without the lock."""
        return [(queue.config.model, queue.depth) for queue in self._queues.snapshot()]

    def take_effects(self) -> Effects:
        """Return the effects to apply without the lock, and reset them."""
        effects, self._effects = self._effects, Effects()
        return effects

    # Requests of callers.

    def submit(self, call: Call, now: float) -> None:
        """Queue the texts of a call; a client is attached at its first call."""
        call.blocked_before = self._limit_wait.total(now)
        if call.attachment.closed:
            call.fail(ElectronHubError("The client is closed.", next_step=AFTER_CLOSE))
        if call.error is not None:
            self._complete([call], now)
            return
        self._queues.attach(call.attachment)
        if call.cache is not None:
            self._lookups.add(call)
        else:
            self._enqueue(call, now)

    def inquire(self, inquiry: Inquiry, _: float) -> None:
        """Take an inquiry, which is answered at once."""
        self._watchers.inquire(inquiry)

    def withdraw(self, call: Call, now: float) -> None:
        """Withdraw the unsent texts of a call; texts in flight are finished."""
        self._fail(call, ElectronHubError("The call was withdrawn."), now)

    def detach(self, attachment: Attachment, now: float) -> None:
        """Detach a client: its waiting texts fail, and its texts in flight are finished."""
        queue = self._queues.get(attachment.config)
        if queue is None or attachment not in queue.attachments:
            return
        queue.attachments.discard(attachment)
        for call in [*queue.calls(), *self._lookups.calls()]:
            if call.attachment is attachment:
                self._fail(call, ElectronHubError("The client was closed.", next_step=AFTER_CLOSE), now)
        self._retire(queue)

    # The next action.

    def next_action(self, now: float) -> Wait | LookUp | LookAhead | Forecast | AcquireSlot:  # noqa: PLR0911
        """Return the next action; must be called again after each event."""
        if self._watchers.is_due and (question := self._watchers.ask(self._queues.cap)) is not None:
            return question
        if (call := self._lookups.start_next()) is not None:
            return LookUp(call)
        queue = self._queues.most_urgent(now)
        if queue is None:
            self._limit_wait.end(now)
            return self._wait(now)
        ready_at = self._last_start + (self._linger or 0.0)
        if now < ready_at and not queue.is_full:
            return self._wait(now, ready_at)
        if calls := self._forecasts.to_ask():
            requests = [self._queues.batches_until_last(call) for call in calls]
            return Forecast(requests, self._queues.cap)
        if now < self._limit_wait.ask_again_at:
            return self._wait(now, self._limit_wait.ask_again_at)
        return self._queues.slot_for(queue)

    # Results of actions.

    def looked_up(self, call: Call, error: ElectronHubError | None, now: float) -> None:
        """Record the result of a cache lookup: the call's `known` texts are set, or the lookup has failed."""
        self._lookups.end(call)
        call.blocked_before = self._limit_wait.total(now)  # a lookup does not count as waiting for the limit
        add_usage(call.usages, cache_hits=call.known)
        call.progress.advance(call.known)
        call.outstanding -= call.known
        if error is None and (call.attachment.closed or call.abandoned):
            error = ElectronHubError("The client was closed.", next_step=AFTER_CLOSE)
        if error is not None:
            call.fail(error)
        if call.error is None and call.outstanding:
            self._enqueue(call, now)
        else:
            self._complete([call], now)

    def looked_ahead(self, outlook: Outlook, now: float) -> None:
        """Tell those who want to know it what the limiter allows from now on."""
        self._effects.answered += self._watchers.tell(self._queues, outlook, now)

    def forecast(self, waits: list[float] | None, now: float) -> None:
        """Fail the calls that cannot be finished within their `max_wait`.

        Args:
            waits: Minimum seconds until the last request of each call can start; None: not known yet.
            now: The time.
        """
        for call, wait in self._forecasts.answered(waits):
            reason = f"rate limit, {counted(self._queues.batches_until_last(call), 'request')}"
            if error := self._limit_wait.check_wait(call, wait, reason, now):
                self._fail(call, error, now)

    def slot_denied(self, pause: Pause, poll: float | None, now: float) -> None:
        """Record that no request may start now.

        Args:
            pause: Why, and for how long.
            poll: Seconds between two checks for changes by other processes; None: the limit is not shared.
            now: The time.
        """
        for call, error in self._limit_wait.denied(pause, self._queues.calls(), poll, now).items():
            self._fail(call, error, now)

    def slot_granted(self, slot: str, linger: float | None, now: float) -> Batch | None:
        """Form the batch for a slot; None: nothing is left to send, and the slot must be released.

        Args:
            slot: The slot's name.
            linger: Seconds for which the next batch may wait for more texts; None: no limit is in force.
            now: The time.
        """
        self._limit_wait.end(now)
        self._linger = linger
        queue = self._queues.most_urgent(now)
        if queue is None:
            return None
        batch = queue.form_batch(now, slot, limited=linger is not None, blocked=self._limit_wait.total(now))
        self._last_start = now
        for part in batch.slices:
            part.call.note_sent(len(part), batch.blocked)
        return batch

    def limiter_failed(self, error: Exception, now: float) -> None:
        """Fail all waiting calls, because nothing may be sent without the rate limiter."""
        reason = ElectronHubError(f"The rate limit store failed: {error}", next_step=AFTER_STORE_FAILURE)
        reason.__cause__ = error
        self.fail_all(reason, now)

    def fail_all(self, error: ElectronHubError, now: float) -> None:
        """Fail all waiting calls, and all inquiries."""
        self._effects.answered += self._watchers.fail(error)
        for call in [*self._queues.calls(), *self._lookups.calls()]:
            self._fail(call, error, now)

    def finished(self, batch: Batch, result: Result, now: float) -> None:
        """Record the result of a batch, whose vectors have already been stored."""
        queue = self._queues.of(batch.slices[0].call)
        _count_usage(batch, result)
        for part in batch.slices:
            part.call.note_returned(len(part), self._limit_wait.total(now))
            if part.call.known and part.call.mixes_models:
                self._embed_again(part.call, queue)
        self._limit_wait.ask_again()
        self._forecasts.note_answer()
        if self._watchers.calls:
            self._watchers.is_due = True
        if result.error is None:
            self._complete(queue.accept(batch, result.prompt_tokens, result.seconds), now)
        else:
            self._complete(queue.take_back(batch, result.error, now), now)
        self._retire(queue)

    # Internal methods.

    def _embed_again(self, call: Call, queue: RequestQueue) -> None:
        """Queue the texts whose vectors came from the cache, and are of another model than those received."""
        known = call.forget_known()
        add_usage(call.usages, cache_hits=-known)
        queue.waiting.put_back(Slice(call, 0, known))
        self._foresee(call)

    def _foresee(self, call: Call) -> None:
        """Let forecasts be made for a call with waiting texts, if anybody wants to know."""
        if call.max_wait is not None:
            self._forecasts.add(call)
        if not call.is_query:
            self._watchers.watch(call, self._queues.of(call).learned.limits)

    def _enqueue(self, call: Call, now: float) -> None:
        waiting = self._queues.of(call).waiting
        if call.is_query and not waiting.queries:  # it takes its place among the calls that wait for a slot
            self._limit_wait.ask_again()
        waiting.add(call)
        if error := self._limit_wait.check(call, now):
            self._fail(call, error, now)
        elif call.max_wait is not None or not call.is_query:
            self._foresee(call)

    def _fail(self, call: Call, error: ElectronHubError, now: float) -> None:
        if not call.outstanding:  # it has ended, and its caller may already be reading the result
            return
        queue = self._queues.get(call.attachment.config)
        if self._lookups.remove(call):
            call.fail(error)
            self._complete([call], now)
        elif queue is not None:
            self._complete(queue.withdraw(call, error), now)

    def _complete(self, calls: list[Call], now: float) -> None:
        for call in calls:
            call.waited = self._limit_wait.total(now) - call.blocked_before
            add_usage(call.usages, seconds_waited=call.waited)
        self._effects.complete += calls
        if self._watchers.calls:
            self._watchers.forget(calls)

    def _wait(self, now: float, until: float | None = None) -> Wait:
        due = self._queues.next_due(now)
        return Wait(min((time for time in (until, due) if time is not None), default=None))

    def _retire(self, queue: RequestQueue) -> None:
        if self._queues.retire(queue):
            self._effects.unused.append(queue.config)


def _count_usage(batch: Batch, result: Result) -> None:
    """Add a request to the usage counters of the calls whose texts it carried.

    The request itself is counted for the call of the first text; tokens are divided by the size of the texts.
    """
    if not result.sent:
        return
    succeeded = result.error is None
    is_limited = isinstance(result.error, RateLimitError)
    add_usage(batch.slices[0].call.usages, attempts=1, requests=int(succeeded), rate_limited=int(is_limited))
    prompt, total = batch.shares(result.prompt_tokens), batch.shares(result.total_tokens)
    for part, prompt_tokens, total_tokens in zip(batch.slices, prompt, total, strict=True):
        texts = len(part) if succeeded else 0
        add_usage(part.call.usages, prompt_tokens=prompt_tokens, total_tokens=total_tokens, texts=texts)
