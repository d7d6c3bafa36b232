"""Decides which waiting texts fit into the next batch, and learns the limits from the service's responses.

Invariants:
- Order is preserved; no text is dropped or duplicated.
- A batch holds at least one text. It exceeds the limits on inputs and estimated tokens only if that text alone does.
- The token estimate starts at one token per byte, an upper bound, and is corrected by the tokens that the service
  charges.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

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


SAMPLING_ERROR = 0.5
"""How far the average of one text is off, as a part of it; that of n texts is off by a square root of n less. Measured
with paragraphs of English and code: 19 of 20 averages are closer (benchmarks/forecast.py)."""

TYPICAL_TOKENS_PER_BYTE = 0.25
"""What to expect before the first answer: English has about four bytes to a token of cl100k_base."""


@dataclass
class Charged:
    """The tokens that answers have charged: an average for forecasts, without the margin that a batch needs."""

    size: int = 0
    """Bytes of all answered batches."""
    tokens: int = 0
    """Tokens charged for them."""
    texts: int = 0
    """Their texts."""
    lowest: float = 1.0
    """Fewest tokens per byte of any batch."""
    highest: float = 0.0
    """Most tokens per byte of any batch."""

    def add(self, texts: int, size: int, tokens: int) -> None:
        """Record an answer: `size` bytes in `texts` texts were charged as `tokens`."""
        self.texts += texts
        self.size += size
        self.tokens += tokens
        self.lowest = min(self.lowest, tokens / size)
        self.highest = max(self.highest, tokens / size)

    @property
    def tokens_per_byte(self) -> float:
        """The average, or before the first answer what is typical."""
        return self.tokens / self.size if self.size else TYPICAL_TOKENS_PER_BYTE

    def expect(self, texts: int, size: int) -> tuple[int, int, int]:
        """Return the tokens to expect of texts of `size` bytes in total, the fewest and the most that are likely.

        Before the first answer only what is certain bounds them: each text has a token, and each token a byte.
        """
        if not self.size:
            return max(texts, round(size * TYPICAL_TOKENS_PER_BYTE)), texts, size
        average, error = self.tokens_per_byte, max(ESTIMATE_MARGIN - 1.0, SAMPLING_ERROR / math.sqrt(self.texts))
        low, high = min(self.lowest, average * (1.0 - error)), max(self.highest, average * (1.0 + error))
        return round(size * average), int(size * low), round(size * high)


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

    def learn_tokens_per_byte(self, size: int, tokens: int, texts: int = 1) -> None:
        """Learn from an answer: `size` bytes in `texts` texts were charged as `tokens`."""
        if not size or not tokens:
            return
        self.charged.add(texts, size, tokens)
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
