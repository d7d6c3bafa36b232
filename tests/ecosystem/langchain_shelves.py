"""LangChain's vector stores behind one interface, and the texts that are put into them.

Raises:
    ImportError: one of the stores is not installed.
"""

import runpy
import uuid
import warnings
from pathlib import Path
from typing import ClassVar

import faiss
import lancedb
import psycopg
from langchain_chroma import Chroma
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_postgres import PGVector
from langchain_qdrant import QdrantVectorStore
from qdrant_client import QdrantClient
from qdrant_client.models import Distance, VectorParams
from sqlalchemy import NullPool
from sqlalchemy.exc import IntegrityError

with warnings.catch_warnings():
    # langchain-community says at import that it is maintained no longer; FAISS and LanceDB have no other home.
    warnings.simplefilter("ignore", DeprecationWarning)
    from langchain_community.docstore.in_memory import InMemoryDocstore
    from langchain_community.vectorstores import FAISS, LanceDB

CORPUS = runpy.run_path(str(Path(__file__).parents[2] / "notebooks" / "corpus.py"))
TEXTS = [doc.text for doc in CORPUS["standard_library"]()[:70]]
"""More than the 64 that Qdrant's store hands over at a time unless told otherwise."""


class Shelf:
    """A place where one kind of store keeps its data: opened, closed and opened again, it holds the same.

    Args:
        place: An empty directory.
        asynchronous: Whether the async methods of the store are going to be called.
    """

    probes = 0
    """Requests that the store itself sends when it is opened."""
    adding: ClassVar = {}
    """What to give `add_texts` so that it hands over all texts at once."""
    empty = ValueError
    """The store's own error when it is given no texts; None: it takes them."""

    def __init__(self, place, asynchronous):
        self.place = place
        self.asynchronous = asynchronous
        self.ids = [str(uuid.uuid4()) for _ in TEXTS]
        """What `TEXTS` are called here."""

    def close(self, store):
        """Leave the data where `open` finds it."""


class Memory(Shelf):
    """langchain-core's own, in a JSON file between two openings."""

    empty = None

    def open(self, model, length):  # noqa: ARG002 - it takes any length
        """Return the store."""
        file = self.place / "store.json"
        return InMemoryVectorStore.load(str(file), model) if file.exists() else InMemoryVectorStore(model)

    def rows(self, store):
        """Return the vectors in the order of `ids`."""
        return [store.store[name]["vector"] for name in self.ids]

    def close(self, store):
        """Write the file."""
        store.dump(str(self.place / "store.json"))


class Faiss(Shelf):
    """FAISS, in its two files between two openings."""

    def open(self, model, length):
        """Return the store."""
        if (self.place / "index.faiss").exists():
            return FAISS.load_local(str(self.place), model, allow_dangerous_deserialization=True)
        return FAISS(model, faiss.IndexFlatL2(length), InMemoryDocstore(), {})

    def rows(self, store):
        """Return the vectors in the order of `ids`."""
        positions = {name: position for position, name in store.index_to_docstore_id.items()}
        return [store.index.reconstruct(positions[name]) for name in self.ids]

    def close(self, store):
        """Write the files."""
        store.save_local(str(self.place))


class ChromaFile(Shelf):
    """Chroma in a directory."""

    def open(self, model, length):  # noqa: ARG002 - it takes any length
        """Return the store."""
        return Chroma("texts", model, persist_directory=str(self.place))

    def rows(self, store):
        """Return the vectors in the order of `ids`."""
        found = store.get(self.ids, include=["embeddings"])
        vectors = dict(zip(found["ids"], found["embeddings"], strict=True))
        return [vectors[name] for name in self.ids]

    def close(self, store):
        """End the client."""
        store._client.close()  # nothing public does


class Qdrant(Shelf):
    """Qdrant in a directory; it compares the length of a probe with that of its collection."""

    probes = 1
    adding: ClassVar = {"batch_size": 2048}
    empty = None
    # Cosine would let Qdrant scale the vectors, and there would be nothing to compare to the last bit.
    distance = Distance.DOT

    def open(self, model, length):
        """Return the store."""
        client = QdrantClient(path=str(self.place))
        if not client.collection_exists("texts"):
            client.create_collection("texts", VectorParams(size=length, distance=self.distance))
        return QdrantVectorStore(client, "texts", model, distance=self.distance)

    def rows(self, store):
        """Return the vectors in the order of `ids`."""
        found = {point.id: point.vector for point in store.client.retrieve("texts", self.ids, with_vectors=True)}
        return [found[name] for name in self.ids]

    def close(self, store):
        """Let go of the directory's lock."""
        store.client.close()


class Lance(Shelf):
    """LanceDB in a directory."""

    def open(self, model, length):  # noqa: ARG002 - it takes any length
        """Return the store."""
        return LanceDB(connection=lancedb.connect(str(self.place)), embedding=model, mode="append")

    def rows(self, store):
        """Return the vectors in the order of `ids`."""
        table = store.get_table().to_arrow()
        found = dict(zip(table["id"].to_pylist(), table["vector"].to_pylist(), strict=True))
        return [found[name] for name in self.ids]


class Pgvector(Shelf):
    """PGVector, a collection on a server; it closes connections after each use, and has nothing else to close.

    `embedding_length` is not told: the first that is told in a process would hold for all its stores.
    """

    empty = IntegrityError

    def __init__(self, place, asynchronous, server):
        super().__init__(place, asynchronous)
        self._url = server.url

    def open(self, model, length):  # noqa: ARG002 - it takes any length
        """Return the store."""
        return PGVector(
            model,
            connection=self._url.replace("postgresql:", "postgresql+psycopg:"),
            collection_name=str(self.place),
            engine_args={"poolclass": NullPool},
            async_mode=self.asynchronous,
        )

    def rows(self, store):  # noqa: ARG002 - the store has no way to them
        """Return the vectors in the order of `ids`."""
        with psycopg.connect(self._url) as connection:
            rows = connection.execute(
                "SELECT id, embedding::real[] FROM langchain_pg_embedding WHERE id = ANY(%s)", [self.ids]
            ).fetchall()
        found = dict(rows)
        return [found[name] for name in self.ids]


SHELVES = [Memory, Faiss, ChromaFile, Qdrant, Lance, Pgvector]
