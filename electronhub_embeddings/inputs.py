"""The caller's texts, checked before anything is sent, and made ready for the wire. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from electronhub_embeddings.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import numpy as np


@dataclass(frozen=True)
class Inputs:
    """Texts as they go on the wire, each only once."""

    texts: Sequence[str]
    """The different texts, prefix included, in order of their first appearance."""
    ends: Sequence[int]
    """Bytes of all texts up to and including each: a running sum."""
    places: Sequence[int] | None
    """For each input the position of its text in `texts`; None: input i is text i."""

    def __len__(self) -> int:
        return len(self.texts) if self.places is None else len(self.places)

    def first_input(self, position: int) -> int:
        """Find the first input whose text stands at `position`."""
        return position if self.places is None else self.places.index(position)

    def reordered(self, order: Sequence[int]) -> Inputs:
        """Let the text at position `order[0]` be the first on the wire, and so on; the inputs stay as they are."""
        texts = [self.texts[position] for position in order]
        starts = [0, *self.ends]
        ends = list(accumulate(self.ends[position] - starts[position] for position in order))
        moved = dict(zip(order, range(len(order)), strict=True))
        return Inputs(texts, ends, [moved[place] for place in self.places or range(len(texts))])


@dataclass(frozen=True)
class Recalled:
    """The texts of a call, and what is known of them already."""

    inputs: Inputs
    """Those whose vectors are known stand first."""
    rows: np.ndarray | None = None
    """float32 of shape (known, d): the vectors of the first texts; None: none is known."""
    keep: Callable[[int, int, np.ndarray], None] | None = None
    """Writes the vectors of texts `start` up to and without `stop`; None: there is no cache."""


def prepare(texts: Iterable[str], prefix: str = "") -> Inputs:
    """Check texts and make them ready: prefix, size in bytes, equal ones only once.

    Raises:
        InputError: A text is not a string, is empty, or cannot be encoded as UTF-8; `.index` says which.
    """
    if isinstance(texts, (str, bytes)):
        raise InputError("texts must be a list of strings, not one string: embed_query is for one text.")
    texts = list(texts)
    prefix_size = _size(prefix, None)
    different = dict.fromkeys(texts) if set(map(type, texts)) <= {str} else {}
    if different and len(different) == len(texts) and all(texts) and all(map(str.isascii, texts)):  # as most calls are
        wire = [prefix + text for text in texts] if prefix else texts
        return Inputs(wire, list(accumulate(map(prefix_size.__add__, map(len, texts)))), None)
    positions: dict[str, int] = {}
    places: list[int] = []
    sizes: list[int] = []
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"A text must be a string, not {_kind(text)}.", index=index)
        if not text:
            raise InputError("A text must not be empty: the service refuses the whole request for it.", index=index)
        place = positions.setdefault(text, len(positions))
        if place == len(sizes):
            sizes.append(prefix_size + _size(text, index))
        places.append(place)
    wire = [str.__add__(prefix, text) for text in positions]
    return Inputs(wire, list(accumulate(sizes)), places if len(places) != len(wire) else None)


def check_prefix(name: str, prefix: Any) -> None:
    """Check a prefix when it is given, not when the first text is.

    Raises:
        ValueError: It is not a string, or cannot be encoded as UTF-8.
    """
    if not isinstance(prefix, str):
        raise ValueError(f"{name} must be a string, not {_kind(prefix)}.")  # noqa: TRY004 - one kind for all arguments
    _size(prefix, None)


def _size(text: str, index: int | None) -> int:
    """Measure a text in bytes of UTF-8."""
    if text.isascii():
        return len(text)
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        char = text[error.start]
        message = (
            f"Character {error.start} is {char!r}, half of a surrogate pair, and cannot be encoded as UTF-8; "
            "text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace') repairs such a text."
        )
        raise InputError(message, index=index) from None


def _kind(value: Any) -> str:
    return "None" if value is None else type(value).__name__
