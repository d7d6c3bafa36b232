"""The models, and their vectors and token counts, which are computed without a real model.

Vectors: a text is a bag of words. A word is itself plus its trigrams ("<options>": "<op", "opt", ... "ns>"), so
`option` is near `options`. The hash of each word and trigram is a row of signs, and a vector is the weighted sum of
the rows. All coordinates are equally informative, so the first d of them, renormalised, are a valid shorter vector.

A trace of the exact text is mixed in. Texts that differ only in case or spaces are therefore about 0.14 apart, and
a text without words still has a direction. All sums are integer sums, so every machine computes the same bits.

Tokens: every match of a pattern is one token. English comes to about four characters a token and CJK to about one,
as with cl100k_base. A match consumes at least one byte, so no text has more tokens than UTF-8 bytes.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pybase64

if TYPE_CHECKING:
    from numpy.typing import NDArray

EMBEDDINGS_PATH: Final = "/v1/embeddings"
CHAT_PATH: Final = "/v1/chat/completions"
MAX_INPUT_TOKENS: Final = 8192

_TOKEN: Final = re.compile(
    r"[A-Za-z]{1,7}"  # most English words are one token, long ones two or three
    r"|[0-9]{1,3}"  # cl100k_base groups digits by three
    r"|[\u00c0-\u058f]{1,2}"  # accented Latin, Greek, Cyrillic, Armenian
    r"|[^\s\x00-\x7f]"  # CJK, emoji and the rest
    r"|[!-/:-@\[-`{-~]{1,2}"  # punctuation often pairs up
    r"|\s{2,}|[\n\t]"  # a single space belongs to the word after it
)
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


@dataclass(frozen=True)
class Model:
    """One row of `GET /v1/models`."""

    id: str
    dimensions: int
    """Length of the vectors, and the largest value of `dimensions`; 0 for a model without vectors."""
    accepts_dimensions: bool = False
    """Whether a request may set `dimensions`: "text-embedding-3 models only"."""
    owned_by: str = "openai"
    endpoints: tuple[str, ...] = (EMBEDDINGS_PATH,)
    price: float = 0.1
    """The price of a million tokens: the vendor's own at the time of writing, for what the service asks may change."""
    version: int = 1
    """Another one makes other vectors, and shows nowhere else."""

    @property
    def embeds(self) -> bool:
        """Whether the model serves embeddings."""
        return EMBEDDINGS_PATH in self.endpoints

    def row(self) -> dict[str, Any]:
        """Return the row that `GET /v1/models` lists."""
        return {
            "id": self.id,
            "object": "model",
            "owned_by": self.owned_by,
            "endpoints": list(self.endpoints),
        }

    def description(self) -> dict[str, Any]:
        """Return what `GET /v1/models/{model}` sends."""
        pricing = {"type": "per_million_tokens", "input": self.price}
        return {**self.row(), "pricing": pricing, "tokens": MAX_INPUT_TOKENS, "premium_model": False}


MODELS: Final = {
    model.id: model
    for model in (
        Model("text-embedding-3-small", 1536, accepts_dimensions=True, price=0.02),
        Model("text-embedding-3-large", 3072, accepts_dimensions=True, price=0.13),
        Model("text-embedding-ada-002", 1536),
        Model("codestral-embed", 1536, owned_by="mistral"),
        Model("mistral-embed", 1024, owned_by="mistral"),
        Model("gemini-embedding-2", 3072, owned_by="google"),
        Model("gpt-4o-mini", 0, endpoints=(CHAT_PATH,)),
    )
}
"""Every model by id: the embedding models, and a chat model that a client has to filter out."""


def count_tokens(text: str) -> int:
    """Return the number of tokens of `text`, which is not empty: at least 1, at most its UTF-8 bytes."""
    return max(1, len(_TOKEN.findall(text)))


def embed(text: str, model: Model, dimensions: int | None = None) -> NDArray[np.float32]:
    """Return the unit vector of `text`, float32, of length `dimensions` (default: the model's)."""
    width = model.dimensions
    total = np.zeros(width, np.int32)
    for word, count in Counter(_WORD.findall(text.casefold())).items():
        # A word that occurs four times counts more than one that occurs once, but not four times as much.
        total += _word_weight(word) * count.bit_length() * _word_vector(word, width)
    # The words' sum is even and the exact text's share is odd: no coordinate can be zero.
    total *= 2
    exact = int(_EXACT_TEXT_SHARE * _norm(total) / math.sqrt(width)) | 1
    total += exact * _hash_signs(text.encode("utf-8", "surrogatepass"), width).astype(np.int32)
    total *= _model_signs(model.id if model.version == 1 else f"{model.id} version {model.version}", width)
    shortened = total[:dimensions]
    return (shortened / _norm(shortened)).astype(np.float32)


def encode_vector(vector: NDArray[np.float32], *, base64: bool) -> str | list[float]:
    """Return a vector as JSON carries it: base64 of little-endian float32, or a list of numbers."""
    if base64:
        return pybase64.b64encode(vector.astype("<f4", copy=False).tobytes()).decode("ascii")
    numbers: list[float] = vector.tolist()
    return numbers


def decode_vector(embedding: str | list[float]) -> NDArray[np.float32]:
    """Return a writable copy of an encoded vector."""
    if isinstance(embedding, str):
        return np.array(np.frombuffer(pybase64.b64decode(embedding), "<f4"))
    return np.array(embedding, "<f4")


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
    return _hash_signs(b"feature " + feature.encode("utf-8", "surrogatepass"), width)


@lru_cache(maxsize=64)
def _model_signs(model: str, width: int) -> NDArray[np.int8]:
    """Return signs that make vectors of two models unrelated and keep the distances within one model."""
    return _hash_signs(b"model " + model.encode(), width)


def _hash_signs(data: bytes, width: int) -> NDArray[np.int8]:
    """Return `width` times plus or minus one, the bits of the SHAKE-256 hash of `data`."""
    bits = np.unpackbits(np.frombuffer(hashlib.shake_256(data).digest(width // 8), np.uint8))
    signs: NDArray[np.int8] = (bits * np.uint8(2)).astype(np.int8) - np.int8(1)
    return signs


def _norm(vector: NDArray[np.int32]) -> float:
    """Return the length of an integer vector: the sum is exact, and IEEE 754 defines the rounding of the root."""
    wide = vector.astype(np.int64)
    return math.sqrt(int(wide @ wide))
