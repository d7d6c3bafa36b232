"""Electron Hub embeddings for LlamaIndex, and a rate limiter for its chat models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

try:
    import llama_index.core  # noqa: F401 # pyright: ignore[reportUnusedImport] - for the message below
except ImportError as _error:
    raise ImportError(
        'llama_index_electronhub needs llama-index-core: pip install "electronhub-embeddings[llama-index]"'
    ) from _error

from llama_index_electronhub.embeddings import ElectronHubEmbedding

if TYPE_CHECKING:
    from llama_index_electronhub.rate_limiter import ElectronHubRateLimiter

__all__ = ["ElectronHubEmbedding", "ElectronHubRateLimiter"]


def __getattr__(name: str) -> Any:
    """Import the rate limiter when it is first used: few programs need it."""
    if name != "ElectronHubRateLimiter":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from llama_index_electronhub.rate_limiter import ElectronHubRateLimiter  # noqa: PLC0415 - as above

    return ElectronHubRateLimiter
