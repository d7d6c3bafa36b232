"""Decides what happens to the texts of a failed batch.

Invariants:
- A text fails only with its own error or with an error of the request as a whole. If one text is at fault, the others
  are resent without it; if the service does not name the text, a bisection finds it.
- A refusal for size lowers the limits of later batches, and only the refused texts are resent.
- Recovery terminates: a resent batch is smaller, encoded differently, without the reference text, or has one attempt
  less; a damaged vector of the reference text is asked for once more.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from electronhub_embeddings._scheduling.bad_request_cause import Cause, find_cause, same_words
from electronhub_embeddings._scheduling.batch_limits import EWMA_WEIGHT
from electronhub_embeddings._scheduling.bisection import Bisection, Findings
from electronhub_embeddings._scheduling.charged_tokens import ENOUGH_TEXTS
from electronhub_embeddings._scheduling.drift_guard import blame_reference
from electronhub_embeddings.errors import BadRequestError, ElectronHubError

if TYPE_CHECKING:
    from electronhub_embeddings._scheduling.bad_request_cause import BadRequestCause
    from electronhub_embeddings._scheduling.batch import Batch, Slice
    from electronhub_embeddings._scheduling.batch_limits import BatchLimits
    from electronhub_embeddings._scheduling.retry_policy import RetryPolicy

MAX_REFUSALS = 8
"""Refused texts of one call after which its other texts are no longer tried: too many may be at fault."""


@dataclass
class Learned:
    """What was learned from the service's answers to requests of one configuration."""

    limits: BatchLimits
    encoding_format: str
    request_refusal: BadRequestError | None = None
    """The refusal of the request itself, with any texts; None after any batch was accepted."""
    round_trip: float | None = None
    """Seconds that requests with documents take, on average; None: none has been answered."""

    def learn(self, batch: Batch, tokens: int, seconds: float) -> None:
        """Learn from an answer with vectors: what was charged, and the seconds that it took; 0.0: they say nothing."""
        self.request_refusal = None
        self.limits.learn_tokens_per_byte(batch.size, tokens)
        if batch.slices[-1].call.is_query:  # queries are unlike documents, and nobody forecasts them
            return
        if self.limits.charged.texts < ENOUGH_TEXTS:
            self.limits.charged.add(batch.texts, tokens)
        if seconds:
            before = seconds if self.round_trip is None else self.round_trip
            self.round_trip = before + EWMA_WEIGHT * (seconds - before)


@dataclass
class Recovery:
    """What happens to each text of a failed batch."""

    again: list[tuple[float, Slice]] = field(default_factory=list["tuple[float, Slice]"])
    """Texts to requeue, each with its pause in seconds."""
    failed: list[tuple[Slice, ElectronHubError]] = field(default_factory=list["tuple[Slice, ElectronHubError]"])
    """Texts that fail, each with its error; an index in the error is a position in the call's texts."""
    search: Bisection | None = None
    """A search for the text at fault, which holds all texts of the batch."""


def recover(batch: Batch, error: ElectronHubError, policy: RetryPolicy, learned: Learned) -> Recovery:
    """Decide what happens to each text of a failed batch; `learned` is updated."""
    cause = find_cause(error, batch.inputs) if isinstance(error, BadRequestError) else None
    if batch.is_reference(error.index if cause is None else cause.index):
        blame_reference(batch.slices, is_refused=cause is not None)
        return _send_again(batch.slices)
    if not isinstance(error, BadRequestError) or cause is None:
        return _after_failure(batch.slices, error, policy)
    if cause.cause is Cause.ENCODING and batch.encoding_format == "base64":
        learned.encoding_format = "float"
        return _send_again(batch.slices)
    return _after_refusal(batch, error, cause, learned)


def is_about_some_text(batch: Batch, error: BadRequestError) -> bool:
    """Return whether a refusal leaves open which text is at fault, or whether any text is."""
    cause = find_cause(error, batch.inputs)
    return cause.cause in {Cause.TEXT, Cause.UNKNOWN} and (cause.index is None or batch.inputs == 1)


