"""Makes the vectors that a model sends, from hashed words, from meanings, or with a function of the user.

Two steps, neither of which changes a cosine. The numbers of a text are repeated until there are as many as the model
has: all copies have the same dot product. Then each coordinate gets a sign, other ones for each model, so the vectors
of two models are unrelated. The order stays, so `dimensions` keeps the first numbers, which say the most.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np

from electronhub_embeddings.emulator._hashed_vectors import hash_signs, hash_texts
from electronhub_embeddings.emulator._semantic_vectors import embed_meaning, is_installed, load_model

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from electronhub_embeddings.emulator._embeddings import Model

EmbedFunction: TypeAlias = Callable[[list[str]], "ArrayLike"]
Embed: TypeAlias = Literal["hashed", "semantic", "auto"] | EmbedFunction

EMBED_CHOICES: Final = ("auto", "semantic", "hashed")

# Fewer texts are not worth a thread. With more, the event loop must stay free to count further calls.
_MIN_TEXTS_FOR_THREAD: Final = 32


def chosen(embed: Embed) -> Embed:
    """Return what "auto" stands for on this machine, and anything else as it is."""
    if embed != "auto":
        return embed
    return "semantic" if is_installed() else "hashed"


class VectorSource:
    """Makes the vectors of one emulator, which documents `embed`.

    Raises:
        ImportError: "semantic", and the extra is not installed.
        ValueError: any other string.
    """

    def __init__(self, embed: Embed) -> None:
        embed = chosen(embed)
        self._lock = threading.Lock()
        self._function: EmbedFunction | None = None
        self._is_custom = False
        if callable(embed):
            self._function, self._is_custom = embed, True
        elif embed == "semantic":
            load_model()
            self._function = embed_meaning
        elif embed != "hashed":
            raise ValueError(f"embed must be {', '.join(map(repr, EMBED_CHOICES))} or a function, not {embed!r}")

    def needs_thread(self, texts: list[str]) -> bool:
        """Return whether the vectors take so long that an event loop should not wait for them."""
        return self._is_custom or len(texts) >= _MIN_TEXTS_FOR_THREAD

    def embed(self, texts: list[str], model: Model, dimensions: int | None = None) -> NDArray[np.float32]:
        """Return a unit vector for each text: float32, of shape (texts, `dimensions` or the model's length).

        Raises:
            ValueError: the user's function has returned something else than a vector for each text.
        """
        width = model.dimensions
        rows = hash_texts(texts, width) if self._function is None else self._call(self._function, texts, width)
        name = model.id if model.version == 1 else f"{model.id} version {model.version}"
        rows = (rows * _model_signs(name, width))[:, :dimensions]
        for row in np.flatnonzero(~rows.any(axis=1)):
            # No direction of its own, such as a text without a word that the function knows.
            rows[row] = hash_signs(texts[row].encode("utf-8", "surrogatepass"), width)[:dimensions]
        # Of each row by itself: the bits of a vector must not depend on what else is in a request.
        norms = np.sqrt([row @ row for row in rows])
        vectors: NDArray[np.float32] = (rows / norms[:, None]).astype(np.float32)
        return vectors

    def _call(self, function: EmbedFunction, texts: list[str], width: int) -> NDArray[np.float64]:
        with self._lock:
            rows = np.asarray(function(list(texts)), np.float64)
        if rows.ndim != 2 or len(rows) != len(texts) or not rows.shape[1]:  # noqa: PLR2004 - texts, and numbers of each
            raise ValueError(f"embed must return an array of shape ({len(texts)}, length), not {rows.shape}")
        if not np.isfinite(rows).all():
            raise ValueError("embed has returned a number that is not finite")
        return _repeat(rows, width)


def _repeat(rows: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Return rows of length `width` with the same dot products: n copies of a number weigh one nth each.

    Longer rows are cut, which does change their dot products.
    """
    place = np.arange(width) % rows.shape[1]
    copies = np.bincount(place)[place]
    repeated: NDArray[np.float64] = rows[:, place] / np.sqrt(copies)
    return repeated


@lru_cache(maxsize=64)
def _model_signs(model: str, width: int) -> NDArray[np.int8]:
    """Return signs that make vectors of two models unrelated and keep the distances within one model."""
    return hash_signs(b"model " + model.encode(), width)
