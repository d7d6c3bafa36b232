"""LlamaIndex's vector stores: filled, searched, filtered, extended and reopened."""

from contextlib import AsyncExitStack

import chromadb
import faiss
import numpy as np
import pytest
from chromadb.config import Settings as ChromaSettings
from llama_index.core import StorageContext, VectorStoreIndex, load_index_from_storage
from llama_index.core.llms import MockLLM
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores import MetadataFilter, MetadataFilters, SimpleVectorStore
from llama_index.vector_stores.chroma import ChromaVectorStore
from llama_index.vector_stores.faiss import FaissVectorStore
from llama_index.vector_stores.qdrant import QdrantVectorStore
from qdrant_client import AsyncQdrantClient, QdrantClient

from llama_index_electronhub import ElectronHubEmbedding
from support.entry_points import expected_vectors

pytestmark = pytest.mark.xdist_group("llama-index")  # one process imports the framework, which takes seconds

TEXTS = {
    "paris": "Paris is the capital of France, on the river Seine.",
    "lyon": "Lyon is a city in France, where the river Rhône meets the Saône.",
    "rust": "Rust has no garbage collector; its compiler knows who owns memory.",
    "python": "Python counts references, and a garbage collector finds the cycles.",
    "cat": "The cat sleeps on the warm windowsill all afternoon.",
}

TOPICS = {"paris": "places", "lyon": "places", "rust": "languages", "python": "languages", "cat": "animals"}

IDS = {name: f"00000000-0000-0000-0000-{number:012}" for number, name in enumerate(TEXTS)}
"""Qdrant accepts only UUIDs and numbers."""

QUESTION = "Which language has a garbage collector for its cycles?"


class Memory:
    """LlamaIndex's own store: a dict, saved as JSON with the rest of the index."""

    def open(self, folder, _width):
        """Open the store, either empty or from its saved state."""
        saved = (folder / "index").exists()
        return SimpleVectorStore.from_persist_dir(str(folder / "index")) if saved else SimpleVectorStore()

    async def vectors(self, store):
        """Return the vectors in the store, in the order of the texts."""
        return [store.data.embedding_dict[key] for key in IDS.values()]

    async def close(self):
        """Do nothing: there is nothing to close."""


class Faiss(Memory):
    """A flat FAISS index, saved with the rest of the index; it knows no ids and no metadata."""

    def open(self, folder, width):
        """Open the store, either empty or from its saved state."""
        if (folder / "index").exists():
            return FaissVectorStore.from_persist_dir(str(folder / "index"))
        return FaissVectorStore(faiss.IndexFlatIP(width))

    async def vectors(self, store):
        """Return the vectors in the store, in the order of the texts."""
        return store.client.reconstruct_n(0, store.client.ntotal)


class Chroma:
    """A persistent Chroma collection."""

    def open(self, folder, _width):
        """Open the store, either empty or with its data."""
        self.client = chromadb.PersistentClient(folder / "chroma", ChromaSettings(anonymized_telemetry=False))
        return ChromaVectorStore(self.client.get_or_create_collection("texts", embedding_function=None))

    async def vectors(self, store):
        """Return the vectors in the store, in the order of the texts."""
        found = store.client.get(include=["embeddings"])
        rows = dict(zip(found["ids"], found["embeddings"], strict=True))
        return [rows[key] for key in IDS.values()]

    async def close(self):
        """Close the files."""
        self.client.close()


class Qdrant:
    """A Qdrant collection in local files, which one client at a time can open."""

    def open(self, folder, _width):
        """Open the store, either empty or with its data."""
        self.client = QdrantClient(path=str(folder / "qdrant"))
        return QdrantVectorStore("texts", client=self.client, index_doc_id=False)  # local files have no such index

    async def vectors(self, store):
        """Return the vectors in the store, in the order of the texts."""
        points, _ = store.client.scroll("texts", with_vectors=True)
        return _in_order(points)

    async def close(self):
        """Close the files."""
        self.client.close()


class AsyncQdrant:
    """The same through the client for asyncio."""

    def open(self, folder, _width):
        """Open the store, either empty or with its data."""
        self.client = AsyncQdrantClient(path=str(folder / "qdrant"))
        return QdrantVectorStore("texts", aclient=self.client, index_doc_id=False)

    async def vectors(self, _store):
        """Return the vectors in the store, in the order of the texts."""
        points, _ = await self.client.scroll("texts", with_vectors=True)
        return _in_order(points)

    async def close(self):
        """Close the files."""
        await self.client.close()


def _in_order(points):
    rows = {point.id: point.vector for point in points}
    return [rows[key] for key in IDS.values()]


class Sync:
    """LlamaIndex's sync methods."""

    async def add(self, index, nodes):
        """Add nodes to an index."""
        index.insert_nodes(nodes)

    async def find(self, index, **options):
        """Find the nodes that are nearest to the question, five at most."""
        return names(index.as_retriever(similarity_top_k=5, **options).retrieve(QUESTION))

    async def ask(self, engine):
        """Ask a query engine the question."""
        return engine.query(QUESTION)


class Async:
    """LlamaIndex's async methods."""

    async def add(self, index, nodes):
        """Add nodes to an index."""
        await index.ainsert_nodes(nodes)

    async def find(self, index, **options):
        """Find the nodes that are nearest to the question, five at most."""
        return names(await index.as_retriever(similarity_top_k=5, **options).aretrieve(QUESTION))

    async def ask(self, engine):
        """Ask a query engine the question."""
        return await engine.aquery(QUESTION)


