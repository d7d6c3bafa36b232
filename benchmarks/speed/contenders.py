"""The ways to embed that are compared. Each takes texts and returns what its users get; imports are its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

MODEL = "text-embedding-3-small"
KEY = "ek-benchmark"
Embed = Callable[[Sequence[str]], Any]


def ours_arrays(base_url: str) -> Embed:
    """`EmbeddingsClient.embed`."""
    from electronhub_embeddings import EmbeddingsClient

    return EmbeddingsClient(MODEL, api_key=KEY, base_url=base_url).embed


def ours_stream(base_url: str) -> Embed:
    """`EmbeddingsClient.iter_embed`, each vector looked at as it comes."""
    from electronhub_embeddings import EmbeddingsClient

    client = EmbeddingsClient(MODEL, api_key=KEY, base_url=base_url)

    def embed(texts: Sequence[str]) -> list[Any]:
        return [row[:1] for row in client.iter_embed(texts)]

    return embed


def ours_langchain(base_url: str) -> Embed:
    """`ElectronHubEmbeddings.embed_documents`."""
    from langchain_electronhub import ElectronHubEmbeddings

    return ElectronHubEmbeddings(model=MODEL, api_key=KEY, base_url=base_url).embed_documents


def ours_langchain_async(base_url: str) -> Embed:
    """`ElectronHubEmbeddings.aembed_documents`."""
    from langchain_electronhub import ElectronHubEmbeddings

    model = ElectronHubEmbeddings(model=MODEL, api_key=KEY, base_url=base_url)
    return lambda texts: asyncio.run(model.aembed_documents(list(texts)))


def ours_llama_index(base_url: str) -> Embed:
    """`ElectronHubEmbedding.get_text_embedding_batch`."""
    from llama_index_electronhub import ElectronHubEmbedding

    return ElectronHubEmbedding(model=MODEL, api_key=KEY, base_url=base_url).get_text_embedding_batch


def langchain_openai(base_url: str) -> Embed:
    """langchain-openai, without the token arrays that the service does not take."""
    from langchain_openai import OpenAIEmbeddings

    model = OpenAIEmbeddings(model=MODEL, api_key=KEY, base_url=base_url, check_embedding_ctx_length=False)
    return model.embed_documents


def llama_index_openai(base_url: str) -> Embed:
    """llama-index-embeddings-openai with its largest batches."""
    from llama_index.embeddings.openai import OpenAIEmbedding

    model = OpenAIEmbedding(model=MODEL, api_key=KEY, api_base=base_url, embed_batch_size=2048)
    return model.get_text_embedding_batch


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
