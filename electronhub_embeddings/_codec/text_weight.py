"""Weighs texts: about how many tokens they have, without a tokenizer. No I/O.

A tokenizer cuts a text where letters, digits, signs and spaces meet. How many tokens begin at a byte, on average,
therefore follows from the class of that byte and of the byte before it. Bytes alone say less: a token of cl100k_base is
nearly five bytes of English, four of French, and three of JSON.
"""

from __future__ import annotations

import string
from functools import cache
from typing import TYPE_CHECKING

from electronhub_embeddings._config.import_lock import importing

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

CLASSES: dict[str, bytes] = {
    "sign": b"",  # all others
    "edge": b"\0",  # stands before each text
    "lower": string.ascii_lowercase.encode(),
    "upper": string.ascii_uppercase.encode(),
    "digit": string.digits.encode(),
    "space": b" \t",
    "newline": b"\r\n",
    "underscore": b"_",
    "first of two": bytes(range(0xC0, 0xE0)),  # in UTF-8, as of é and я
    "first of three": bytes(range(0xE0, 0x100)),  # or of four, as of 漢
    "further": bytes(range(0x80, 0xC0)),
}
"""The bytes of each class."""

GROUP = 128
"""Texts that are weighed at once, in ten times their memory."""

TOKENS: tuple[tuple[float, ...], ...] = (
    (0.1, 0, 0.42, 1.08, 0.48, 0.43, 0.24, 0.09, 0.18, 0.05, 0),
    (1.09, 0, 0.89, 1.89, 1.4, 0, 0, 1.58, 0.24, 0.14, 0),
    (0.95, 0, 0.06, 0.42, 0.68, 0.48, 1.44, 0.14, -0.06, -0.88, 0),
    (1.08, 0, 0.1, 0.04, 0.27, 0.03, 0.93, 0.27, 0.02, -0.63, 0),
    (1.48, 0, 1.29, 1.8, 0.28, 1.58, 1.51, 0.48, 0.4, -0.45, 0),
    (1.11, 0, 0.28, 0.73, 0.62, 0.06, 1.25, 0.63, -0.76, -0.01, 0),
    (1.17, 0, 1.08, 2.14, 0.11, 0.31, 0, 0, 0, 2.62, 0),
    (0.22, 0, 0.85, 1.09, 1.46, 0.16, 0.56, 0.41, 1.19, -0.9, 0),
    (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.78),
    (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.09),
    (1.39, 0, 1.8, 1.79, 0.89, 0.86, 1.49, -0.02, -0.42, 0.15, 0.75),
)
"""Tokens that begin at a byte, by the class of the byte before it (row) and its own (column), in the order of CLASSES.

Fitted to texts in English, German, French, Russian, Chinese and Japanese, to code and to JSON, with the tokens of
cl100k_base (benchmarks/token_weights.py). Only sums over texts have a meaning: a part may be negative."""


def weigh(texts: Sequence[str]) -> float:
    """Return about how many tokens texts have in total, one for each text at least; takes about 4 ns for each byte."""
    groups = (texts[start : start + GROUP] for start in range(0, len(texts), GROUP))
    return max(float(len(texts)), sum(map(_weigh_group, groups)))


def _weigh_group(texts: Sequence[str]) -> float:
    with importing:
        import numpy as np  # noqa: PLC0415 - slow to import

    data, tokens = ("\0" + "\0".join(texts)).encode(), _tokens_of_pairs()
    pairs = (np.frombuffer(data, "<u2", (len(data) - start) // 2, start) for start in (0, 1))
    parts = (tokens.take(pair, mode="wrap") for pair in pairs)  # none is out of range: a check takes as long again
    return sum(float(part.sum()) for part in parts)


def classes_of_bytes() -> NDArray[np.uint8]:
    """Return the class of each byte, uint8 of shape (256,)."""
    import numpy as np  # noqa: PLC0415 - slow to import

    classes = np.zeros(256, np.uint8)
    for number, members in enumerate(CLASSES.values()):
        classes[list(members)] = number
    return classes


@cache
def _tokens_of_pairs() -> NDArray[np.float32]:
    """Return the tokens for each pair of bytes as a little-endian number, float32 of shape (65536,)."""
    import numpy as np  # noqa: PLC0415 - slow to import

    classes = classes_of_bytes()
    table: NDArray[np.float32] = np.array(TOKENS, np.float32)
    return table[classes][:, classes].ravel("F")  # the second byte is the higher one
