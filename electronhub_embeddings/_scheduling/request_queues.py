"""The queues of an account, one per request configuration in use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from electronhub_embeddings._scheduling.actions import AcquireSlot
from electronhub_embeddings._scheduling.request_queue import RequestQueue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from electronhub_embeddings._config.request_config import RequestConfig
    from electronhub_embeddings._scheduling.call import Attachment, Call


class RequestQueues:
    """The queues of an account, by request configuration."""

    def __init__(self) -> None:
        self._queues: dict[RequestConfig, RequestQueue] = {}

    def __iter__(self) -> Iterator[RequestQueue]:
        return iter(self._queues.values())

    @property
    def have_clients(self) -> bool:
        """Whether any client is attached."""
        return any(queue.attachments for queue in self._queues.values())

    @property
    def are_waiting(self) -> bool:
        """Whether any text is waiting, including texts that pause before a retry."""
        return any(queue.is_waiting for queue in self._queues.values())

    def snapshot(self) -> list[RequestQueue]:
        """List the queues; the copy is atomic, so no lock is needed."""
        return list(self._queues.values())

    def get(self, config: RequestConfig) -> RequestQueue | None:
        """Return the queue of a configuration; None: it is not in use."""
        return self._queues.get(config)

    def attach(self, attachment: Attachment) -> None:
        """Attach a client; create the queue of its configuration if there is none."""
        config = attachment.config
        if config not in self._queues:
            self._queues[config] = RequestQueue(config)
        queue = self._queues[config]
        queue.attachments.add(attachment)
        queue.has_guards |= attachment.guard is not None

    def of(self, call: Call) -> RequestQueue:
        """Return the queue of a call whose client is attached."""
        return self._queues[call.attachment.config]

    def retire(self, queue: RequestQueue) -> bool:
        """Remove a queue that has no clients and no batches in flight; return whether it was removed."""
        if queue.attachments or queue.in_flight:
            return False
        del self._queues[queue.config]
        return True

    def most_urgent(self, now: float) -> RequestQueue | None:
        """Return the queue whose texts are sent next; None: no queue can send now."""
        first, highest = None, (-1, 0)
        for queue in self._queues.values():
            rank = queue.urgency(now)
            if rank is not None and rank > highest:
                first, highest = queue, rank
        return first

    def next_due(self, now: float, until: float | None = None) -> float | None:
        """Return when the next pausing text may be sent, or `until` if that is earlier; None: no text is pausing."""
        dues = [until, *(queue.next_due(now) for queue in self._queues.values())]
        return min((due for due in dues if due is not None), default=None)

    def calls(self) -> list[Call]:
        """Return the calls with waiting texts."""
        return [call for queue in self for call in queue.calls()]

    def batches_until_last(self, call: Call) -> int:
        """Return the minimum number of batches until the last waiting text of a call has been sent."""
        queue = self.of(call)
        return queue.waiting.batches_until_last(call, queue.learned.limits)

    def slot_for(self, queue: RequestQueue) -> AcquireSlot:
        """Return the slot to ask for, before the batch is formed: most likely from the most urgent queue."""
        spread = [other for other in self._queues.values() if other.config.spread_documents]
        return AcquireSlot(
            max_duration=max(config.max_duration for config in self._queues),
            cap=self.cap,
            interactive=bool(queue.waiting.queries),
            documents=sum([other.waiting.document_batches(other.learned.limits) for other in spread]),
        )

    @property
    def cap(self) -> int | None:
        """The lowest `requests_per_minute` of the clients, which applies to the account; None: no client sets one."""
        caps = [cap for config in self._queues if (cap := config.requests_per_minute) is not None]
        return min(caps, default=None)
