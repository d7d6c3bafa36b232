"""What a request may ask for.

Unknown fields are ignored. A field that is sent must be of its type: null is not, the documents say to send a
field only when it is set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from electronhub_embeddings.emulator import refusals
from electronhub_embeddings.emulator.models import MODELS, Model
from electronhub_embeddings.emulator.tokens import count_tokens

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Order:
    """A request that will be served."""

    texts: list[str]
    model: Model
    dimensions: int
    base64: bool
    prompt_tokens: int


@dataclass(frozen=True)
class Rules:
    """The limits of one request; `Emulator` documents each."""

    max_inputs: int = 2048
    max_input_tokens: int = 8192
    max_request_tokens: int = 300_000
    refuse: Callable[[str], bool] | None = None
    names_offender: bool = True
    base64: bool | Literal["ignore"] = True

    def order(self, body: Any) -> Order:
        """Return what the JSON `body` asks for.

        Raises:
            Refusal: the documented answer to the first rule that the request breaks.
        """
        if not isinstance(body, dict):
            raise refusals.invalid("$")
        model = _model(body)
        texts = self._texts(body)
        base64 = self._base64(body)
        dimensions = _dimensions(body, model)
        if not isinstance(body.get("user", ""), str):
            raise refusals.invalid("user")
        tokens = self._tokens(texts, single=isinstance(body["input"], str))
        return Order(texts, model, dimensions, base64, tokens)

    def _texts(self, body: dict[str, Any]) -> list[str]:
        asked = body.get("input")
        texts = [asked] if isinstance(asked, str) else asked
        # Numbers are token arrays, which the service does not document.
        if not isinstance(texts, list) or not texts or not all(t and isinstance(t, str) for t in texts):
            raise refusals.invalid("input")
        if len(texts) > self.max_inputs:
            raise refusals.too_many_inputs(self.max_inputs, len(texts))
        return texts

    def _base64(self, body: dict[str, Any]) -> bool:
        encoding = body.get("encoding_format", "float")
        if encoding not in ("float", "base64"):
            raise refusals.invalid("encoding_format")
        if encoding == "base64" and self.base64 is False:
            raise refusals.no_base64()
        return encoding == "base64" and self.base64 is True

    def _tokens(self, texts: list[str], *, single: bool) -> int:
        total = 0
        for index, text in enumerate(texts):
            where = ("input" if single else f"input[{index}]") if self.names_offender else None
            tokens = count_tokens(text)
            if tokens > self.max_input_tokens:
                raise refusals.input_too_long(where, self.max_input_tokens, tokens)
            if self.refuse is not None and self.refuse(text):
                raise refusals.against_policy(where)
            total += tokens
        if total > self.max_request_tokens:
            raise refusals.request_too_long(self.max_request_tokens, total, older=not self.names_offender)
        return total


def _model(body: dict[str, Any]) -> Model:
    name = body.get("model")
    if not isinstance(name, str):
        raise refusals.invalid("model")
    if name not in MODELS:
        raise refusals.unknown_model(name)
    if not MODELS[name].embeds:
        raise refusals.not_an_embedding_model(name)
    return MODELS[name]


def _dimensions(body: dict[str, Any], model: Model) -> int:
    if "dimensions" not in body:
        return model.dimensions
    if not model.shortens:
        raise refusals.no_dimensions()
    asked = body["dimensions"]
    # True is an int in Python, not in JSON.
    if not isinstance(asked, int) or isinstance(asked, bool) or not 1 <= asked <= model.dimensions:
        raise refusals.invalid("dimensions")
    return asked
