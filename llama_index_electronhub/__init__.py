"""Electron Hub embeddings for LlamaIndex."""

try:
    import llama_index.core  # noqa: F401 - so that the message below says what to install
except ImportError as error:
    raise ImportError(
        'llama_index_electronhub needs llama-index-core: pip install "electronhub-embeddings[llama-index]"'
    ) from error

from llama_index_electronhub.embeddings import ElectronHubEmbedding

__all__ = ["ElectronHubEmbedding"]
