"""What becomes of the texts of a failed request. Pure.

Laws of this module:
- A text fails only by an error of its own, or of the request as such. If one text is to blame, the others are sent
  again without it; if the service does not say which, it is searched for by halving: at most 2·log2(n) more requests.
- A refusal for size teaches, and only what was refused is sent again.
- Every path ends: what is sent again is smaller, or differently encoded, or has one attempt less.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Generic

from electronhub_embeddings._scheduling.bad_request_cause import BadRequestCause, Cause, find_cause
from electronhub_embeddings.errors import BadRequestError, ElectronHubError, InvalidResponseError
from electronhub_embeddings.packing import J, halve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from electronhub_embeddings.packing import Capacity, Piece
    from electronhub_embeddings.retrying import RetryPolicy

LAST_CHANCES = 8
"""Requests in which texts of a call that has failed by another text are still tried: some may be guilty as well."""

HOPELESS = 3
"""Single texts refused before anything was accepted, after which the request as such is taken to be at fault."""


@dataclass
class Experience:
    """What a client has learned of its service: how much fits, and what it accepts."""

    capacity: Capacity
    encoding_format: str
    width: int | None = None
    """Dimensions of every vector so far; fixed by `dimensions` or by the first answer."""
    proven: bool = False
    """Whether a request was ever accepted."""
    refused_alone: int = 0
    """Single texts that were refused before anything was accepted."""


@dataclass
class Aftermath(Generic[J]):
    """Where each text of a failed request goes."""

    again: list[tuple[float, Piece[J]]] = field(default_factory=list)
    """Back to the line, after so many seconds."""
    apart: list[list[Piece[J]]] = field(default_factory=list)
    """As requests of their own, the first one first."""
    failed: list[tuple[Piece[J], ElectronHubError]] = field(default_factory=list)
    """To their callers, each with its error; an index in it is a position in the caller's texts."""


def sort_out(
    pieces: Sequence[Piece[J]],
    error: ElectronHubError,
    encoding_format: str,
    policy: RetryPolicy,
    experience: Experience,
) -> Aftermath[J]:
    """Decide what becomes of each piece of a request that failed; `experience` learns from it.

    Args:
        pieces: What the request carried.
        error: How it failed.
        encoding_format: How it asked for vectors; by now others may ask differently.
        policy: Which failures are worth another attempt.
        experience: What is known of the service.
    """
    inputs = sum(map(len, pieces))
    if isinstance(error, BadRequestError):
        found = find_cause(error, inputs)
        if found.cause is Cause.ENCODING and encoding_format == "base64":
            experience.encoding_format = "float"
            return _send_again(pieces)
        return _after_refusal(pieces, error, found, experience)
    return _after_failure(pieces, error, policy)


def _after_failure(pieces: Sequence[Piece[J]], error: ElectronHubError, policy: RetryPolicy) -> Aftermath[J]:
    """Retry what is worth it; if the answer has one wrong row to the end, only its text fails."""
    aftermath: Aftermath[J] = Aftermath()
    named = error.index if isinstance(error, InvalidResponseError) else None
    position = 0
    for piece in pieces:
        pause = None if piece.job.failed else policy.pause(error, piece.attempts + 1)
        mine = named is not None and position <= named < position + len(piece)
        position += len(piece)
        if pause is not None:
            aftermath.again.append((pause, replace(piece, attempts=piece.attempts + 1)))
        elif mine and not piece.job.failed:
            return _without(pieces, named or 0, error)
        else:
            aftermath.failed.append((piece, error.for_caller()))
    longest = max((pause for pause, _ in aftermath.again), default=0.0)
    aftermath.again = [(longest, piece) for _, piece in aftermath.again]  # together, for each request takes a slot
    return aftermath


def _after_refusal(
    pieces: Sequence[Piece[J]], error: BadRequestError, found: BadRequestCause, experience: Experience
) -> Aftermath[J]:
    inputs = sum(map(len, pieces))
    alone, guilty = inputs == 1, found.index
    if found.cause in {Cause.REQUEST, Cause.ENCODING}:
        return _fail_all(pieces, error)
    if alone or guilty is not None:
        experience.refused_alone += alone and not experience.proven
        return _without(pieces, guilty or 0, error)
    if found.cause is Cause.SIZE:
        _learn_size(found, experience.capacity, inputs, sum(piece.size for piece in pieces))
        return _send_again(pieces)
    hopeless = found.cause is Cause.UNKNOWN and not experience.proven and experience.refused_alone >= HOPELESS
    if hopeless or all(piece.job.failed for piece in pieces):
        return _fail_all(pieces, error)
    return Aftermath(apart=list(halve(pieces)))


def _send_again(pieces: Sequence[Piece[J]]) -> Aftermath[J]:
    return Aftermath(again=[(0.0, piece) for piece in pieces])


def _fail_all(pieces: Sequence[Piece[J]], error: ElectronHubError) -> Aftermath[J]:
    return Aftermath(failed=[(piece, error.for_caller()) for piece in pieces])


def _learn_size(found: BadRequestCause, capacity: Capacity, inputs: int, size: int) -> None:
    if found.max_tokens is None and found.tokens is None:
        capacity.learn_inputs(inputs, found.max_inputs)
    else:
        capacity.learn_tokens(size, found.max_tokens, found.tokens)


def _without(pieces: Sequence[Piece[J]], guilty: int, error: ElectronHubError) -> Aftermath[J]:
    """Fail the one text at position `guilty` of the request, and send the others again without it."""
    aftermath: Aftermath[J] = Aftermath()
    position = 0
    for piece in pieces:
        place = guilty - position
        position += len(piece)
        if not 0 <= place < len(piece):
            aftermath.again.append((0.0, piece))
            continue
        head, rest = replace(piece, refusals=piece.refusals + 1).split(place)
        one, tail = rest.split(1)
        aftermath.failed.append((one, error.for_caller(one.start)))
        innocent = [part for part in (head, tail) if len(part)]
        if piece.refusals >= LAST_CHANCES:
            aftermath.failed += [(part, error.for_caller()) for part in innocent]
        elif innocent:
            aftermath.apart.append(innocent)  # their call fails, but they may only have been in bad company
    return aftermath
