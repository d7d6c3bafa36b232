"""The rules for requests, checked in the service's order.

Unknown fields are ignored. A field that is sent must have its type. Null is not allowed: the documents say to send
a field only when it is set.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias, Union

from electronhub_embeddings.emulator import _responses
from electronhub_embeddings.emulator._embeddings import MODELS, Model, count_tokens

if TYPE_CHECKING:
    from collections.abc import Callable

JSON: TypeAlias = Union["dict[str, JSON]", "list[JSON]", str, int, float, bool, None]
"""A decoded JSON value."""


@dataclass(frozen=True)
class EmbeddingsRequest:
    """A valid request."""

    texts: list[str]
    model: Model
    dimensions: int
    base64: bool
    """Whether vectors are sent as base64; False: as lists of numbers."""
    prompt_tokens: int


@dataclass
class RequestRules:
    """The limits of one request; `Emulator` documents each."""

    max_inputs: int = 2048
    max_input_tokens: int = 8192
    max_request_tokens: int = 300_000
    refuse: Callable[[str], bool] | None = None
    names_offender: bool = True
    base64: bool | Literal["ignore"] = True
    model_version: int = 1

    def validate(self, body: JSON) -> EmbeddingsRequest:
        """Return the request in the JSON `body`.

        Raises:
            ErrorResponse: the documented response for the first rule that the request breaks.
        """
        if not isinstance(body, dict):
            raise _responses.invalid_field("$")
        model = replace(_validate_model(body), version=self.model_version)
        texts = self._validate_texts(body)
        base64 = self._validate_encoding(body)
        dimensions = _validate_dimensions(body, model)
        if not isinstance(body.get("user", ""), str):
            raise _responses.invalid_field("user")
        tokens = self._validate_tokens(texts, is_array=isinstance(body["input"], list))
        return EmbeddingsRequest(texts, model, dimensions, base64, tokens)

    def _validate_texts(self, body: dict[str, JSON]) -> list[str]:
        value = body.get("input")
        items = [value] if isinstance(value, str) else value
        # Numbers are token arrays, which the service does not document.
        texts = [item for item in items if item and isinstance(item, str)] if isinstance(items, list) else []
        if not texts or texts != items:
            raise _responses.invalid_field("input")
        if len(texts) > self.max_inputs:
            raise _responses.too_many_inputs(self.max_inputs, len(texts))
        return texts

    def _validate_encoding(self, body: dict[str, JSON]) -> bool:
        encoding = body.get("encoding_format", "float")
        if encoding not in ("float", "base64"):
            raise _responses.invalid_field("encoding_format")
        if encoding == "base64" and self.base64 is False:
            raise _responses.base64_not_supported()
        return encoding == "base64" and self.base64 is True

    def _validate_tokens(self, texts: list[str], *, is_array: bool) -> int:
        total = 0
        for index, text in enumerate(texts):
            param = (f"input[{index}]" if is_array else "input") if self.names_offender else None
            tokens = count_tokens(text)
            if tokens > self.max_input_tokens:
                raise _responses.input_too_long(param, self.max_input_tokens, tokens)
            if self.refuse is not None and self.refuse(text):
                raise _responses.content_policy(param)
            total += tokens
        if total > self.max_request_tokens:
            raise _responses.request_too_long(self.max_request_tokens, total, older_message=not self.names_offender)
        return total


def _validate_model(body: dict[str, JSON]) -> Model:
    name = body.get("model")
    if not isinstance(name, str):
        raise _responses.invalid_field("model")
    if name not in MODELS:
        raise _responses.unknown_model(name)
    if not MODELS[name].embeds:
        raise _responses.not_an_embedding_model(name)
    return MODELS[name]


def _validate_dimensions(body: dict[str, JSON], model: Model) -> int:
    if "dimensions" not in body:
        return model.dimensions
    if not model.accepts_dimensions:
        raise _responses.dimensions_not_supported()
    dimensions = body["dimensions"]
    # True is an int in Python, not in JSON.
    if not isinstance(dimensions, int) or isinstance(dimensions, bool) or not 1 <= dimensions <= model.dimensions:
        raise _responses.invalid_field("dimensions")
    return dimensions
