"""Forecasts what the texts of one call still need: requests, and seconds. Used by `estimate` and by the progress bar.

The batches are formed by the scheduler's own rules, from copies of its queues, at the times at which the window's
outlook lets requests start. Nothing is changed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from electronhub_embeddings._rate_limit.outlook import RequestFlow
from electronhub_embeddings._scheduling.batch import count_texts
from electronhub_embeddings._scheduling.batch_limits import ESTIMATE_MARGIN
from electronhub_embeddings._scheduling.request_queue import RequestQueue

if TYPE_CHECKING:
    from electronhub_embeddings._rate_limit.outlook import LimitSource, Outlook
    from electronhub_embeddings._scheduling.batch import Slice
    from electronhub_embeddings._scheduling.batch_limits import BatchLimits
    from electronhub_embeddings._scheduling.call import Call
    from electronhub_embeddings._scheduling.request_queues import RequestQueues
    from electronhub_embeddings._scheduling.waiting_texts import WaitingTexts

ASSUMED_ROUND_TRIP = 1.0
"""Seconds that a full request takes, until one was measured."""

TYPICAL_TOKENS_PER_BYTE = 0.25
"""What to expect of texts that nobody has weighed: English has about four bytes to a token of cl100k_base."""

MAX_PLANNED = 100
"""Batches that are formed in a forecast that is made after each answer; beyond, those to come are taken to be like
them. This bounds the time of a forecast to about a millisecond."""


@dataclass(frozen=True)
class JobForecast:
    """What the waiting texts of one call need."""

    requests: int
    """Requests that will carry waiting texts of the call."""
    seconds: float | None
    """Seconds until the last answer; None: no limit is known, nor that there is none."""
    requests_per_minute: int | None
    """Requests that are ours in a minute; None: no limit is known."""
    source: LimitSource | None
    """Who says what the limit is."""
    others: int
    """Requests per minute that are left to others with the same key."""
    tokens: tuple[int, int, int]
    """Tokens of the texts of a new call: to expect, the fewest and the most that are likely. Texts that wait are not
    weighed: zeros."""


def forecast_job(
    queues: RequestQueues,
    call: Call,
    outlook: Outlook,
    now: float,
    *,
    weight: float | None = None,
    most: int = MAX_PLANNED,
) -> JobForecast:
    """Forecast what a call needs.

    Args:
        queues: The queues of the account.
        call: The call.
        outlook: The window's.
        now: The time.
        weight: The weight of a new call's texts, which are in no queue, and would be added at the end of their own;
            None: the call's texts wait already.
        most: Batches to form one by one; beyond, the average of these is used.
    """
    queue = queues.get(call.attachment.config) or RequestQueue(call.attachment.config)
    waiting = queue.waiting.copy()
    if weight is not None and call.outstanding:
        waiting.add(call)
    parts = [part for part in waiting if part.call is call]
    texts, size = count_texts(parts), sum(part.size for part in parts)
    later = _after_an_answer(queue.learned.limits, weight / size if weight and size else TYPICAL_TOKENS_PER_BYTE)
    is_due = call.guard is not None and call.guard.is_due(now)
    rehearsal = _Rehearsal(queue, waiting, outlook, later, reserve=is_due)
    requests, seconds = 0, 0.0
    if texts:
        requests, seconds = rehearsal.run(call, texts, _batches_before(queues, queue, call), most)
    seconds = max(seconds, queue.waiting.last_due(call) - now) + rehearsal.flow.round_trip
    return JobForecast(
        requests=requests,
        seconds=seconds if outlook.is_known else None,
        requests_per_minute=outlook.requests_per_minute,
        source=outlook.source,
        others=outlook.others,
        tokens=(0, 0, 0) if weight is None else queue.learned.limits.charged.expect(texts, size, weight),
    )


class _Rehearsal:
    """Lets copies of a queue's texts leave, batch by batch.

    Args:
        queue: The queue, which is not changed.
        waiting: The copies.
        outlook: When requests can start.
        later: What fits into a request, once one was answered.
        reserve: Whether batches leave room for the reference text until one is answered.
    """

    def __init__(
        self, queue: RequestQueue, waiting: WaitingTexts, outlook: Outlook, later: BatchLimits, *, reserve: bool
    ) -> None:
        self._waiting = waiting
        self._limits = queue.learned.limits
        self._later = later
        self.flow = RequestFlow(
            connections=queue.connections,
            busy=queue.in_flight,
            round_trip=ASSUMED_ROUND_TRIP if queue.learned.round_trip is None else queue.learned.round_trip,
            is_spread=queue.config.spread_documents,
            requests=waiting.document_batches(later),
        )
        self._outlook = outlook
        self._reserve = reserve
        self._is_limited = outlook.share is not None or outlook.is_probing

    def run(self, call: Call, texts: int, before: int, most: int) -> tuple[int, float]:
        """Let the texts of a call leave.

        Args:
            call: The call.
            texts: The number of its waiting texts.
            before: Requests of other queues that start before.
            most: Batches to form one by one.

        Returns:
            The requests with texts of the call, and the seconds until the last one starts.
        """
        starts = islice(self._outlook.starts(self.flow), before, None)
        requests, taken, sent, last = 0, 0, 0, 0.0
        answered_at = self.flow.round_trip if self.flow.busy else math.inf
        for last in islice(starts, most):
            answered_at = min(answered_at, last + self.flow.round_trip)
            is_answered = last >= answered_at
            limits, reserve = (self._later, False) if is_answered else (self._limits, self._reserve)
            batch = self._take(limits, reserve=reserve)
            mine = count_texts([part for part in batch if part.call is call])
            requests, taken, sent = requests + bool(mine), taken + count_texts(batch), sent + mine
            if sent >= texts:
                return requests, last
        left = count_texts([part for part in self._waiting if part.call.number <= call.number])
        more = math.ceil(left * most / taken)
        skipped, seconds = self._outlook.after_many(self.flow, more)
        *_, last = last, *islice(starts, more - skipped)
        return requests + math.ceil((texts - sent) * most / taken), last + seconds

    def _take(self, limits: BatchLimits, *, reserve: bool) -> list[Slice]:
        return self._waiting.take(
            limits, limited=self._is_limited, connections=self.flow.connections, hold_documents=False, reserve=reserve
        )


def _after_an_answer(limits: BatchLimits, tokens_per_byte: float) -> BatchLimits:
    """Return the limits to expect once the first batch was answered, if its texts have as many tokens for a byte."""
    if limits.observed:
        return limits
    return replace(limits, tokens_per_byte=min(1.0, ESTIMATE_MARGIN * tokens_per_byte))


def _batches_before(queues: RequestQueues, own: RequestQueue, call: Call) -> int:
    """Count the batches of other configurations that leave before the call's texts: queries, and older calls."""
    batches = 0
    for queue in queues:
        if queue is own or not queue.waiting:
            continue
        waiting = queue.waiting.copy()
        waiting.take_out(lambda part: part.call.number > call.number and not part.call.is_query)
        while waiting and batches < MAX_PLANNED:
            waiting.take(queue.learned.limits, limited=True, connections=queue.connections, hold_documents=False)
            batches += 1
    return batches