def _after_failure(slices: list[Slice], error: ElectronHubError, policy: RetryPolicy) -> Recovery:
    """Retry the texts that have attempts left; if one vector is still unusable after that, only its text fails."""
    owner = None if error.index is None else _slice_at(slices, error.index)
    if error.index is not None and owner is not None and _pause(owner, error, policy) is None:
        return _without(slices, error.index, error)
    beside = error.for_caller()
    if owner is not None:
        beside.retries = None  # the lower number of retries applies to the named text only, which has attempts left
    recovery, longest = Recovery(), 0.0
    for part in slices:
        pause = _pause(part, beside, policy)
        if pause is None:
            recovery.failed.append((part, error.for_caller()))
        else:
            longest = max(longest, pause)
            recovery.again.append((pause, replace(part, attempts=part.attempts + 1)))
    recovery.again = [(longest, part) for _, part in recovery.again]  # all together, because each request takes a slot
    return recovery


def _pause(part: Slice, error: ElectronHubError, policy: RetryPolicy) -> float | None:
    return None if part.call.failed else policy.pause(error, part.attempts + 1)


def _slice_at(slices: list[Slice], position: int) -> Slice | None:
    for part in slices:
        if position < len(part):
            return part
        position -= len(part)
    return None


def _after_refusal(batch: Batch, error: BadRequestError, cause: BadRequestCause, learned: Learned) -> Recovery:
    slices, inputs = batch.slices, batch.inputs
    if cause.cause in {Cause.REQUEST, Cause.ENCODING}:
        return _fail_all(slices, error)
    if inputs == 1 or cause.index is not None:
        return _without(slices, cause.index or 0, error)
    if cause.cause is Cause.SIZE:
        _learn_size(cause, learned.limits, inputs, batch.size)
        return _send_again(slices)
    is_known = learned.request_refusal is not None and same_words(error, learned.request_refusal)
    if is_known or all(part.call.failed for part in slices):
        return _fail_all(slices, error)
    if gone := [part for part in slices if part.call.is_over]:  # the others may have been refused because of these
        again = [(0.0, part) for part in slices if part not in gone]
        return Recovery(again, [(part, error.for_caller()) for part in gone])
    suspects_reference = batch.reference_for is not None
    blames_text = cause.cause is Cause.TEXT
    return Recovery(search=Bisection(slices, error, blames_text=blames_text, suspects_reference=suspects_reference))


def _send_again(slices: list[Slice]) -> Recovery:
    return Recovery(again=[(0.0, part) for part in slices])


def _fail_all(slices: list[Slice], error: ElectronHubError) -> Recovery:
    return Recovery(failed=[(part, error.for_caller()) for part in slices])


def _learn_size(cause: BadRequestCause, limits: BatchLimits, inputs: int, size: int) -> None:
    if cause.max_tokens is None and cause.tokens is None:
        limits.learn_max_inputs(inputs, cause.max_inputs)
    else:
        limits.learn_max_tokens(size, cause.max_tokens, cause.tokens)


def _without(slices: list[Slice], guilty: int, error: ElectronHubError) -> Recovery:
    """Fail the text at position `guilty` of the batch, and resend the others without it."""
    findings = Findings()
    position = 0
    for part in slices:
        place = guilty - position
        position += len(part)
        if 0 <= place < len(part):
            head, rest = part.split(place)
            one, tail = rest.split(1)
            findings.guilty.append((one, error))
            findings.innocent += [rest for rest in (head, tail) if len(rest)]
        else:
            findings.innocent.append(part)
    return release_innocent(findings)


def release_innocent(findings: Findings) -> Recovery:
    """Fail the texts at fault, and resend those that were only refused together with them.

    The call of a text at fault fails; its innocent texts are resent only to be in `.partial`.
    """
    recovery = Recovery()
    failed_calls = {part.call for part, _ in findings.guilty}
    for part, error in findings.guilty:
        recovery.failed.append((part, error.for_caller(part.start if findings.request_refusal is None else None)))
    for part in findings.innocent:
        if part.call not in failed_calls:
            recovery.again.append((0.0, part))
        elif part.refusals_beside < MAX_REFUSALS:
            recovery.again.append((0.0, replace(part, refusals_beside=part.refusals_beside + 1)))
        else:
            recovery.failed.append((part, findings.guilty[0][1].for_caller()))
    return recovery
