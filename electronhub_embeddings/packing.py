"""Which waiting texts make the next request. Pure.

Laws of this module:
- Order is kept, nothing is dropped, nothing is doubled: unpacking what was packed gives what was waiting.
- A request holds at least one text, and no more inputs and estimated tokens than its capacity, unless that one
  text is larger.
- The estimate of tokens starts careful, one for each byte, and learns from what the service charges.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Sequence

MAX_TOKENS = 300_000
"""Tokens in one request: the limit of the OpenAI models behind the service."""

SAFETY = 1.05
"""Estimates stay this much above what was charged: the next texts may be denser."""

CALM = 0.25
"""Weight of an answer that lowers the estimate; one that raises it counts in full, for a refusal costs a request."""


class Measured(Protocol):
    """A call whose texts have known sizes."""

    ends: Sequence[int]
    """Bytes of all texts up to and including each: a running sum."""

    @property
    def failed(self) -> bool:
        """Whether the call has failed, so that nothing more is worth a retry."""
        ...


J = TypeVar("J", bound=Measured)


@dataclass(frozen=True, eq=False)
class Piece(Generic[J]):
    """A run of one call's texts that waits, or travels, together: `start` up to and without `stop`."""

    job: J
    start: int
    stop: int
    attempts: int = 0
    """Attempts that these texts were part of."""
    refusals: int = 0
    """Times that another text of the same call was refused by name beside them."""

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def size(self) -> int:
        """Bytes of these texts."""
        return self.job.ends[self.stop - 1] - self.before

    @property
    def before(self) -> int:
        """Bytes of the call's texts ahead of these."""
        return self.job.ends[self.start - 1] if self.start else 0

    def split(self, count: int) -> tuple[Piece[J], Piece[J]]:
        """Cut off the first `count` texts."""
        middle = self.start + count
        return replace(self, stop=middle), replace(self, start=middle)


@dataclass
class Capacity:
    """What fits into one request: learned, for the life of a client."""

    max_inputs: int
    max_tokens: int = MAX_TOKENS
    tokens_per_byte: float = 1.0
    """The estimate. No byte-level tokeniser makes more tokens than bytes."""
    charged: bool = False
    """Whether an answer has told what tokens cost."""

    @property
    def max_bytes(self) -> int:
        """The largest request in bytes, by the present estimate."""
        return max(1, int(self.max_tokens / self.tokens_per_byte))

    def learn_price(self, size: int, tokens: int) -> None:
        """Learn from an answer: `size` bytes were charged as `tokens`."""
        if not size or not tokens:
            return
        price = min(1.0, SAFETY * tokens / size)
        weight = 1.0 if price > self.tokens_per_byte or not self.charged else CALM
        self.tokens_per_byte += weight * (price - self.tokens_per_byte)
        self.charged = True

    def learn_inputs(self, inputs: int, named: int | None) -> None:
        """Learn from a refusal of `inputs` texts: the largest number allowed, or half of what was refused."""
        self.max_inputs = max(1, min(self.max_inputs, named or inputs // 2))

    def learn_tokens(self, size: int, named: int | None, requested: int | None) -> None:
        """Learn from a refusal of `size` bytes, which always makes the next request smaller.

        Args:
            size: Bytes of the refused request.
            named: Tokens that a request may have, where the message tells.
            requested: Tokens that this one had, where the message tells; else it is halved.
        """
        self.max_tokens = min(self.max_tokens, named or self.max_tokens)
        half = 2 * self.max_tokens / size
        told = SAFETY * requested / size if requested else 0.0
        self.tokens_per_byte = max(self.tokens_per_byte, told if told * size > self.max_tokens else half)


def take(waiting: deque[Piece[J]], max_inputs: int, max_bytes: int) -> list[Piece[J]]:
    """Take from the head of `waiting` what fits, in order; the last piece is cut where it no longer fits.

    Nothing is taken when the first text does not fit: whoever forms a request from an empty one uses `take_one`.
    """
    taken: list[Piece[J]] = []
    while waiting and max_inputs > 0:
        piece = waiting[0]
        room = bisect_right(piece.job.ends, piece.before + max_bytes, piece.start, piece.stop) - piece.start
        count = min(room, max_inputs, len(piece))
        if count == 0:
            break
        waiting.popleft()
        if count < len(piece):
            piece, rest = piece.split(count)
            waiting.appendleft(rest)
        taken.append(piece)
        max_inputs -= count
        max_bytes -= piece.size
    return taken


def take_one(waiting: deque[Piece[J]]) -> list[Piece[J]]:
    """Take the first text, however large: alone in a request is its only chance."""
    piece = waiting.popleft()
    if len(piece) > 1:
        piece, rest = piece.split(1)
        waiting.appendleft(rest)
    return [piece]


def halve(pieces: Sequence[Piece[J]]) -> tuple[list[Piece[J]], list[Piece[J]]]:
    """Cut the texts of a request into two halves, in order."""
    left: list[Piece[J]] = []
    right: list[Piece[J]] = []
    room = sum(map(len, pieces)) // 2
    for piece in pieces:
        count = min(room, len(piece))
        room -= count
        if count == len(piece):
            left.append(piece)
        elif count == 0:
            right.append(piece)
        else:
            head, tail = piece.split(count)
            left.append(head)
            right.append(tail)
    return left, right


def share(total: int, weights: Sequence[int]) -> list[int]:
    """Divide a whole number by weights, so that the parts add up to it again (largest remainders first)."""
    if len(weights) == 1:
        return [total]
    whole = sum(weights) or 1
    parts = [total * weight // whole for weight in weights]
    order = sorted(range(len(weights)), key=lambda i: -(total * weights[i] % whole))
    for i in order[: total - sum(parts)]:
        parts[i] += 1
    return parts
