"""The scheduler of one account: a state machine that decides which texts are sent next, and when.

Events go in, actions come out, and time is an argument. The workers call `next_action`, perform the action without
holding a lock, and report its result:

    submit, inquire, withdraw, detach             requests of callers
    looked_up, looked_ahead, max_wait_checked,
    slot_granted, slot_denied, limiter_failed, finished     results of actions
    take_effects                                  calls to wake, and configurations that are no longer used

Invariants:
- A batch is formed as late as possible: when its slot is granted, from the texts that are waiting then.
- For every batch that `slot_granted` returns, `finished` is called exactly once.
- Every submitted call appears exactly once in `Effects.complete`, with its vectors or with one error.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from electronhub_embeddings._rate_limit.wording import AFTER_CLOSE, AFTER_STORE_FAILURE, counted
from electronhub_embeddings._scheduling.actions import AcquireSlot, CheckMaxWait, Effects, LookAhead, LookUp, Wait
from electronhub_embeddings._scheduling.cache_lookups import CacheLookups
from electronhub_embeddings._scheduling.call import closed_error
from electronhub_embeddings._scheduling.call_endings import CallEndings
from electronhub_embeddings._scheduling.max_wait import LimitWait
from electronhub_embeddings._scheduling.max_wait_checks import MaxWaitChecks
from electronhub_embeddings._scheduling.request_queues import RequestQueues
from electronhub_embeddings._scheduling.watchers import Watchers
from electronhub_embeddings.errors import ElectronHubError, RateLimitError
from electronhub_embeddings.usage import add_usage

if TYPE_CHECKING:
    from electronhub_embeddings._codec.result import Result
    from electronhub_embeddings._rate_limit.outlook import Outlook
    from electronhub_embeddings._rate_limit.sliding_window import Pause
    from electronhub_embeddings._scheduling.batch import Batch
    from electronhub_embeddings._scheduling.call import Attachment, Call
    from electronhub_embeddings._scheduling.inquiry import Inquiry


class Scheduler:
    """Decides for all clients of an account. It never waits, sends or reads a clock."""

    def __init__(self) -> None:
        self._queues = RequestQueues()
        self._lookups = CacheLookups()
        self._limit_wait = LimitWait()
        self._max_wait_checks = MaxWaitChecks()
        self._watchers = Watchers()
        self._endings = CallEndings(self._queues, self._lookups, self._limit_wait, self._watchers)
        self._last_start = -math.inf
        self._linger: float | None = None
        """Seconds for which a batch that is not full lingers after the previous one; None: no limit applies."""

    @property
    def has_clients(self) -> bool:
        """Whether any client is attached."""
        return self._queues.have_clients

    @property
    def is_waiting(self) -> bool:
        """Whether any text, or anybody who has inquired, is waiting."""
        return bool(self._watchers.inquiries) or self._lookups.is_waiting or self._queues.are_waiting

    def depths(self) -> list[tuple[str, int]]:
        """Return the model and the number of waiting texts of each queue; may be called without the lock."""
        return [(queue.config.model, queue.depth) for queue in self._queues.snapshot()]

    def take_effects(self) -> Effects:
        """Return the effects to apply without the lock, and reset them."""
        effects, self._endings.effects = self._endings.effects, Effects()
        return effects

    # Requests of callers.

    def submit(self, call: Call, now: float) -> None:
        """Queue the texts of a call; a client is attached at its first call."""
        call.blocked_before = self._limit_wait.total(now)
        if call.attachment.closed:
            call.fail(ElectronHubError("The client is closed.", next_step=AFTER_CLOSE))
        if call.error is not None:
            self._endings.complete([call], now)
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
        self._endings.fail(call, ElectronHubError("The call was withdrawn."), now)

    def detach(self, attachment: Attachment, now: float) -> None:
        """Detach a client: its waiting texts fail, and its texts in flight are finished."""
        queue = self._queues.get(attachment.config)
        if queue is None or attachment not in queue.attachments:
            return
        queue.attachments.discard(attachment)
        error = closed_error()
        self._endings.fail_waiting(error, now, of=attachment)
        self._endings.retire(queue)

    # The next action.

    def next_action(self, now: float) -> Wait | LookUp | LookAhead | CheckMaxWait | AcquireSlot:  # noqa: PLR0911
        """Return the next action; must be called again after each event."""
        if self._watchers.is_due and (question := self._watchers.ask(self._queues.cap)) is not None:
            return question
        if (call := self._lookups.start_next()) is not None:
            return LookUp(call)
        queue = self._queues.most_urgent(now)
        if queue is None:
            self._limit_wait.end(now)
            return Wait(self._queues.next_due(now))
        ready_at = self._last_start + (self._linger or 0.0)
        if now < ready_at and not queue.is_full:
            return Wait(self._queues.next_due(now, ready_at))
        if calls := self._max_wait_checks.to_ask():
            requests = [self._queues.batches_until_last(call) for call in calls]
            return CheckMaxWait(requests, self._queues.cap)
        if now < self._limit_wait.ask_again_at:
            return Wait(self._queues.next_due(now, self._limit_wait.ask_again_at))
        return self._queues.slot_for(queue)

    # Results of actions.

    def looked_up(self, call: Call, error: ElectronHubError | None, now: float) -> None:
        """Record the result of a cache lookup: the call's `known` texts are set, or the lookup has failed."""
        self._lookups.end(call)
        call.blocked_before = self._limit_wait.total(now)  # a lookup does not count as waiting for the limit
        call.count_known()
        if error is None and (call.attachment.closed or call.abandoned):
            error = closed_error()
        if error is not None:
            call.fail(error)
        if call.error is None and call.outstanding:
            self._enqueue(call, now)
        else:
            self._endings.complete([call], now)

    def looked_ahead(self, outlook: Outlook, now: float) -> None:
        """Forecast inquiries and watched calls, by what the limiter allows from now on."""
        self._endings.effects.answered += self._watchers.tell(self._queues, outlook, now)

    def max_wait_checked(self, waits: list[float] | None, now: float) -> None:
        """Fail the calls that cannot be finished within their `max_wait`.

        Args:
            waits: Minimum seconds until the last request of each call can start; None: not known yet.
            now: The time.
        """
        for call, wait in self._max_wait_checks.answered(waits):
            reason = f"rate limit, {counted(self._queues.batches_until_last(call), 'request')}"
            if error := self._limit_wait.check_wait(call, wait, reason, now):
                self._endings.fail(call, error, now)

    def slot_denied(self, pause: Pause, poll: float | None, now: float) -> None:
        """Record that no request may start now.

        Args:
            pause: Why, and for how long.
            poll: Seconds between two checks for changes by other processes; None: the limit is not shared.
            now: The time.
        """
        for call, error in self._limit_wait.denied(pause, self._queues.calls(), poll, now).items():
            self._endings.fail(call, error, now)

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
        self._endings.effects.answered += self._watchers.fail(error)
        self._endings.fail_waiting(error, now)

    def finished(self, batch: Batch, result: Result, now: float) -> None:
        """Record the result of a batch, whose vectors have already been stored."""
        queue = self._queues.of(batch.slices[0].call)
        _count_usage(batch, result)
        for part in batch.slices:
            part.call.note_returned(len(part), self._limit_wait.total(now))
            if part.call.known and part.call.mixes_models:
                queue.embed_again(part.call)
                self._watch(part.call)
        self._limit_wait.ask_again()
        self._max_wait_checks.note_answer()
        if self._watchers.calls:
            self._watchers.is_due = True
        if result.error is None:
            self._endings.complete(queue.accept(batch, result.prompt_tokens, result.seconds), now)
        else:
            self._endings.complete(queue.take_back(batch, result.error, now), now)
        self._endings.retire(queue)

    # Internal methods.

    def _watch(self, call: Call) -> None:
        """Have a call's `max_wait` checked, and its end forecast if its progress is shown or it is long."""
        if call.max_wait is not None:
            self._max_wait_checks.add(call)
        if not call.is_query:
            self._watchers.watch(call, self._queues.of(call).learned.limits)

    def _enqueue(self, call: Call, now: float) -> None:
        waiting = self._queues.of(call).waiting
        if call.is_query and not waiting.queries:  # it takes its place among the calls that wait for a slot
            self._limit_wait.ask_again()
        waiting.add(call)
        if error := self._limit_wait.check(call, now):
            self._endings.fail(call, error, now)
        elif call.max_wait is not None or not call.is_query:
            self._watch(call)


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
