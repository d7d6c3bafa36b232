"""Embeddings from Electron Hub: correct vectors, no lost results, no exceeded rate limit."""

from electronhub_embeddings._config.version import __version__
from electronhub_embeddings.client import EmbeddingsClient
from electronhub_embeddings.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    CacheError,
    ElectronHubError,
    InputError,
    InsufficientBalanceError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
    StoreConflictError,
)
from electronhub_embeddings.usage import RequestInfo, Usage

__all__ = [
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "AuthenticationError",
    "BadRequestError",
    "CacheError",
    "ElectronHubError",
    "EmbeddingsClient",
    "InputError",
    "InsufficientBalanceError",
    "InvalidResponseError",
    "NotFoundError",
    "PermissionDeniedError",
    "QuotaExceededError",
    "RateLimitError",
    "RequestInfo",
    "ServerError",
    "StoreConflictError",
    "Usage",
    "__version__",
]
