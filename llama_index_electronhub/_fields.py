"""Fields of a LlamaIndex model, for either version of pydantic (1 with core 0.10, 2 with later ones)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import Field

from electronhub_embeddings._config.options import DECLARED

if TYPE_CHECKING:
    from collections.abc import Mapping

INHERITED = {
    "model_name": "The same as `model`, under LlamaIndex's name.",
    "embed_batch_size": "Texts in one of LlamaIndex's events; 1 to 2048. Requests are as full either way.",
    "callback_manager": "LlamaIndex's callbacks.",
    "num_workers": "Batches that LlamaIndex hands over at once in async calls.",
    "embeddings_cache": "LlamaIndex's own cache (core 0.12.31 and later).",
    "rate_limiter": "LlamaIndex's own limiter (core 0.14.16 and later); this package does not need it.",
}
"""What the fields of `BaseEmbedding` mean here."""


def declared(name: str) -> Any:
    """Return the field for a client option, with the option's default and description."""
    option = DECLARED[name]
    return Field(default=option.default, description=option.metadata["description"])


def describe_inherited(model: type[BaseEmbedding]) -> None:
    """Describe the fields that a model has from `BaseEmbedding`."""
    for name, field in _known(model).items():
        if name in INHERITED:
            getattr(field, "field_info", field).description = INHERITED[name]


def given(**arguments: Any) -> dict[str, Any]:
    """Return the arguments that are not None."""
    return {name: value for name, value in arguments.items() if value is not None}


def supported(**arguments: Any) -> dict[str, Any]:
    """Return the given arguments; raise for those unknown to the installed core, which would ignore them silently.

    Raises:
        ValueError: The installed core does not have one of them.
    """
    for name in (some := given(**arguments)):
        if name not in _known(BaseEmbedding):
            raise ValueError(f"{name} is not supported by the installed llama-index-core: update it or leave it out.")
    return some


def _known(model: Any) -> Mapping[str, Any]:
    """Return the fields of a model by name."""
    fields: Mapping[str, Any] = model.model_fields if hasattr(model, "model_fields") else model.__fields__
    return fields
