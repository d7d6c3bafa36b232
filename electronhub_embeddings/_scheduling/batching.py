"""Decides which waiting texts fit into the next batch, and learns the limits from the service's responses.

Invariants:
- Order is kept; nothing is dropped or doubled.
- A batch holds at least one text. It holds no more inputs and estimated tokens than the limits allow, unless that one
  text is larger.
- The token estimate starts at one token per byte, an upper bound, and is corrected by what the service charges.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections import deque

    from electronhub_embeddings._scheduling.batch import Slice

MAX_TOKENS = 300_000
"""Tokens in one request: the limit of the OpenAI models behind the service."""

ESTIMATE_MARGIN = 1.05
"""Estimates stay this much above what was charged, because the next texts may be denser."""

EWMA_WEIGHT = 0.25
"""Smoothing weight for observations below the estimate. Higher ones are adopted at once, because an oversized batch is
rejected and its request wasted."""


@dataclass
class BatchLimits:
    """The learned limits of one request, kept for the life of a client."""

    max_inputs: int
    max_tokens: int = MAX_TOKENS
    tokens_per_byte: float = 1.0
    """The estimate. No byte-level tokeniser makes more tokens than bytes."""
    observed: bool = False
    """Whether an answer has told what texts cost."""

    @property
    def max_bytes(self) -> int:
        """The largest batch in bytes, by the present estimate."""
        return max(1, int(self.max_tokens / self.tokens_per_byte))

    def learn_tokens_per_byte(self, size: int, tokens: int) -> None:
        """Learn from an answer: `size` bytes were charged as `tokens`."""
        if not size or not tokens:
            return
        price = min(1.0, ESTIMATE_MARGIN * tokens / size)
        weight = 1.0 if price > self.tokens_per_byte or not self.observed else EWMA_WEIGHT
        self.tokens_per_byte += weight * (price - self.tokens_per_byte)
        self.observed = True

    def learn_max_inputs(self, inputs: int, named: int | None) -> None:
        """Learn from a refusal of `inputs` texts: the number that the message allows, or half of what was refused."""
        self.max_inputs = max(1, min(self.max_inputs, named or inputs // 2))

    def learn_max_tokens(self, size: int, named: int | None, requested: int | None) -> None:
        """Learn from a refusal of `size` bytes; the next batch is smaller in any case.

        Args:
            size: Bytes of the refused batch.
            named: Tokens that a request may have, where the message says so.
            requested: Tokens that this one had, where the message says so; otherwise the batch is halved.
        """
        self.max_tokens = min(self.max_tokens, named or self.max_tokens)
        half = 2 * self.max_tokens / size
        told = ESTIMATE_MARGIN * requested / size if requested else 0.0
        self.tokens_per_byte = max(self.tokens_per_byte, told if told * size > self.max_tokens else half)


def take(waiting: deque[Slice], max_inputs: int, max_bytes: int) -> list[Slice]:
    """Take from the head of `waiting` what fits, in order; the last slice is cut where it no longer fits.

    Nothing is taken when the first text does not fit: whoever forms a batch from an empty one uses `take_one`.
    """
    taken: list[Slice] = []
    while waiting and max_inputs > 0:
        part = waiting[0]
        fitting = bisect_right(part.call.inputs.ends, part.before + max_bytes, part.start, part.stop) - part.start
        count = min(fitting, max_inputs, len(part))
        if count == 0:
            break
        waiting.popleft()
        if count < len(part):
            part, rest = part.split(count)
            waiting.appendleft(rest)
        taken.append(part)
        max_inputs -= count
        max_bytes -= part.size
    return taken


def take_one(waiting: deque[Slice]) -> list[Slice]:
    """Take the first text, however large it is: alone in a request it has its only chance."""
    part = waiting.popleft()
    if len(part) > 1:
        part, rest = part.split(1)
        waiting.appendleft(rest)
    return [part]
