"""How calls end: their waiting texts are taken out, what they waited is counted, and their callers are to be woken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from electronhub_embeddings._scheduling.actions import Effects
from electronhub_embeddings.usage import add_usage

if TYPE_CHECKING:
    from electronhub_embeddings._scheduling.cache_lookups import CacheLookups
    from electronhub_embeddings._scheduling.call import Attachment, Call
    from electronhub_embeddings._scheduling.max_wait import LimitWait
    from electronhub_embeddings._scheduling.request_queue import RequestQueue
    from electronhub_embeddings._scheduling.request_queues import RequestQueues
    from electronhub_embeddings._scheduling.watchers import Watchers
    from electronhub_embeddings.errors import ElectronHubError


class CallEndings:
    """Ends calls, wherever their texts wait; `effects` collects what is to be done about it without the lock."""

    def __init__(self, queues: RequestQueues, lookups: CacheLookups, limit_wait: LimitWait, watchers: Watchers) -> None:
        self.effects = Effects()
        self._queues = queues
        self._lookups = lookups
        self._limit_wait = limit_wait
        self._watchers = watchers

    def complete(self, calls: list[Call], now: float) -> None:
        """End calls of which no text is outstanding."""
        for call in calls:
            call.waited = self._limit_wait.total(now) - call.blocked_before
            add_usage(call.usages, seconds_waited=call.waited)
        self.effects.complete += calls
        if self._watchers.calls:
            self._watchers.forget(calls)

    def fail(self, call: Call, error: ElectronHubError, now: float) -> None:
        """Fail a call: its waiting texts are not sent, and it ends when those in flight are finished."""
        if not call.outstanding:  # it has ended, and its caller may already be reading the result
            return
        queue = self._queues.get(call.attachment.config)
        if self._lookups.remove(call):
            call.fail(error)
            self.complete([call], now)
        elif queue is not None:
            self.complete(queue.withdraw(call, error), now)

    def fail_waiting(self, error: ElectronHubError, now: float, *, of: Attachment | None = None) -> None:
        """Fail the calls that wait: all of them, or those of one client."""
        for call in [*self._queues.calls(), *self._lookups.calls()]:
            if of is None or call.attachment is of:
                self.fail(call, error, now)

    def retire(self, queue: RequestQueue) -> None:
        """Give up a queue that nobody uses any more."""
        if self._queues.retire(queue):
            self.effects.unused.append(queue.config)
