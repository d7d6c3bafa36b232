"""The ways to embed that are compared. Each takes texts and returns what its users get; imports are its own."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

    from electronhub_embeddings import EmbeddingsClient

MODEL = "text-embedding-3-small"
KEY = "ek-benchmark"
DIMENSIONS = 1536
CONNECTIONS = 7
"""As many as ours uses for documents."""
CHUNK = 10_000
"""Texts that a job of lists embeds at a time."""

Embed = Callable[[Sequence[str]], Any]
Ask = Callable[[str], Any]
Job = Callable[[Iterable[str]], Iterator[Any]]


def floor_lists(base_url: str) -> Embed:
    """The floor: receive what ours asks for with bare sockets, and turn as many float32 into lists; decode nothing."""
    receive = floor_arrays(base_url)

    def embed(texts: Sequence[str]) -> list[list[float]]:
        receive(texts)
        return np.ones((len(texts), DIMENSIONS), np.float32).tolist()

    return embed


def floor_llama_index(base_url: str) -> Embed:
    """The same floor below LlamaIndex: a model that does nothing else, under LlamaIndex's batches and events."""
    from llama_index.core.base.embeddings.base import BaseEmbedding

    lists = floor_lists(base_url)

    class Floor(BaseEmbedding):
        def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
            return lists(texts)

        def _get_text_embedding(self, text: str) -> list[float]:
            return lists([text])[0]

        _get_query_embedding = _get_text_embedding

        async def _aget_query_embedding(self, query: str) -> list[float]:
            return lists([query])[0]

    return Floor(embed_batch_size=2048).get_text_embedding_batch


