"""The six ways to embed, behind one interface: what holds for one is tested for all.

Those that are async run in an event loop of their own for each call, as in scripts that call `asyncio.run` again
and again.
"""

import asyncio
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from electronhub_embeddings import EmbeddingsClient


@dataclass(frozen=True)
class Kind:
    """One way to embed."""

    cls: type
    embed: Callable[[Any, list[str]], Any]
    query: Callable[[Any, str], Any]
    row: type
    """What a vector is."""
    number: type
    """What its numbers are."""


KINDS = {
    "client sync": Kind(
        EmbeddingsClient,
        lambda client, texts: client.embed(texts),
        lambda client, text: client.embed_query(text),
        np.ndarray,
        np.float32,
    ),
    "client async": Kind(
        EmbeddingsClient,
        lambda client, texts: asyncio.run(client.aembed(texts)),
        lambda client, text: asyncio.run(client.aembed_query(text)),
        np.ndarray,
        np.float32,
    ),
}

if find_spec("langchain_core"):
    from langchain_electronhub import ElectronHubEmbeddings

    KINDS["LangChain sync"] = Kind(
        ElectronHubEmbeddings,
        lambda model, texts: model.embed_documents(texts),
        lambda model, text: model.embed_query(text),
        list,
        float,
    )
    KINDS["LangChain async"] = Kind(
        ElectronHubEmbeddings,
        lambda model, texts: asyncio.run(model.aembed_documents(texts)),
        lambda model, text: asyncio.run(model.aembed_query(text)),
        list,
        float,
    )

if find_spec("llama_index") and find_spec("llama_index.core"):  # our own second path alone is no core
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the oldest cores warn at import about the newest pydantic
        from llama_index_electronhub import ElectronHubEmbedding

    KINDS["LlamaIndex sync"] = Kind(
        ElectronHubEmbedding,
        lambda model, texts: model.get_text_embedding_batch(texts),
        lambda model, text: model.get_query_embedding(text),
        list,
        float,
    )
    KINDS["LlamaIndex async"] = Kind(
        ElectronHubEmbedding,
        lambda model, texts: asyncio.run(model.aget_text_embedding_batch(texts)),
        lambda model, text: asyncio.run(model.aget_query_embedding(text)),
        list,
        float,
    )


class Face:
    """Makes objects of one kind, and embeds with them.

    Args:
        kind: Which.
        closing: Takes what is to be closed after the test.
    """

    def __init__(self, kind, closing):
        self.kind = kind
        self._closing = closing

    def make(self, service, **options):
        """Make an object that talks to a service."""
        return self.build(**{"api_key": service.api_key, "base_url": service.base_url, **options})

    def build(self, **options):
        """Make an object."""
        return self._closing(self.kind.cls(**options))

    def embed(self, thing, texts):
        """Embed documents."""
        return self.kind.embed(thing, texts)

    def query(self, thing, text):
        """Embed a query."""
        return self.kind.query(thing, text)


def right(service, texts, dimensions=None):
    """Return what the service answers for texts, float32."""
    return np.stack([service.vector(text, dimensions=dimensions) for text in texts])


def same(rows, expected):
    """Say whether rows are, to the last bit of a float32, what was expected."""
    return np.array_equal(np.asarray(rows, np.float32), expected)
