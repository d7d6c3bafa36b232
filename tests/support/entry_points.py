"""The six entry points for embedding texts, behind one interface, so that one test covers all of them.

The async ones run each call in a new event loop, like scripts that call `asyncio.run` repeatedly.
"""

import asyncio
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any
from zlib import crc32

import numpy as np
import pytest

from support.child_processes import slow_except


@cache
def _load(module, name):
    """Import a class."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the oldest cores of LlamaIndex warn about the newest pydantic
        return getattr(import_module(module), name)


@dataclass(frozen=True)
class EntryPointKind:
    """A class and its methods to embed texts, either sync or async."""

    place: tuple[str, str]
    """The module and the name of the class."""
    embed: Callable[[Any, list[str]], Any]
    query: Callable[[Any, str], Any]
    estimate: Callable[..., Any]
    row: type
    """The type of a vector."""
    number: type
    """The type of its numbers."""

    @property
    def cls(self):
        """The class, imported when it is needed: LlamaIndex takes seconds."""
        return _load(*self.place)


CLIENT = ("electronhub_embeddings", "EmbeddingsClient")
LANGCHAIN = ("langchain_electronhub", "ElectronHubEmbeddings")
LLAMA_INDEX = ("llama_index_electronhub", "ElectronHubEmbedding")

ENTRY_POINTS = {
    "client sync": EntryPointKind(
        CLIENT,
        lambda client, texts: client.embed(texts),
        lambda client, text: client.embed_query(text),
        lambda client, texts, **options: client.estimate(texts, **options),
        np.ndarray,
        np.float32,
    ),
    "client async": EntryPointKind(
        CLIENT,
        lambda client, texts: asyncio.run(client.aembed(texts)),
        lambda client, text: asyncio.run(client.aembed_query(text)),
        lambda client, texts, **options: asyncio.run(client.aestimate(texts, **options)),
        np.ndarray,
        np.float32,
    ),
}

if find_spec("langchain_core"):
    ENTRY_POINTS["LangChain sync"] = EntryPointKind(
        LANGCHAIN,
        lambda model, texts: model.embed_documents(texts),
        lambda model, text: model.embed_query(text),
        lambda model, texts, **options: model.estimate(texts, **options),
        list,
        float,
    )
    ENTRY_POINTS["LangChain async"] = EntryPointKind(
        LANGCHAIN,
        lambda model, texts: asyncio.run(model.aembed_documents(texts)),
        lambda model, text: asyncio.run(model.aembed_query(text)),
        lambda model, texts, **options: asyncio.run(model.aestimate(texts, **options)),
        list,
        float,
    )

if find_spec("llama_index") and find_spec("llama_index.core"):  # the namespace of this package alone is not the core
    ENTRY_POINTS["LlamaIndex sync"] = EntryPointKind(
        LLAMA_INDEX,
        lambda model, texts: model.get_text_embedding_batch(texts),
        lambda model, text: model.get_query_embedding(text),
        lambda model, texts, **options: model.estimate(texts, **options),
        list,
        float,
    )
    ENTRY_POINTS["LlamaIndex async"] = EntryPointKind(
        LLAMA_INDEX,
        lambda model, texts: asyncio.run(model.aget_text_embedding_batch(texts)),
        lambda model, text: asyncio.run(model.aget_query_embedding(text)),
        lambda model, texts, **options: asyncio.run(model.aestimate(texts, **options)),
        list,
        float,
    )


SYNC = [name for name in ENTRY_POINTS if name.endswith(" sync")]
"""One entry point of each class, for what happens before any text is embedded."""


HALVES = ("client sync", "LangChain async", "LlamaIndex sync"), ("client async", "LangChain sync", "LlamaIndex async")
"""Each has every class, and both ways."""


def in_turn(test):
    """Return parameters for `entry_point`: all of them, half of which, by the test's name, are left to `make check`."""
    return slow_except(HALVES[crc32(test.encode()) % 2], ENTRY_POINTS)


def paired(cases):
    """Return parameters for `entry_point` and cases that are decided below all entry points.

    The client meets every case, and each case one more of the entry points, all of which have their turn.

    Args:
        cases: Values of each case, by its name.
    """
    names, others = list(cases), [name for name in ENTRY_POINTS if name != "client sync"]
    pairs = [("client sync", name) for name in names]
    turns = range(max(len(names), len(others)))
    pairs += [(others[turn % len(others)], names[turn % len(names)]) for turn in turns]
    return [pytest.param(entry_point, *cases[name], id=f"{entry_point}, {name}") for entry_point, name in pairs]


class EntryPoint:
    """Creates objects of one kind, and embeds texts with them.

    Args:
        kind: The kind of entry point.
        closing: Registers an object to be closed after the test, and returns it.
    """

    def __init__(self, kind, closing):
        self.kind = kind
        self._cls = kind.cls
        self._closing = closing

    def make(self, service, **options):
        """Create an object that uses a service."""
        return self.build(**{"api_key": service.api_key, "base_url": service.base_url, **options})

    def build(self, **options):
        """Create an object."""
        return self._closing(self._cls(**options))

    def embed(self, thing, texts):
        """Embed documents."""
        return self.kind.embed(thing, texts)

    def query(self, thing, text):
        """Embed a query."""
        return self.kind.query(thing, text)

    def estimate(self, thing, texts, **options):
        """Estimate what embedding documents would take."""
        return self.kind.estimate(thing, texts, **options)


def expected_vectors(service, texts, dimensions=None):
    """Return the vectors of the service for texts, as float32."""
    return np.stack([service.vector(text, dimensions=dimensions) for text in texts])


def same(rows, expected):
    """Return whether rows equal the expected vectors exactly, as float32."""
    return np.array_equal(np.asarray(rows, np.float32), expected)