def floor_arrays(base_url: str, encoding: str = "") -> Embed:
    """Receive with bare sockets, in as many requests and over as many connections as ours, and do nothing with it."""
    address = urlsplit(base_url)
    sockets = [socket.create_connection((address.hostname or "", address.port or 0)) for _ in range(CONNECTIONS)]
    if address.scheme == "https":
        context = ssl.create_default_context()
        sockets = [context.wrap_socket(connection, server_hostname=address.hostname) for connection in sockets]
    head = b"POST /v1/embeddings HTTP/1.1\r\naccept-encoding: %b\r\ncontent-length: %d\r\n\r\n"

    def fetch(connection: socket.socket, some: Sequence[str]) -> int:
        body = json.dumps({"model": MODEL, "input": some, "encoding_format": "base64"}).encode()
        connection.sendall(head % (encoding.encode(), len(body)) + body)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return len(decompress(answer.read(), encoding))

    def embed(texts: Sequence[str]) -> Sequence[str]:
        size = -(-len(texts) // CONNECTIONS)
        parts = [texts[start : start + size] for start in range(0, len(texts), size)]
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            assert all(pool.map(fetch, sockets, parts))
        return texts

    return embed


def floor_zstd(base_url: str) -> Embed:
    """The floor where an edge compresses: receive, and decompress with the fastest library for its best encoding."""
    return floor_arrays(base_url, "zstd")


def floor_gzip(base_url: str) -> Embed:
    """The same where the edge knows gzip only."""
    return floor_arrays(base_url, "gzip")


def decompress(body: bytes, encoding: str) -> bytes:
    """Decompress with the fastest library."""
    if encoding == "zstd":
        from backports import zstd

        return zstd.decompress(body)
    if encoding == "gzip":
        from isal import igzip

        return igzip.decompress(body)
    return body


def electronhub_model(base_url: str) -> Embeddings:
    """Return the LangChain model of this package."""
    from langchain_electronhub import ElectronHubEmbeddings

    return ElectronHubEmbeddings(model=MODEL, api_key=KEY, base_url=base_url)


def openai_model(base_url: str) -> Embeddings:
    """Return langchain-openai's, without the token arrays that the service does not take."""
    from langchain_openai import OpenAIEmbeddings

    return OpenAIEmbeddings(model=MODEL, api_key=KEY, base_url=base_url, check_embedding_ctx_length=False)


def ours_arrays(base_url: str) -> Embed:
    """`EmbeddingsClient.embed`."""
    from electronhub_embeddings import EmbeddingsClient

    return EmbeddingsClient(MODEL, api_key=KEY, base_url=base_url).embed


def stream_ours(base_url: str) -> EmbeddingsClient:
    """A client whose `iter_embed` is measured."""
    from electronhub_embeddings import EmbeddingsClient

    return EmbeddingsClient(MODEL, api_key=KEY, base_url=base_url)


def growth_ours(base_url: str) -> EmbeddingsClient:
    """A client with vectors so short that the texts are what costs."""
    from electronhub_embeddings import EmbeddingsClient

    return EmbeddingsClient(MODEL, api_key=KEY, base_url=base_url, dimensions=8)


def ours_langchain(base_url: str) -> Embed:
    """`ElectronHubEmbeddings.embed_documents`."""
    return electronhub_model(base_url).embed_documents


def ours_langchain_async(base_url: str) -> Embed:
    """`ElectronHubEmbeddings.aembed_documents`."""
    model = electronhub_model(base_url)
    return lambda texts: asyncio.run(model.aembed_documents(list(texts)))


def ours_llama_index(base_url: str) -> Embed:
    """`ElectronHubEmbedding.get_text_embedding_batch`."""
    from llama_index_electronhub import ElectronHubEmbedding

    return ElectronHubEmbedding(model=MODEL, api_key=KEY, base_url=base_url).get_text_embedding_batch


def langchain_openai(base_url: str) -> Embed:
    """langchain-openai."""
    return openai_model(base_url).embed_documents


def llama_index_openai(base_url: str) -> Embed:
    """llama-index-embeddings-openai with its largest batches."""
    from llama_index.embeddings.openai import OpenAIEmbedding

    model = OpenAIEmbedding(model=MODEL, api_key=KEY, api_base=base_url, embed_batch_size=2048)
    return model.get_text_embedding_batch


def job_arrays(base_url: str) -> Job:
    """`EmbeddingsClient.iter_embed`."""
    from electronhub_embeddings import EmbeddingsClient

    return EmbeddingsClient(MODEL, api_key=KEY, base_url=base_url).iter_embed


def job_langchain(base_url: str) -> Job:
    """`ElectronHubEmbeddings.embed_documents`, a chunk at a time."""
    return _in_chunks(electronhub_model(base_url).embed_documents)


def job_langchain_openai(base_url: str) -> Job:
    """The same with langchain-openai."""
    return _in_chunks(openai_model(base_url).embed_documents)


def _in_chunks(embed: Embed) -> Job:
    def job(texts: Iterable[str]) -> Iterator[list[float]]:
        rest = iter(texts)
        while chunk := list(islice(rest, CHUNK)):
            yield from embed(chunk)

    return job


def memory_ours(base_url: str) -> Embed:
    """The memory of `ElectronHubEmbeddings.embed_documents`."""
    return ours_langchain(base_url)


def memory_langchain_openai(base_url: str) -> Embed:
    """The memory of langchain-openai."""
    return langchain_openai(base_url)


def baseten_arrays(base_url: str) -> Embed:
    """baseten-performance-client, written in Rust, with its defaults: numbers on the wire, `.numpy()` for the array."""
    return _baseten(base_url, lambda answer: answer.numpy())


def baseten_lists(base_url: str) -> Embed:
    """baseten-performance-client, as lists."""
    return _baseten(base_url, lambda answer: [row.embedding for row in answer.data])


def _baseten(base_url: str, result: Callable[[Any], Any]) -> Embed:
    from baseten_performance_client import PerformanceClient

    client = PerformanceClient(base_url.removesuffix("/v1"), KEY)
    return lambda texts: result(client.embed(list(texts), MODEL))


def query_ours(base_url: str) -> Ask:
    """`ElectronHubEmbeddings.embed_query`."""
    return electronhub_model(base_url).embed_query


def query_langchain_openai(base_url: str) -> Ask:
    """langchain-openai's `embed_query`."""
    return openai_model(base_url).embed_query


def query_bare(base_url: str) -> Ask:
    """A bare `httpx.Client.post`, and the same decoding: JSON, base64, finite numbers, a list."""
    import httpx
    import msgspec
    import pybase64

    client = httpx.Client(headers={"authorization": f"Bearer {KEY}", "accept-encoding": "gzip"})

    def ask(text: str) -> list[float]:
        fields = {"model": MODEL, "input": [text], "encoding_format": "base64"}
        answer = client.post(
            f"{base_url}/embeddings",
            content=msgspec.json.encode(fields),
            headers={"content-type": "application/json"},
        )
        answer.raise_for_status()
        row = msgspec.json.decode(answer.content)["data"][0]["embedding"]
        vector = np.frombuffer(pybase64.b64decode(row, validate=True), "<f4")
        assert np.isfinite(vector).all()
        return vector.tolist()

    return ask
