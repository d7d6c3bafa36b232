"""Says what to do about a 400, 413 or 422, as far as its words tell. No I/O."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from electronhub_embeddings.errors import BadRequestError

_TOO_LONG = re.compile(
    r"(?:context|sequence|input)[ _]?(?:length|window)"  # OpenAI, vLLM, LiteLLM, NVIDIA
    r"|(?:longer|more|less|fewer) than \d+ (?:tokens|characters)"  # Text Embeddings Inference, Voyage
    r"|at most \d+ (?:tokens|characters)|maxlength|token count|tokens per request"  # Bedrock, Google, OpenAI
    r"|too many (?:input )?tokens|(?<!array )too (?:long|large to process)"  # Mistral, llama.cpp
    r"|(?:payload|entity) too large",  # proxies
    re.IGNORECASE,
)
_ALLOWED = re.compile(
    r"(?:(?:length|size) is|than|at most|max(?:imum)?(?:length)?(?: of| input tokens)?|allowed|token size|model,)"
    r"[ :(]{1,2}(\d{1,9})\b",
    re.IGNORECASE,
)
_FOUND = re.compile(
    r"(?:requested|given|actual|count(?: is)?|too long|(?:input|sequence) length)[ :(]{1,2}(\d{1,9})\b", re.IGNORECASE
)
_CHARACTERS = re.compile(r"characters|maxlength", re.IGNORECASE)
_FORBIDDEN = re.compile(r"content[ _]?(?:policy|filter|management)|moderation|inappropriate content", re.IGNORECASE)
_DIMENSIONS = re.compile(r"dimension|matryoshka", re.IGNORECASE)


def find_next_step(error: BadRequestError) -> str:
    """Return what to do about a refusal, in one sentence."""
    words = f"{error.message} {error.param or ''} {error.code or ''}"
    if error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE or _TOO_LONG.search(words):
        return f"Split the text{_measure(words)}."
    if _FORBIDDEN.search(words):
        return "Leave the text out."
    if _DIMENSIONS.search(words):
        return "Leave dimensions out, or set a number that the model can make."
    return error.next_step


def _measure(words: str) -> str:
    """Return how long the text is, and how long one may be, as far as the words tell."""
    digits = re.sub(r"(?<=\d),(?=\d{3})", "", words)
    allowed, found = _ALLOWED.search(digits), _FOUND.search(digits)
    unit = "tokens" if "token" in words.lower() else "characters" if _CHARACTERS.search(words) else ""
    if allowed is None or not unit:
        return ""
    most = int(allowed[1])
    if found is None or int(found[1]) <= most:
        return f": at most {most:,} {unit} are possible"
    return f": it has {int(found[1]):,} {unit}, and at most {most:,} are possible"
