"""Checks the caller's texts before anything is sent, and prepares them for batching. No I/O."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from math import isnan
from typing import TYPE_CHECKING, Any

from electronhub_embeddings.errors import InputError

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


def refuse_other_kinds(texts: object) -> None:
    """Refuse what can be iterated, but whose items are not the texts that its caller means.

    Raises:
        InputError: `texts` is one text, a mapping, a set, a table, or cannot be iterated.
    """
    if type(texts) is list:
        return
    if isinstance(texts, str):
        step = "Pass [text]."
    elif isinstance(texts, (bytes, bytearray)):
        step = "Pass [text.decode()]."
    elif isinstance(texts, Mapping):
        step = "Pass list(texts.values()), or list(texts) for its keys."
    elif isinstance(texts, (set, frozenset)):
        step = "Pass a list of it, whose order says which vector belongs to which text."
    elif hasattr(type(texts), "columns"):  # a table of pandas iterates over the names of its columns
        step = "Pass one of its columns."
    elif isinstance(texts, AsyncIterable):
        step = "Only aiter_embed takes it."
    elif isinstance(texts, Awaitable):
        step = "Await it first."
    elif not hasattr(type(texts), "__iter__") or getattr(texts, "shape", None) == ():
        step = "Pass [text], or [] for no texts."
    else:
        return
    raise InputError(f"texts must be an iterable of strings, such as a list, not {_kind(texts)}.", next_step=step)


def check_query(text: object) -> None:
    """Refuse a query that is not a string.

    Raises:
        InputError: It is something else.
    """
    if isinstance(text, str):
        return
    is_list = isinstance(text, (list, tuple))
    step = "Lists are for the methods that embed documents." if is_list else _remedy(text)
    raise InputError(f"A query must be a string, not {_kind(text)}.", next_step=step)


def prepare_texts(texts: Iterable[str], prefix: str = "") -> TextInputs:
    """Check texts, add the prefix, measure their size in bytes, and remove duplicates.

    Raises:
        InputError: A text is not a string, is empty, or cannot be encoded as UTF-8; `.index` is its position.
    """
    refuse_other_kinds(texts)
    given: list[Any] = list(texts)
    prefix_size = _size(prefix, None)
    distinct = dict.fromkeys(given) if set(map(type, given)) <= {str} else {}
    if distinct and len(distinct) == len(given) and all(given) and all(map(str.isascii, given)):  # the common case
        prefixed = [prefix + text for text in given] if prefix else given
        return TextInputs(prefixed, list(accumulate(map(prefix_size.__add__, map(len, given)))), None)
    positions: dict[str, int] = {}
    places: list[int] = []
    sizes: list[int] = []
    for index, text in enumerate(given):
        if not isinstance(text, str):
            raise InputError(f"A text must be a string, not {_kind(text)}.", index=index, next_step=_remedy(text))
        if not text:
            raise InputError("A text is empty, which the service refuses.", index=index, next_step="Leave it out.")
        place = positions.setdefault(text, len(positions))
        if place == len(sizes):
            sizes.append(prefix_size + _size(text, index))
        places.append(place)
    prefixed = [str.__add__(prefix, text) for text in positions]
    return TextInputs(prefixed, list(accumulate(sizes)), places if len(places) != len(prefixed) else None)


def _size(text: str, index: int | None) -> int:
    """Return the size of a text in bytes of UTF-8."""
    if text.isascii():
        return len(text)
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        char = text[error.start]
        message = f"Character {error.start} is {char!r}, half of a surrogate pair, and cannot be encoded as UTF-8."
        step = "text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace') repairs such a text."
        raise InputError(message, index=index, next_step=step) from None


def _remedy(value: Any) -> str:
    """Say what to pass instead of something that is not a string."""
    if value is None or (isinstance(value, float) and isnan(value)):  # as pandas has it for a missing value
        return "Leave it out."
    if isinstance(value, (bytes, bytearray)):
        return "Pass text.decode()."
    if isinstance(value, (int, float)):
        return "Pass str(text)."
    if isinstance(value, (list, tuple)):
        return "Pass its items, each of them a string."
    for content in ("page_content", "get_content"):  # documents of LangChain, nodes of LlamaIndex
        if hasattr(value, content):
            return f"Pass its .{content}{'()' if callable(getattr(value, content)) else ''}."
    return "Pass the text that it holds."


def _kind(value: Any) -> str:
    return "None" if value is None else type(value).__name__
