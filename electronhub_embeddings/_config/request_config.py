"""The request configuration: all requests of one queue have the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import httpx
    import httpx2

    from electronhub_embeddings._config.secret import Secret

EncodingFormat = Literal["base64", "float"]

MAX_CONNECT = 10.0
"""Upper bound of the connect time-out, in seconds; a longer `timeout` applies only to the response."""


@dataclass(frozen=True)
class RequestConfig:
    """Everything but the texts that determines a request. Texts with equal configurations may share a request.

    Each value is the checked option of the same name; see `Options`.
    """

    model: str
    dimensions: int | None
    user: str | None
    encoding_format: EncodingFormat
    batch_size: int
    max_retries: int
    timeout: float
    requests_per_minute: int | None
    max_concurrency: int
    spread_documents: bool
    default_headers: Secret[tuple[tuple[str, str], ...]] | None = field(repr=False)
    http_client: httpx.Client | httpx2.Client | None = field(repr=False)

    @property
    def max_duration(self) -> float:
        """Upper bound of a request's duration, in seconds."""
        return self.timeout + MAX_CONNECT
