"""LangChain's vector stores behind one interface, and the texts to store.

Raises:
    ImportError: one of the stores is not installed.
"""

import runpy
import uuid
import warnings
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

from support.repository import ROOT

with warnings.catch_warnings():
    # langchain-community warns at import that it is no longer maintained; FAISS and LanceDB have no other package.
    warnings.simplefilter("ignore", DeprecationWarning)
    from langchain_community.docstore.in_memory import InMemoryDocstore
    from langchain_community.vectorstores import FAISS, LanceDB

CORPUS = runpy.run_path(str(ROOT / "notebooks" / "corpus.py"))
TEXTS = [doc.text for doc in CORPUS["standard_library"]()[:70]]
"""More than 64, the default batch size of Qdrant's store."""


class VectorStoreCase:
    """One kind of store and the location of its data, which can be opened, closed and opened again.

    Args:
        place: An empty directory.
        asynchronous: Whether the test calls the async methods of the store.
    """

    probes = 0
    """Requests that the store itself sends when it is opened."""
    adding: ClassVar = {}
    """Arguments of `add_texts` that make it embed all texts at once."""
    empty = ValueError
    """The error that the store raises for an empty list of texts; None: it accepts one."""

    def __init__(self, place, asynchronous):
        self.place = place
        self.asynchronous = asynchronous
        self.ids = [str(uuid.uuid4()) for _ in TEXTS]
        """The ids of `TEXTS` in this store."""

    def close(self, store):
        """Close the store, so that `open` finds the data."""


class Memory(VectorStoreCase):
    """langchain-core's own store, saved to a JSON file."""

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


class Faiss(VectorStoreCase):
    """FAISS, saved to its two files."""

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


class ChromaFile(VectorStoreCase):
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


class Qdrant(VectorStoreCase):
    """Qdrant in a directory; it compares the length of a probe with that of its collection."""

    probes = 1
    adding: ClassVar = {"batch_size": 2048}
    empty = None
    # With cosine, Qdrant would scale the vectors, and they could not be compared exactly.
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
        """Release the directory's lock."""
        store.client.close()


class Lance(VectorStoreCase):
    """LanceDB in a directory."""

    def open(self, model, length):  # noqa: ARG002 - it takes any length
        """Return the store."""
        return LanceDB(connection=lancedb.connect(str(self.place)), embedding=model, mode="append")

    def rows(self, store):
        """Return the vectors in the order of `ids`."""
        table = store.get_table().to_arrow()
        found = dict(zip(table["id"].to_pylist(), table["vector"].to_pylist(), strict=True))
        return [found[name] for name in self.ids]


class Pgvector(VectorStoreCase):
    """PGVector, a collection on a server. It closes each connection after use, so there is nothing else to close.

    `embedding_length` is not set: the first value in a process would apply to all its stores.
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

    def rows(self, store):  # noqa: ARG002 - the store cannot return them
        """Return the vectors in the order of `ids`."""
        with psycopg.connect(self._url) as connection:
            rows = connection.execute(
                "SELECT id, embedding::real[] FROM langchain_pg_embedding WHERE id = ANY(%s)", [self.ids]
            ).fetchall()
        found = dict(rows)
        return [found[name] for name in self.ids]


VECTOR_STORES = [Memory, Faiss, ChromaFile, Qdrant, Lance, Pgvector]
