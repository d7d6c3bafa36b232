"""The reference text, and how far apart two of its vectors are. No I/O.

The vector of one fixed text tells whether the model behind a name is still the same. No service returns exactly the
same numbers every time, so that a bound is needed. Distances are relative: the Euclidean distance of two vectors,
divided by the length of the first one. What is known of them (docs/caching.md has the sources):

    0.00000003     numbers rounded to float32; to 7 digits: 0.0000001
    0.0002         numbers rounded to float16; to bfloat16: 0.002
    0.001 - 0.008  the same text embedded again, alone or in another batch
    0.03           the worst case of that which was reported, for a text of two words
    0.14           a model whose weights were quantized to 8 bits
    0.4            the next version of the same model
    1.4            an unrelated model
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

REFERENCE_TEXT = "The quick brown fox jumps over the lazy dog."
"""An ordinary sentence, about ten tokens: short texts of one or two words vary most."""

REFERENCE_BYTES = len(REFERENCE_TEXT)

MAX_DISTANCE = 0.2
"""Largest relative distance of two vectors of one model; vectors of length 1 then have a cosine similarity of 0.98."""


def relative_distance(kept: np.ndarray, received: np.ndarray) -> float:
    """Return the Euclidean distance of two vectors, relative to the length of `kept`; infinite if the lengths differ.

    Args:
        kept: float32 of shape (d,).
        received: float32 of shape (e,).
    """
    if kept.shape != received.shape:
        return math.inf
    wide = kept.astype("float64")  # the squares of the largest float32 are too large for float32
    difference = wide - received
    distance, length = math.sqrt(difference @ difference), math.sqrt(wide @ wide)
    return distance / length if length else math.inf if distance else 0.0
