"""The queue of one request configuration: which texts are sent next, and where the texts of a failed batch go.

Invariants:
- Queries go ahead of documents, older calls ahead of younger ones.
- If several requests may be in flight, one is reserved for queries, so that ingestion never blocks search.
- While a refusal may be the fault of the request itself, documents wait for the result of the search.
- A text leaves the queue only to be sent or finished, and each text of a call is finished exactly once.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

from electronhub_embeddings._scheduling.batch import Batch, Slice, count_texts
from electronhub_embeddings._scheduling.batch_limits import BatchLimits
from electronhub_embeddings._scheduling.call import closed_error
from electronhub_embeddings._scheduling.drift_guard import add_reference, blame_reference, clients_to_check, first_of
from electronhub_embeddings._scheduling.recovery import (
    Learned,
    Recovery,
    is_about_some_text,
    recover,
    release_innocent,
)
from electronhub_embeddings._scheduling.retry_policy import RetryPolicy
from electronhub_embeddings._scheduling.waiting_texts import WaitingTexts
from electronhub_embeddings.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    BadRequestError,
    ElectronHubError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from electronhub_embeddings._config.request_config import RequestConfig
    from electronhub_embeddings._scheduling.bisection import Bisection, Findings
    from electronhub_embeddings._scheduling.call import Attachment, Call

logger = logging.getLogger("electronhub_embeddings")


class RequestQueue:
    """Texts of one configuration, and what was learned about their requests.

    Methods that can complete calls return the completed calls.
    """

    def __init__(self, config: RequestConfig) -> None:
        self.config = config
        self.attachments: set[Attachment] = set()
        """The clients that use this configuration."""
        self.has_guards = False
        """Whether any of them has had a guard."""
        self.connections = max(1, config.max_concurrency - 1)
        """Requests with documents that may be on the wire at once: one more place is kept for queries."""
        self.in_flight = 0
        """Batches in flight."""
        self.learned = Learned(BatchLimits(config.batch_size), config.encoding_format)
        self.waiting = WaitingTexts()
        self._policy = RetryPolicy(config.max_retries)
        self._search: Bisection | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether any text is waiting, including texts that pause before a retry."""
        return bool(self.waiting) or self._probe_due is not None

    @property
    def depth(self) -> int:
        """The number of waiting texts, for observers: they read it without the lock, when it can be changing."""
        search = self._search
        return self.waiting.depth + (0 if search is None else count_texts(search.slices))

    @property
    def is_full(self) -> bool:
        """Whether waiting for more texts would not make the next batch larger."""
        return self._probe_due is not None or self.waiting.fills(self.learned.limits)

    def next_due(self, now: float) -> float | None:
        """Return when the next pausing text may be sent; None: no text is pausing.

        Texts that are already due wait for a free connection or for the limit, not for a time.
        """
        dues = (self.waiting.next_due(), self._probe_due)
        return min((due for due in dues if due is not None and due > now), default=None)

    def urgency(self, now: float) -> tuple[int, int] | None:
        """Rank the next batch: queries above documents, older calls above younger ones; None: none can be sent."""
        self.waiting.end_pauses(now)
        if self.waiting.queries and self.in_flight < self.config.max_concurrency:
            return 1, -self.waiting.queries[0].call.number
        if self.in_flight >= self.connections:
            return None
        if (search := self._due_search(now)) is not None:
            return 0, -min(part.call.number for part in search.probe)
        if self.waiting.documents and not self._holds_documents:
            return 0, -self.waiting.documents[0].call.number
        return None

    def calls(self) -> list[Call]:
        """List the calls with waiting texts, each once."""
        searched = self._search.slices if self._search is not None else []
        return list(dict.fromkeys(part.call for part in (*searched, *self.waiting)))

    def form_batch(self, now: float, slot: str, *, limited: bool, blocked: float) -> Batch:
        """Form a batch from the waiting texts; `urgency` has found that some can be sent.

        Args:
            now: The time.
            slot: The slot that was acquired for the batch.
            limited: Whether a limit is in force.
            blocked: Seconds for which the limit has blocked the scheduler so far.
        """
        to_check = clients_to_check(self.attachments, now) if self.has_guards else []
        search = None if self.waiting.queries else self._due_search(now)
        if search is not None:
            slices, search.due = search.probe, None
        else:
            slices = self.waiting.take(
                self.learned.limits,
                limited=limited,
                connections=self.connections,
                hold_documents=self._holds_documents,
                reserve=bool(to_check) and first_of(self.waiting, to_check) is not None,
            )
        self.in_flight += 1
        batch = Batch(self.config, slices, slot, self.learned.encoding_format, blocked, is_probe=search is not None)
        return add_reference(batch, to_check, self.learned.limits) if to_check else batch

    def accept(self, batch: Batch, prompt_tokens: int, seconds: float) -> list[Call]:
        """Record that the vectors of a batch are stored, and learn from the tokens charged and the seconds it took."""
        self.in_flight -= 1
        self.learned.learn(batch, prompt_tokens, seconds)
        complete: list[Call] = []
        for call in {part.call for part in batch.slices}:
            call.progress.requests += 1
        for part in batch.slices:
            part.call.progress.advance(len(part))
            complete += _finish([part])
            if part.call.error is not None:  # its cached vectors have another length: the rest would be wasted
                complete += self._fail(part.call, part.call.error)
        if batch.is_probe and self._search is not None:
            findings = self._search.probe_accepted(beside_reference=batch.reference_for is not None)
            if findings is not None and not findings.guilty and self._search.suspects_reference:
                blame_reference([*batch.slices, *findings.innocent], is_refused=True)
            complete += self._continue_search(self._search, findings)
        return complete

    def take_back(self, batch: Batch, error: ElectronHubError, now: float) -> list[Call]:
        """Handle a failed batch: requeue texts for another attempt, fail the others, or start a search."""
        self.in_flight -= 1
        logger.debug("attempt failed: %s", type(error).__name__)
        try:
            if batch.is_probe and self._search is not None:
                return self._take_back_probe(self._search, batch, error, now)
            recovery = recover(batch, error, self._policy, self.learned)
        except Exception:  # a bug in the error handling: the batch fails as a whole, and its callers receive the error
            logger.exception("error handling failed for a batch")
            return self._apply(Recovery(failed=[(part, error.for_caller()) for part in batch.slices]), now)
        _announce_retry(recovery, error, self._policy.max_retries, now)
        if recovery.search is not None and self._search is not None:
            self._search.add(batch.slices)
            return []
        return self._apply(recovery, now)

    def withdraw(self, call: Call, error: ElectronHubError) -> list[Call]:
        """Remove the waiting texts of a call, and fail the call with the error."""
        call.fail(error)
        call.withdrawn = True
        complete = _finish(self.waiting.take_out(lambda part: part.call is call))
        if (search := self._search) is not None:
            complete += _finish(search.drop(lambda part: part.call is call))
            if not search.probe:
                complete += self._end_search(search.probe_failed())
        return complete

    def embed_again(self, call: Call) -> None:
        """Queue the texts whose vectors came from the cache, and are of another model than those received."""
        self.waiting.put_back(Slice(call, 0, call.forget_known()))

    @property
    def _holds_documents(self) -> bool:
        """Whether documents are held back because they may only be refused again."""
        return self._search is not None and not self._search.accepted

    @property
    def _probe_due(self) -> float | None:
        """When the next probe of the search may be sent; None: the probe is in flight, or no search is running."""
        return None if self._search is None else self._search.due

    def _due_search(self, now: float) -> Bisection | None:
        """Return the search if its next probe may be sent now."""
        due = self._probe_due
        return self._search if due is not None and due <= now else None

    def _take_back_probe(self, search: Bisection, batch: Batch, error: ElectronHubError, now: float) -> list[Call]:
        is_over = any(part.call.is_over for part in batch.slices)
        if isinstance(error, BadRequestError) and is_about_some_text(batch, error) and not is_over:
            return self._continue_search(search, search.probe_refused(batch.slices, error))
        recovery = recover(batch, error, self._policy, self.learned)
        if recovery.again and not recovery.failed and not isinstance(error, BadRequestError):
            search.probe = [part for _, part in recovery.again]
            search.due = now + recovery.again[0][0]
            return []
        complete = self._end_search(search.probe_failed())
        return complete + self._apply(recovery, now)

    def _continue_search(self, search: Bisection, findings: Findings | None) -> list[Call]:
        if findings is None:
            search.due = -math.inf
            return []
        return self._end_search(findings)

    def _end_search(self, findings: Findings) -> list[Call]:
        """Fail the texts that were found to be at fault, and requeue the others."""
        self._search = None
        if findings.request_refusal is not None:
            self.learned.request_refusal = findings.request_refusal
        return self._apply(release_innocent(findings), -math.inf)

    def _apply(self, recovery: Recovery, now: float) -> list[Call]:
        complete: list[Call] = []
        self._search = recovery.search or self._search
        for part, reason in recovery.failed:
            complete += _finish([part]) + self._fail(part.call, reason)
        for pause, part in recovery.again:
            call = part.call
            if call.is_over or (call.failed and not part.refusals_beside):
                call.fail(closed_error())
                complete += _finish([part])
            else:
                self.waiting.put_back(part, now + pause)
        return complete

    def _fail(self, call: Call, error: ElectronHubError) -> list[Call]:
        """Fail a call; texts that were only refused together with a text at fault are still resent."""
        call.fail(error)
        return _finish(self.waiting.take_out(lambda part: part.call is call and not part.refusals_beside))


def _announce_retry(recovery: Recovery, error: ElectronHubError, max_retries: int, now: float) -> None:
    """Log the pause before another attempt, and show it in the progress bars of the calls."""
    pause, part = recovery.again[0] if recovery.again else (0.0, None)
    if part is None or not pause:
        return
    retries = max_retries if error.retries is None else min(max_retries, error.retries)
    what = f"{_failure(error)}: attempt {part.attempts + 1} of {retries + 1}"
    logger.info("%s in %.0f s", what, pause)
    for _, part in recovery.again:
        part.call.progress.wait_to_retry(what, now + pause)


def _failure(error: ElectronHubError) -> str:
    if isinstance(error, APIStatusError):
        return f"the service answered {error.status_code}"
    if isinstance(error, APITimeoutError):
        return "the service did not answer in time"
    return "the connection failed" if isinstance(error, APIConnectionError) else "the answer was unusable"


def _finish(slices: Iterable[Slice]) -> list[Call]:
    """Record that slices are finished; return the calls that are now complete."""
    return [part.call for part in slices if part.call.finish(len(part))]
