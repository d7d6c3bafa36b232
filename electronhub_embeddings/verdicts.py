"""Whose fault a refused request is. Pure.

One bad text fails a whole request, a large request can pass as two, and an unknown model fails whatever the texts are:
only the words of the refusal tell these apart, and they differ between the models that the service resells.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from electronhub_embeddings.errors import BadRequestError


class Blame(Enum):
    """Whose fault a refused request is."""

    TEXT = "a text is at fault: the others can be sent without it"
    SIZE = "the request is too large: smaller ones can pass"
    ENCODING = "the encoding_format is not supported: the other one can pass"
    REQUEST = "the request itself is at fault, whatever its texts"
    UNCLEAR = "the message does not say"


@dataclass(frozen=True)
class Verdict:
    """What a refused request teaches."""

    blame: Blame
    index: int | None = None
    """Position of the guilty text in the request, where the message names it."""
    max_inputs: int | None = None
    """The largest number of inputs that the message allows."""
    max_tokens: int | None = None
    """The largest number of tokens in a request that the message allows."""
    tokens: int | None = None
    """The number of tokens that this request had, where the message tells."""


NAMED = re.compile(r"input\[(\d{1,9})\]|input\.(\d{1,9})\b|input at index (\d{1,9})", re.IGNORECASE)
TOO_MANY_INPUTS = re.compile(
    r"array too long|too many (?:inputs|texts|items|elements)|batch[ _]?size|(?:at most|up to|maximum(?: of)?) \d+ "
    r"(?:inputs|texts|items|elements)|number of (?:inputs|texts|items)",
    re.IGNORECASE,
)
TOO_MANY_TOKENS = re.compile(
    r"request size|tokens per request|max_tokens_per_request|too many tokens|token count"
    r"|(?:request|payload|body|entity) too large",
    re.IGNORECASE,
)
TEXT_TOO_LONG = re.compile(r"context length|maximum input length", re.IGNORECASE)
ABOUT_TEXT = re.compile(r"\$\.input|content|policy|moderation|flagged", re.IGNORECASE)
ABOUT_REQUEST = re.compile(
    r"(?:unknown|invalid|unsupported|no such) (?:model|parameter|field)|specifying dimensions"
    r"|\bmodel\b.{0,80}(?:not found|does not exist|not supported|not available|not support)",
    re.IGNORECASE,
)


def judge(error: BadRequestError, inputs: int) -> Verdict:
    """Say whose fault a refused request of `inputs` texts is."""
    message, words = error.message, f"{error.message} {error.code or ''}"
    numbers = [int(number) for number in re.findall(r"\d{1,9}", message.replace(",", ""))]
    verdict = Verdict(Blame.UNCLEAR)
    if found := NAMED.search(f"{message} {error.param or ''}"):
        index = int(next(filter(None, found.groups()), "0"))
        verdict = Verdict(Blame.TEXT, index=index if index < inputs else None)
    elif "encoding_format" in (error.param or message) or "base64" in message:
        verdict = Verdict(Blame.ENCODING)
    elif TOO_MANY_INPUTS.search(words):
        verdict = Verdict(Blame.SIZE, max_inputs=max((n for n in numbers if 0 < n < inputs), default=None))
    elif TEXT_TOO_LONG.search(words):
        verdict = Verdict(Blame.TEXT)
    elif TOO_MANY_TOKENS.search(words) or error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        limits = [n for n in numbers if n >= 1000]  # noqa: PLR2004 - smaller numbers are codes, not budgets
        tokens = max(limits) if len(set(limits)) > 1 else None
        verdict = Verdict(Blame.SIZE, max_tokens=min(limits, default=None), tokens=tokens)
    elif ABOUT_TEXT.search(words) or error.param == "input":
        verdict = Verdict(Blame.TEXT)
    elif error.param is not None or ABOUT_REQUEST.search(words):
        verdict = Verdict(Blame.REQUEST)
    return verdict
