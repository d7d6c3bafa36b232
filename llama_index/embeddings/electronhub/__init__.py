"""Electron Hub embeddings for LlamaIndex, under the name where LlamaIndex's own integrations are found."""

from llama_index_electronhub import ElectronHubEmbedding

__all__ = ["ElectronHubEmbedding"]
