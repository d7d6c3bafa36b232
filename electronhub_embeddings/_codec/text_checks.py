"""Checks what callers pass as texts, before anything is sent. No I/O."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Mapping
from math import isnan
from typing import Any

from electronhub_embeddings.errors import InputError


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


def check_text(text: object, index: int) -> None:
    """Refuse a document that is not a string, or is empty.

    Raises:
        InputError: It is; `.index` is `index`.
    """
    if not isinstance(text, str):
        raise InputError(f"A text must be a string, not {_kind(text)}.", index=index, next_step=_remedy(text))
    if not text:
        raise InputError("A text is empty, which the service refuses.", index=index, next_step="Leave it out.")


def size_of(text: str, index: int | None) -> int:
    """Return the size of a text in bytes of UTF-8.

    Raises:
        InputError: It cannot be encoded; `.index` is `index`.
    """
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
