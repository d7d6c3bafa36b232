"""Electron Hub embeddings for LangChain."""

try:
    import langchain_core  # noqa: F401 - so that the message below says what to install
except ImportError as error:
    raise ImportError(
        'langchain_electronhub needs langchain-core: pip install "electronhub-embeddings[langchain]"'
    ) from error

from langchain_electronhub.embeddings import ElectronHubEmbeddings

__all__ = ["ElectronHubEmbeddings"]
