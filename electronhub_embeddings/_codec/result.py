"""The result of one request."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from electronhub_embeddings._config.secret import drop_frames, keep_traceback_as_text
from electronhub_embeddings._rate_limit.rate_limit_headers import RateLimitHeaders
from electronhub_embeddings._rate_limit.wording import AFTER_BUG
from electronhub_embeddings.errors import APIConnectionError, ElectronHubError, RateLimitError

if TYPE_CHECKING:
    import numpy as np


@dataclass
class Result:
    """Vectors or an error, and the data for the rate limiter and the usage counters."""

    vectors: np.ndarray | None = None
    """float32 of shape (texts, d); None: the request has failed."""
    error: ElectronHubError | None = None
    prompt_tokens: int = 0
    """Tokens charged for the texts; 0 if the service does not report them."""
    total_tokens: int = 0
    """Tokens charged in total."""
    headers: RateLimitHeaders = RateLimitHeaders()  # noqa: RUF009 - frozen
    """The rate limit headers."""
    status: int | None = None
    """The HTTP status; None: no response was received."""
    headers_at: float = 0.0
    """`time.monotonic()` when the headers arrived: by then the service has counted the request."""
    sent_at: float = 0.0
    """`time.time()` when the request was sent."""
    seconds: float = 0.0
    """Seconds from sending the request to its end."""

    @property
    def sent(self) -> bool:
        """Whether the request may have reached the service."""
        return not isinstance(self.error, APIConnectionError) or self.error.sent

    @property
    def shows_capacity(self) -> bool:
        """Whether the response shows that the service currently accepts requests."""
        return self.status == HTTPStatus.OK and not isinstance(self.error, RateLimitError)


def unexpected_error(bug: BaseException) -> ElectronHubError:
    """Wrap an internal error, or an exception raised to stop a worker, in an error to raise to callers."""
    if isinstance(bug, Exception):
        error = ElectronHubError(f"Unexpected {type(bug).__name__}: {bug}", next_step=AFTER_BUG)
        error.__cause__ = keep_traceback_as_text(bug)
        return error
    interrupted = APIConnectionError("The request was interrupted.", retries=0, next_step="Embed it again.")
    interrupted.__cause__ = drop_frames(bug)
    return interrupted
