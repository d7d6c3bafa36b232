"""Vector stores, and the ways to fill them. At the end of each, a store has the texts and their vectors."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

import contenders
import numpy as np
from contenders import DIMENSIONS, KEY, MODEL
from langchain_core.embeddings import Embeddings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

POSTGRES = "BENCHMARK_POSTGRES_URL"
"""The variable with the address of the PostgreSQL server."""
BATCH = 2048
"""Texts that Qdrant's LangChain store embeds at a time; its default is 64."""


class Store(Protocol):
    """A kind of store. It is created anew each time that it is filled."""

    takes_array: bool
    """Whether `add` wants one array of all vectors; else it takes one vector after the other."""

    def add(self, texts: Sequence[str], vectors: Iterable[np.ndarray]) -> None:
        """Fill it through its own interface, from arrays."""

    def from_texts(self, texts: Sequence[str], model: Embeddings) -> None:
        """Fill it through LangChain's."""

    def empty(self) -> int:
        """Delete everything, and return how many vectors there were."""


class Faiss:
    """FAISS: a flat index in memory."""

    takes_array = True

    def __init__(self) -> None:
        self._index: Any = None

    def add(self, texts: Sequence[str], vectors: Any) -> None:  # noqa: ARG002 - FAISS keeps no texts
        """Add the array."""
        import faiss

        self._index = faiss.IndexFlatL2(DIMENSIONS)
        self._index.add(vectors)

    def from_texts(self, texts: Sequence[str], model: Embeddings) -> None:
        """Use the store of langchain-community, which warns that it is no longer maintained, and has no successor."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            from langchain_community.vectorstores import FAISS

        self._index = FAISS.from_texts(list(texts), model).index

    def empty(self) -> int:
        """Forget the index."""
        index, self._index = self._index, None
        return index.ntotal


class Qdrant:
    """Qdrant's client in its local mode: a store in memory, within the process."""

    takes_array = False

    def __init__(self) -> None:
        self._client: Any = None

    def add(self, texts: Sequence[str], vectors: Iterable[np.ndarray]) -> None:
        """Upload a collection."""
        from qdrant_client import QdrantClient
        from qdrant_client.models import Distance, VectorParams

        self._client = QdrantClient(":memory:")
        self._client.create_collection("texts", VectorParams(size=DIMENSIONS, distance=Distance.COSINE))
        self._client.upload_collection("texts", vectors, ({"page_content": text} for text in texts), batch_size=BATCH)

    def from_texts(self, texts: Sequence[str], model: Embeddings) -> None:
        """Use the store of langchain-qdrant."""
        from langchain_qdrant import QdrantVectorStore

        options = {"location": ":memory:", "collection_name": "texts", "batch_size": BATCH}
        self._client = QdrantVectorStore.from_texts(list(texts), model, **options).client

    def empty(self) -> int:
        """Forget the collection."""
        count = self._client.count("texts").count
        self._client.close()
        return count


class Pgvector:
    """PostgreSQL with pgvector, a server on a socket of this machine, without an index and without fsync."""

    takes_array = False

    def __init__(self) -> None:
        self._url = os.environ[POSTGRES]
        self._table = ""

    def add(self, texts: Sequence[str], vectors: Iterable[np.ndarray]) -> None:
        """Copy rows into a table, in binary."""
        import psycopg
        from pgvector.psycopg import register_vector

        self._table = "texts"
        with psycopg.connect(self._url) as connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
            connection.execute(f"CREATE TABLE texts (document text, embedding vector({DIMENSIONS}))")
            register_vector(connection)
            with connection.cursor().copy("COPY texts FROM STDIN WITH (FORMAT BINARY)") as copy:
                copy.set_types(["text", "vector"])
                for row in zip(texts, vectors, strict=True):
                    copy.write_row(row)

    def from_texts(self, texts: Sequence[str], model: Embeddings) -> None:
        """Use the store of langchain-postgres."""
        from langchain_postgres import PGVector
        from sqlalchemy import NullPool

        self._table = "langchain_pg_embedding"
        address = self._url.replace("postgresql:", "postgresql+psycopg:")
        PGVector.from_texts(list(texts), model, connection=address, engine_args={"poolclass": NullPool})

    def empty(self) -> int:
        """Drop the tables."""
        import psycopg

        with psycopg.connect(self._url) as connection:
            (count,) = connection.execute(f"SELECT count(*) FROM {self._table}").fetchone() or (0,)  # noqa: S608
            connection.execute("DROP TABLE IF EXISTS texts, langchain_pg_embedding, langchain_pg_collection")
        return count


STORES: dict[str, type[Store]] = {"faiss": Faiss, "qdrant": Qdrant, "pgvector": Pgvector}


@lru_cache(maxsize=2)
def ready_array(count: int) -> np.ndarray:
    """Return vectors that are there already; made in the first job, which does not count."""
    rows = np.random.default_rng(1).standard_normal((count, DIMENSIONS), np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


@lru_cache(maxsize=8)
def ready_lists(count: int) -> list[list[float]]:
    """Return the same as lists."""
    return ready_array(count).tolist()


class ReadyModel(Embeddings):
    """A model whose vectors are there already."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return as many as there are texts."""
        return ready_lists(len(texts))

    def embed_query(self, text: str) -> list[float]:  # noqa: ARG002 - LangChain's signature
        """Return one."""
        return ready_lists(1)[0]


def arrays(store: Store, base_url: str) -> Callable[[Sequence[str]], None]:
    """Fill it with the arrays of this package."""
    from electronhub_embeddings import EmbeddingsClient

    client = EmbeddingsClient(MODEL, api_key=KEY, base_url=base_url)
    embed = client.embed if store.takes_array else client.iter_embed
    return lambda texts: store.add(texts, embed(texts))


def arrays_alone(store: Store, base_url: str) -> Callable[[Sequence[str]], None]:
    """Fill it with arrays that are there already."""
    return lambda texts: store.add(texts, ready_array(len(texts)))


def langchain(store: Store, base_url: str) -> Callable[[Sequence[str]], None]:
    """Fill it through LangChain, with this package."""
    model = contenders.electronhub_model(base_url)
    return lambda texts: store.from_texts(texts, model)


def langchain_openai(store: Store, base_url: str) -> Callable[[Sequence[str]], None]:
    """Fill it through LangChain, with langchain-openai."""
    model = contenders.openai_model(base_url)
    return lambda texts: store.from_texts(texts, model)


def langchain_alone(store: Store, base_url: str) -> Callable[[Sequence[str]], None]:
    """Fill it through LangChain, with lists that are there already."""
    model = ReadyModel()
    return lambda texts: store.from_texts(texts, model)


WAYS = {way.__name__: way for way in (arrays_alone, arrays, langchain_alone, langchain, langchain_openai)}


@dataclass(frozen=True)
class Task:
    """A store, and one way to fill it."""

    store: Store
    fill: Callable[[Sequence[str]], None]


def task(name: str, base_url: str) -> Task:
    """Return what a name says: a store and a way, as `fill_pgvector_arrays`."""
    _, kind, way = name.split("_", 2)
    store = STORES[kind]()
    return Task(store, WAYS[way](store, base_url))
