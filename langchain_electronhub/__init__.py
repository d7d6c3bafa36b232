"""Electron Hub embeddings for LangChain, and a rate limiter for its chat models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

try:
    import langchain_core  # noqa: F401 # pyright: ignore[reportUnusedImport] - for the message below
except ImportError as _error:
    raise ImportError(
        'langchain_electronhub needs langchain-core: pip install "electronhub-embeddings[langchain]"'
    ) from _error

from langchain_electronhub.embeddings import ElectronHubEmbeddings

if TYPE_CHECKING:
    from langchain_electronhub.rate_limiter import ElectronHubRateLimiter

__all__ = ["ElectronHubEmbeddings", "ElectronHubRateLimiter"]


def __getattr__(name: str) -> Any:
    """Import the rate limiter when it is first used: few programs need it."""
    if name != "ElectronHubRateLimiter":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from langchain_electronhub.rate_limiter import ElectronHubRateLimiter  # noqa: PLC0415 - as above

    return ElectronHubRateLimiter
