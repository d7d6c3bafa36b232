"""Embeddings from Electron Hub: correct vectors, no lost results, no exceeded rate limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from electronhub_embeddings._config.version import __version__
from electronhub_embeddings._session.check import CheckResult
from electronhub_embeddings._session.estimate import Estimate
from electronhub_embeddings._session.track_usage import track_usage
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
    ModelChangedError,
    ModelChangedWarning,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
    StoreConflictError,
)
from electronhub_embeddings.usage import RequestInfo, Usage

if TYPE_CHECKING:
    from electronhub_embeddings._pacing.httpx2_transports import (
        AsyncHTTPX2RateLimitedTransport as AsyncHTTPX2RateLimitedTransport,
    )
    from electronhub_embeddings._pacing.httpx2_transports import (
        HTTPX2RateLimitedTransport as HTTPX2RateLimitedTransport,
    )
    from electronhub_embeddings._pacing.httpx_transports import AsyncRateLimitedTransport, RateLimitedTransport

__all__ = [  # without the transports for httpx2, which cannot be imported everywhere
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "AsyncRateLimitedTransport",
    "AuthenticationError",
    "BadRequestError",
    "CacheError",
    "CheckResult",
    "ElectronHubError",
    "EmbeddingsClient",
    "Estimate",
    "InputError",
    "InsufficientBalanceError",
    "InvalidResponseError",
    "ModelChangedError",
    "ModelChangedWarning",
    "NotFoundError",
    "PermissionDeniedError",
    "QuotaExceededError",
    "RateLimitError",
    "RateLimitedTransport",
    "RequestInfo",
    "ServerError",
    "StoreConflictError",
    "Usage",
    "__version__",
    "track_usage",
]

_TRANSPORTS = {
    "AsyncHTTPX2RateLimitedTransport": "httpx2_transports",
    "AsyncRateLimitedTransport": "httpx_transports",
    "HTTPX2RateLimitedTransport": "httpx2_transports",
    "RateLimitedTransport": "httpx_transports",
}
"""Names that are imported when they are first used, because httpx is slow to import and httpx2 is optional."""


def __getattr__(name: str) -> Any:
    if name not in _TRANSPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - as above

    return getattr(import_module(f"{__name__}._pacing.{_TRANSPORTS[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_TRANSPORTS})
