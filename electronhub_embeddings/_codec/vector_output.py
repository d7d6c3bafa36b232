"""Collects the vectors of one call, in an array or in lists of Python floats."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from electronhub_embeddings.errors import InvalidResponseError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from electronhub_embeddings._codec.distinct_texts import TextInputs


class VectorOutput:
    """The vectors of one call. Several threads may store vectors at once, each for its own texts.

    Args:
        inputs: The texts of the call.
        as_lists: Whether the caller wants lists of Python floats. Vectors are converted as they arrive, while other
            requests are in flight, because the conversion takes longer than all other steps.
        keep: Called with `start`, `stop` and the vectors of those texts as they arrive, to write them to the cache.
    """

    def __init__(
        self, inputs: TextInputs, *, as_lists: bool, keep: Callable[[int, int, np.ndarray], None] | None = None
    ) -> None:
        self._inputs = inputs
        self._keep = keep
        # Lists are created empty and filled later: the garbage collector repeatedly traverses the content of newly
        # created lists, which would take a third of the time.
        self._lists: list[list[float]] | None = [[] for _ in inputs.texts] if as_lists else None
        self._arrays: dict[str, np.ndarray] = {}
        self._length: dict[str, int] = {}
        self._done: list[tuple[int, int]] = []
        self._known: list[tuple[int, int]] = []

    def agree(self, dimensions: int) -> None:
        """Set the length of the call's vectors, at the first ones, or check it.

        Raises:
            InvalidResponseError: The cached vectors have another length.
        """
        # setdefault is atomic: the first vectors can arrive in two threads at once.
        if (before := self._length.setdefault("dimensions", dimensions)) != dimensions:
            message = f"Vectors have {before} dimensions in the cache, {dimensions} at the service: name a new cache."
            raise InvalidResponseError(message)
        if self._lists is None and "vectors" not in self._arrays:
            self._arrays.setdefault("vectors", np.empty((len(self._inputs.texts), dimensions), np.float32))

    def place(self, start: int, stop: int, dimensions: int) -> np.ndarray | None:
        """Return the rows of texts `start` to `stop`, to decode into; None: lists are wanted, or the length differs."""
        if self._lists is not None:
            return None
        try:
            self.agree(dimensions)
        except InvalidResponseError:
            return None
        return self._arrays["vectors"][start:stop]

    def put_known(self, vectors: np.ndarray) -> None:
        """Store the cached vectors, which belong to the first texts."""
        self.agree(vectors.shape[1])
        self._put(0, len(vectors), vectors)
        self._known.append((0, len(vectors)))

    def forget_known(self) -> None:
        """Forget the cached vectors, and their length if there are no others: those of the same texts are put again."""
        with suppress(IndexError):  # none are left: `pop` is atomic, and answers can come in two threads at once
            self._done.remove(self._known.pop())
            if not self._done:
                self._length.clear()
                self._arrays.clear()

    def put(self, start: int, stop: int, vectors: np.ndarray, *, keep: bool = True) -> None:
        """Store the vectors of texts `start` to `stop`; with a cache and `keep`, they are written to disk first.

        Raises:
            InvalidResponseError: The cached vectors have another length.
        """
        self.agree(vectors.shape[1])
        if self._keep is not None and keep:
            self._keep(start, stop, vectors)
        self._put(start, stop, vectors)

    def _put(self, start: int, stop: int, vectors: np.ndarray) -> None:
        if self._lists is not None:
            for numbers, vector in zip(self._lists[start:stop], vectors, strict=True):
                numbers[:] = vector.tolist()
        elif vectors.base is not (array := self._arrays["vectors"]):
            array[start:stop] = vectors
        self._done.append((start, stop))

    def result(self) -> np.ndarray | list[list[float]]:
        """Return the vectors in the order of the inputs; equal inputs get a copy each."""
        places = self._inputs.places
        if self._lists is not None:
            return self._lists if places is None else _spread(self._lists, places)
        array = self._arrays["vectors"]
        return array if places is None else array[np.asarray(places)]

    def partial(self) -> dict[int, np.ndarray]:
        """Return the vectors stored so far: input index -> float32 array of shape (d,)."""
        # What is done is read first: other threads may be storing more.
        done = [i for start, stop in sorted(self._done) for i in range(start, stop)]
        vectors = self._lists if self._lists is not None else self._arrays.get("vectors", ())
        rows = {i: np.asarray(vectors[i], np.float32) for i in done}
        places = self._inputs.places
        return rows if places is None else {i: rows[place] for i, place in enumerate(places) if place in rows}


def _spread(lists: list[list[float]], places: Sequence[int]) -> list[list[float]]:
    """Return one list per input; equal inputs get copies, so that changing one list does not change another."""
    spread: list[list[float]] = []
    used: set[int] = set()
    for place in places:
        spread.append(lists[place].copy() if place in used else lists[place])
        used.add(place)
    return spread