CASES = {
    "memory sync": (Memory, Sync),
    "memory async": (Memory, Async),
    "FAISS sync": (Faiss, Sync),
    "FAISS async": (Faiss, Async),
    "Chroma sync": (Chroma, Sync),
    "Chroma async": (Chroma, Async),
    "Qdrant sync": (Qdrant, Sync),
    "Qdrant async": (AsyncQdrant, Async),
}

WITH_FILTERS = [name for name in CASES if "FAISS" not in name]


def node(name):
    """Make a node of a text, with metadata that are not embedded."""
    return TextNode(
        id_=IDS[name],
        text=TEXTS[name],
        metadata={"name": name, "topic": TOPICS[name]},
        excluded_embed_metadata_keys=["name", "topic"],
    )


def names(found):
    """Return the names of found nodes."""
    return [hit.node.metadata["name"] for hit in found]


def nearest(service, dimensions=None):
    """Return the names of the texts, nearest to the question first, computed without a store."""
    order = np.argsort(
        -expected_vectors(service, TEXTS.values(), dimensions) @ service.vector(QUESTION, dimensions=dimensions)
    )
    return [list(TEXTS)[place] for place in order]


def about(topic):
    """Make a filter for a topic."""
    return MetadataFilters(filters=[MetadataFilter(key="topic", value=topic)])


class StoredIndex:
    """An index over one store in a folder, used in one way; it can be closed and opened again."""

    def __init__(self, store, way, folder, model):
        self._kind, self._way, self._folder, self._model = store, way, folder, model
        context = StorageContext.from_defaults(vector_store=self._open())
        self.index = VectorStoreIndex([], storage_context=context, embed_model=model)

    def _open(self):
        return self._kind.open(self._folder, self._model.dimensions or 1536)

    async def add(self, *which):
        """Add texts."""
        await self._way.add(self.index, [node(name) for name in which])

    async def find(self, **options):
        """Return the names of the texts that are nearest to the question."""
        return await self._way.find(self.index, **options)

    async def ask(self, **options):
        """Ask a query engine over the index the question."""
        return await self._way.ask(self.index.as_query_engine(**options))

    async def vectors(self):
        """Return the vectors in the store, in the order of the texts."""
        return np.asarray(await self._kind.vectors(self.index.vector_store), np.float32)

    async def reopen(self):
        """Save the data that is only in memory, close the store, and reopen it."""
        if self.index.vector_store.stores_text:
            await self._kind.close()
            self.index = VectorStoreIndex.from_vector_store(self._open(), embed_model=self._model)
        else:
            saved = str(self._folder / "index")
            self.index.storage_context.persist(saved)
            context = StorageContext.from_defaults(vector_store=self._open(), persist_dir=saved)
            self.index = load_index_from_storage(context, embed_model=self._model)


@pytest.fixture(params=CASES)
async def make_index(request, tmp_path, closing):
    """Return a function that makes an index over each store in turn, used in each way."""
    async with AsyncExitStack() as stack:

        def make(service, **options):
            store, way = (part() for part in CASES[request.param])
            model = closing(ElectronHubEmbedding(api_key=service.api_key, base_url=service.base_url, **options))
            made = StoredIndex(store, way, tmp_path, model)
            stack.push_async_callback(store.close)
            return made

        yield make


@pytest.mark.parametrize("dimensions", [None, 256], ids=["all dimensions", "256 dimensions"])
async def test_the_right_vectors_are_stored_and_found(make_index, emulator, dimensions):
    """A store has the service's vector of each text, and finds the texts in the right order."""
    service = emulator(rpm=0)
    kept = make_index(service, dimensions=dimensions)
    await kept.add(*TEXTS)
    found, expected = await kept.vectors(), expected_vectors(service, TEXTS.values(), dimensions)
    assert found.shape == expected.shape == (5, dimensions or 1536)
    assert np.allclose(found, expected, atol=1e-6, rtol=0)  # Qdrant makes them unit vectors once more
    assert await kept.find() == nearest(service, dimensions)
    assert [call.texts for call in service.calls] == [5, 1]


@pytest.mark.parametrize("make_index", WITH_FILTERS, indirect=True)
async def test_filters(make_index, emulator):
    """A metadata filter keeps the matching texts, in the same order."""
    service = emulator(rpm=0)
    kept = make_index(service)
    await kept.add(*TEXTS)
    assert await kept.find(filters=about("places")) == [name for name in nearest(service) if TOPICS[name] == "places"]


async def test_query_engine(make_index, emulator):
    """A query engine passes only the nearest text to the language model."""
    service = emulator(rpm=0)
    kept = make_index(service)
    await kept.add(*TEXTS)
    answer = await kept.ask(llm=MockLLM(), similarity_top_k=1)  # this language model repeats its prompt
    assert names(answer.source_nodes) == ["python"]
    assert [name for name, text in TEXTS.items() if text in str(answer)] == ["python"]
    assert [call.texts for call in service.calls] == [5, 1]


async def test_opened_again(make_index, emulator):
    """A reopened index finds the same texts, resends none, and accepts further texts."""
    service = emulator(rpm=0)
    kept = make_index(service)
    await kept.add("paris", "lyon", "rust", "cat")
    await kept.reopen()
    assert await kept.find() == [name for name in nearest(service) if name != "python"]
    await kept.add("python")
    await kept.reopen()
    assert await kept.find() == nearest(service)
    assert [call.texts for call in service.calls] == [4, 1, 1, 1]
