"""Embeddings from Electron Hub: right vectors, nothing lost, the limit never tripped."""

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
)
from electronhub_embeddings.usage import RequestInfo, Usage

__version__ = "0.1.0"

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
    "Usage",
    "__version__",
]
