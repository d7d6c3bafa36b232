"""Decides which waiting texts fit into the next batch, and learns the limits from the service's responses.

Invariants:
- Order is preserved; no text is dropped or duplicated.
- A batch holds at least one text. It exceeds the limits on inputs and estimated tokens only if that text alone does.
- The token estimate starts at one token per byte, an upper bound, and is corrected by the tokens that the service
  charges.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from electronhub_embeddings._scheduling.charged_tokens import Charged

if TYPE_CHECKING:
    from collections import deque

    from electronhub_embeddings._scheduling.batch import Slice

MAX_TOKENS = 300_000
"""Tokens in one request: the limit of the OpenAI models behind the service."""

ESTIMATE_MARGIN = 1.05
"""Factor between an estimate and the charged tokens: the next texts may have more tokens per byte."""

EWMA_WEIGHT = 0.25
"""Smoothing weight for observations below the estimate. Higher ones are adopted at once, because an oversized batch is
rejected and its request wasted."""


@dataclass
class BatchLimits:
    """The learned limits of one request, kept for the life of a client."""

    max_inputs: int
    max_tokens: int = MAX_TOKENS
    tokens_per_byte: float = 1.0
    """The estimate. No byte-level tokeniser produces more tokens than bytes."""
    observed: bool = False
    """Whether an answer has reported charged tokens."""
    charged: Charged = field(default_factory=Charged)
    """What all answers have charged."""

    @property
    def max_bytes(self) -> int:
        """The size of the largest batch in bytes, by the current estimate."""
        return max(1, int(self.max_tokens / self.tokens_per_byte))

    def learn_tokens_per_byte(self, size: int, tokens: int) -> None:
        """Learn from an answer: `size` bytes were charged as `tokens`."""
        if not size or not tokens:
            return
        observed = min(1.0, ESTIMATE_MARGIN * tokens / size)
        weight = 1.0 if observed > self.tokens_per_byte or not self.observed else EWMA_WEIGHT
        self.tokens_per_byte += weight * (observed - self.tokens_per_byte)
        self.observed = True

    def learn_max_inputs(self, inputs: int, named: int | None) -> None:
        """Learn from a refusal of `inputs` texts: the number that the message allows, or half of what was refused."""
        self.max_inputs = max(1, min(self.max_inputs, named or inputs // 2))

    def learn_max_tokens(self, size: int, named: int | None, requested: int | None) -> None:
        """Learn from a refusal of `size` bytes; the next batch is always smaller.

        Args:
            size: Bytes of the refused batch.
            named: The allowed tokens in a request, if the message names them.
            requested: The tokens in this request, if the message names them; otherwise the batch is halved.
        """
        self.max_tokens = min(self.max_tokens, named or self.max_tokens)
        half = 2 * self.max_tokens / size
        estimate = ESTIMATE_MARGIN * requested / size if requested else 0.0
        self.tokens_per_byte = max(self.tokens_per_byte, estimate if estimate * size > self.max_tokens else half)


def take(waiting: deque[Slice], max_inputs: int, max_bytes: int) -> list[Slice]:
    """Take the texts that fit from the head of `waiting`, in order; the last slice is split if only a part of it fits.

    Nothing is taken if the first text does not fit; use `take_one` for a batch that would be empty.
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
    """Take the first text, whatever its size: it can only succeed alone in a request."""
    part = waiting.popleft()
    if len(part) > 1:
        part, rest = part.split(1)
        waiting.appendleft(rest)
    return [part]
