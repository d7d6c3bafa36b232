"""Vectors that need no model: words and their letters, hashed.

A text is a bag of words, a word is itself plus its trigrams ("<options>": "<op", "opt", ... "ns>"), so
`option` is near `options`. A feature is a row of signs, the bits of its SHAKE-256, and a vector the weighted
sum. Each coordinate is an equally good sample of the text, so the first d of them, renormalised, are a fair
shorter vector.

A trace of the exact text is mixed in: texts that differ in case or spaces alone differ too, by about 0.14,
and a text without any word still has a direction. All sums are of integers: every machine gets the same bits.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from electronhub_embeddings.emulator.models import Model

# At most 24 characters each: a script without spaces must not become one endless word.
_WORD: Final = re.compile(r"[^\W_]{1,24}")
_STOP_WORDS: Final = frozenset(
    "a about all also am an and any are as at be been but by can did do does each for from had has have he "  # noqa: SIM905
    "her his how i if in into is it its may more most my no not of on one only or other our out over she "
    "should so some such than that the their them then there these they this those to up used was we were "
    "what when where which who why will with would you your".split()
)
_WORD_NORM: Final = 64
_EXACT_SHARE: Final = 0.1


def embed(text: str, model: Model, dimensions: int | None = None) -> NDArray[np.float32]:
    """Return the unit vector of `text`, float32, of length `dimensions` (default: all of the model's)."""
    width = model.dimensions
    total = np.zeros(width, np.int32)
    for word, count in Counter(_WORD.findall(text.casefold())).items():
        # A word said four times tells more than once, not four times more.
        total += _weight(word) * count.bit_length() * _word(word, width)
    # Even above and odd below: no coordinate can be zero, so no text is without a direction.
    total *= 2
    exact = int(_EXACT_SHARE * _norm(total) / math.sqrt(width)) | 1
    total += exact * _signs(text.encode("utf-8", "surrogatepass"), width).astype(np.int32)
    total *= _model_signs(model.id, width)
    shortened = total[:dimensions]
    return (shortened / _norm(shortened)).astype(np.float32)


def _weight(word: str) -> int:
    """Return how much a word tells: 1 for those that tell nothing, up to 6 for long and rare ones."""
    if word in _STOP_WORDS:
        return 1
    return min(6, 2 + len(word) // 2) if word.isascii() else 6


@lru_cache(maxsize=4096)
def _word(word: str, width: int) -> NDArray[np.int32]:
    """Return a word: a third itself, two thirds its trigrams."""
    framed = f"<{word}>"
    trigrams = [framed[i : i + 3] for i in range(len(framed) - 2)]
    total = round(math.sqrt(len(trigrams) / 2) * 8) * _feature(framed, width).astype(np.int32)
    for trigram in trigrams:
        total += 8 * _feature(trigram, width)
    word_sum: NDArray[np.int32] = np.rint(total * (_WORD_NORM * math.sqrt(width) / _norm(total))).astype(np.int32)
    return word_sum


@lru_cache(maxsize=4096)
def _feature(name: str, width: int) -> NDArray[np.int8]:
    return _signs(b"feature " + name.encode("utf-8", "surrogatepass"), width)


@lru_cache(maxsize=64)
def _model_signs(model: str, width: int) -> NDArray[np.int8]:
    """Return what makes the vectors of two models strangers, and keeps those of one as near as they were."""
    return _signs(b"model " + model.encode(), width)


def _signs(data: bytes, width: int) -> NDArray[np.int8]:
    """Return `width` times plus or minus one, the bits of the hash of `data`."""
    bits = np.unpackbits(np.frombuffer(hashlib.shake_256(data).digest(width // 8), np.uint8))
    signs: NDArray[np.int8] = (bits * np.uint8(2)).astype(np.int8) - np.int8(1)
    return signs


def _norm(vector: NDArray[np.int32]) -> float:
    """Return the length of an integer vector: an exact sum, and a root that IEEE rounds alike everywhere."""
    wide = vector.astype(np.int64)
    return math.sqrt(int(wide @ wide))
