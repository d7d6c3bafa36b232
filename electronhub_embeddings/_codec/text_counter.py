"""Counts texts and measures them, without keeping them. No I/O."""

from __future__ import annotations

from array import array
from itertools import accumulate
from typing import TYPE_CHECKING

from electronhub_embeddings._codec.distinct_texts import TextInputs, prepare_texts
from electronhub_embeddings._codec.text_weight import weigh
from electronhub_embeddings.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class TextCounter:
    """Counts texts as `prepare_texts` would prepare them all at once.

    Of each distinct text, a hash of 64 bits and a size are kept: about 100 bytes. Two of a million texts have the same
    hash once in forty million times; then the second one is not counted.

    Args:
        prefix: Put before each text.
        recall: Returns how many of the texts have cached vectors, and the inputs with these first. None: no cache.
    """

    def __init__(self, prefix: str, recall: Callable[[TextInputs], tuple[int, TextInputs]] | None = None) -> None:
        self.texts = 0
        """All texts."""
        self.cached = 0
        """Distinct texts with a cached vector."""
        self.weight = 0.0
        """About how many tokens the texts to send have, by `weigh`."""
        self._prefix = prefix
        self._recall = recall
        self._hashes: set[int] = set()
        self._ends = array("Q")
        """Cumulative size of the texts to send, in bytes."""

    def add(self, texts: Iterable[str]) -> None:
        """Count some texts.

        Raises:
            InputError: As in `prepare_texts`; `.index` counts from the first text of all.
            CacheError: The cache cannot be read.
        """
        try:
            inputs = prepare_texts(texts, self._prefix)
        except InputError as error:
            if error.index is not None:
                error.index += self.texts
            raise
        self.texts += len(inputs)
        new = self._new(inputs)
        known = 0
        if self._recall is not None and new.texts:
            known, new = self._recall(new)
        self.cached += known
        self.weight += weigh(new.texts[known:])
        skipped = new.ends[known - 1] if known else 0
        before = self._ends[-1] if self._ends else 0
        self._ends.extend(before + end - skipped for end in new.ends[known:])

    @property
    def distinct(self) -> int:
        """Distinct texts."""
        return len(self._hashes)

    @property
    def to_send(self) -> TextInputs:
        """The sizes of the texts to send, with an empty string in place of each."""
        return TextInputs([""] * len(self._ends), self._ends, None)

    def _new(self, inputs: TextInputs) -> TextInputs:
        """Return the texts that were not counted before."""
        hashes = list(map(hash, inputs.texts))
        if self._hashes.isdisjoint(hashes):
            self._hashes.update(hashes)
            return TextInputs(inputs.texts, inputs.ends, None)
        starts = [0, *inputs.ends]
        positions = [position for position, value in enumerate(hashes) if value not in self._hashes]
        self._hashes.update(hashes)
        sizes = (inputs.ends[position] - starts[position] for position in positions)
        return TextInputs([inputs.texts[position] for position in positions], list(accumulate(sizes)), None)
