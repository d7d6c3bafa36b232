"""Vectors that know words by their letters: hashed, the same on every machine to the bit, and made without a model.

A text is a bag of words. A word is itself plus its trigrams ("<options>": "<op", "opt", ... "ns>"), so `option` is near
`options`. The hash of each word and trigram is a row of signs, and a vector is the weighted sum of the rows. All
coordinates are equally informative, so the first d of them, renormalised, are a valid shorter vector.

A trace of the exact text is mixed in. Texts that differ only in case or spaces are therefore about 0.14 apart, and
a text without words still has a direction. All sums are integer sums, so every machine computes the same bits.
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

# At most 24 characters each: a text in a script without spaces must not become one endless word.
_WORD: Final = re.compile(r"[^\W_]{1,24}")
_STOP_WORDS: Final = frozenset(
    "a about all also am an and any are as at be been but by can did do does each for from had has have he "  # noqa: SIM905
    "her his how i if in into is it its may more most my no not of on one only or other our out over she "
    "should so some such than that the their them then there these they this those to up used was we were "
    "what when where which who why will with would you your".split()
)
_MAX_WORD_WEIGHT: Final = 6
_WORD_NORM: Final = 64
_EXACT_TEXT_SHARE: Final = 0.1


def hash_texts(texts: list[str], width: int) -> NDArray[np.float64]:
    """Return a row of `width` whole numbers for each text, which are exact in float64; no number is zero."""
    return np.array([_hash_text(text, width) for text in texts], np.float64)


def hash_signs(data: bytes, width: int) -> NDArray[np.int8]:
    """Return `width` times plus or minus one, the bits of the SHAKE-256 hash of `data`."""
    bits = np.unpackbits(np.frombuffer(hashlib.shake_256(data).digest(width // 8), np.uint8))
    signs: NDArray[np.int8] = (bits * np.uint8(2)).astype(np.int8) - np.int8(1)
    return signs


@lru_cache(maxsize=1024)  # a test that asks for a text's vector has often just embedded it
def _hash_text(text: str, width: int) -> NDArray[np.int32]:
    total = np.zeros(width, np.int32)
    for word, count in Counter(_WORD.findall(text.casefold())).items():
        # A word that occurs four times counts more than one that occurs once, but not four times as much.
        total += _word_weight(word) * count.bit_length() * _word_vector(word, width)
    # The words' sum is even and the exact text's share is odd: no coordinate can be zero.
    total *= 2
    exact = int(_EXACT_TEXT_SHARE * _norm(total) / math.sqrt(width)) | 1
    return total + exact * hash_signs(text.encode("utf-8", "surrogatepass"), width).astype(np.int32)


def _word_weight(word: str) -> int:
    """Return the weight of a word: 1 for a stop word, up to 6 for long words."""
    if word in _STOP_WORDS:
        return 1
    return min(_MAX_WORD_WEIGHT, 2 + len(word) // 2) if word.isascii() else _MAX_WORD_WEIGHT


@lru_cache(maxsize=4096)
def _word_vector(word: str, width: int) -> NDArray[np.int32]:
    """Return the vector of a word: one third the word itself, two thirds its trigrams."""
    framed = f"<{word}>"
    trigrams = [framed[i : i + 3] for i in range(len(framed) - 2)]
    total = round(math.sqrt(len(trigrams) / 2) * 8) * _feature_signs(framed, width).astype(np.int32)
    for trigram in trigrams:
        total += 8 * _feature_signs(trigram, width)
    vector: NDArray[np.int32] = np.rint(total * (_WORD_NORM * math.sqrt(width) / _norm(total))).astype(np.int32)
    return vector


@lru_cache(maxsize=4096)
def _feature_signs(feature: str, width: int) -> NDArray[np.int8]:
    return hash_signs(b"feature " + feature.encode("utf-8", "surrogatepass"), width)


def _norm(vector: NDArray[np.int32]) -> float:
    """Return the length of an integer vector: the sum is exact, and IEEE 754 defines the rounding of the root."""
    wide = vector.astype(np.int64)
    return math.sqrt(int(wide @ wide))
