"""The texts of a call as they are sent: checked, prefixed, and each once (de-duplication). No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from electronhub_embeddings._codec.text_checks import check_text, refuse_other_kinds, size_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import numpy as np


@dataclass(frozen=True)
class TextInputs:
    """The texts of a call as they are sent; equal texts are sent once."""

    texts: Sequence[str]
    """The distinct texts, prefix included, in order of their first appearance."""
    ends: Sequence[int]
    """Cumulative size of the texts, in bytes of UTF-8."""
    places: Sequence[int] | None
    """The position in `texts` for each input; None: input i is text i."""

    def __len__(self) -> int:
        return len(self.texts) if self.places is None else len(self.places)

    def first_input(self, position: int) -> int:
        """Return the index of the first input whose text is at `position`."""
        return position if self.places is None else self.places.index(position)

    def reordered(self, order: Sequence[int]) -> TextInputs:
        """Return the same inputs with texts in another order: the text at `order[0]` comes first, and so on."""
        texts = [self.texts[position] for position in order]
        starts = [0, *self.ends]
        ends = list(accumulate(self.ends[position] - starts[position] for position in order))
        moved = dict(zip(order, range(len(order)), strict=True))
        return TextInputs(texts, ends, [moved[place] for place in self.places or range(len(texts))])


@dataclass(frozen=True)
class CachedInputs:
    """The texts of a call and their cached vectors."""

    inputs: TextInputs
    """The texts; those with a cached vector come first."""
    rows: np.ndarray | None = None
    """The cached vectors, float32 of shape (known, d); None: no vector is cached."""
    keep: Callable[[int, int, np.ndarray], None] | None = None
    """Writes the vectors of texts `start` to `stop` (exclusive) to the cache; None: there is no cache."""


def prepare_texts(texts: Iterable[str], prefix: str = "") -> TextInputs:
    """Check texts, add the prefix, measure their size in bytes, and remove duplicates.

    Raises:
        InputError: A text is not a string, is empty, or cannot be encoded as UTF-8; `.index` is its position.
    """
    refuse_other_kinds(texts)
    given: list[Any] = list(texts)
    prefix_size = size_of(prefix, None)
    distinct = dict.fromkeys(given) if set(map(type, given)) <= {str} else {}
    if distinct and len(distinct) == len(given) and all(given) and all(map(str.isascii, given)):  # the common case
        prefixed = [prefix + text for text in given] if prefix else given
        return TextInputs(prefixed, list(accumulate(map(prefix_size.__add__, map(len, given)))), None)
    positions: dict[str, int] = {}
    places: list[int] = []
    sizes: list[int] = []
    for index, text in enumerate(given):
        check_text(text, index)
        place = positions.setdefault(text, len(positions))
        if place == len(sizes):
            sizes.append(prefix_size + size_of(text, index))
        places.append(place)
    prefixed = [str.__add__(prefix, text) for text in positions]
    return TextInputs(prefixed, list(accumulate(sizes)), places if len(places) != len(prefixed) else None)
