"""The tokens that the service has charged, and what they let expect of other texts. No batch is formed by it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from electronhub_embeddings._codec.text_weight import weigh

if TYPE_CHECKING:
    from collections.abc import Sequence

LEAST_ERROR = 0.05
"""How far off the tokens of other texts are at least taken to be: they may be of another kind."""

SAMPLING_ERROR = 0.25
"""How far the tokens of one text are off from what its weight lets expect, as a part of them; those of n texts are off
by a square root of n less. Measured with paragraphs of English and code: 98 of 100 are closer."""

ENOUGH_TEXTS = 2048
"""Charged texts after which no more are weighed: their average is off by a two-hundredth at most."""


@dataclass
class Charged:
    """The tokens that answers have charged: an average for forecasts, without the margin that a batch needs."""

    texts: int = 0
    """Texts of the answers that were counted."""
    weight: float = 0.0
    """Their weight."""
    tokens: int = 0
    """Tokens charged for them."""
    lowest: float = math.inf
    """Fewest tokens for the weight of any batch."""
    highest: float = 0.0
    """Most tokens for the weight of any batch."""

    def add(self, texts: Sequence[str], tokens: int) -> None:
        """Record an answer: texts were charged as `tokens`."""
        if not tokens:
            return
        weight = weigh(texts)
        self.texts += len(texts)
        self.weight += weight
        self.tokens += tokens
        self.lowest = min(self.lowest, tokens / weight)
        self.highest = max(self.highest, tokens / weight)

    def expect(self, texts: int, size: int, weight: float) -> tuple[int, int, int]:
        """Return the tokens to expect of texts, the fewest and the most that are likely.

        Before the first answer only what is certain bounds them: each text has a token, and each token a byte.

        Args:
            texts: The number of texts.
            size: Their bytes.
            weight: Their weight.
        """
        if not self.texts:
            return max(texts, min(round(weight), size)), texts, size
        average, error = self.tokens / self.weight, max(LEAST_ERROR, SAMPLING_ERROR / math.sqrt(self.texts))
        low, high = min(self.lowest, average * (1.0 - error)), max(self.highest, average * (1.0 + error))
        return round(weight * average), int(weight * low), math.ceil(weight * high)
