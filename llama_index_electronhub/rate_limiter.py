"""LlamaIndex's `BaseRateLimiter` on top of the account's window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from electronhub_embeddings._config.secret import without_frames
from electronhub_embeddings._pacing.call_limiter import CallLimiter

if TYPE_CHECKING:
    import os

    from llama_index.core.rate_limiter import BaseRateLimiter

    from electronhub_embeddings.rate_limit_stores import RateLimitStore
else:
    try:
        from llama_index.core.rate_limiter import BaseRateLimiter
    except ImportError:  # llama-index-core before 0.14.16
        BaseRateLimiter = object


class ElectronHubRateLimiter(BaseRateLimiter):
    """Lets an LLM share the rate limit with all other requests of the same key (llama-index-core 0.14.16 and later).

    For models whose HTTP client cannot be changed. LlamaIndex asks a rate limiter before each call, and tells it
    nothing about the answer, so each slot is held as long as the call can last. Where the model takes an `http_client`,
    use `electronhub_embeddings.RateLimitedTransport` instead: it sees retries and answers, and holds slots for less
    time.

    Example:
        ```python
        from llama_index_electronhub import ElectronHubRateLimiter

        llm = SomeLLM(rate_limiter=ElectronHubRateLimiter(requests_per_minute=20))
        ```

    Args:
        api_key: The key of your account. None: the environment variable ELECTRONHUB_API_KEY.
        base_url: Where the service is. None: ELECTRONHUB_BASE_URL, else https://api.electronhub.ai/v1.
        rate_limit_store: Where the rate limiter keeps its window, as in `ElectronHubEmbedding`.
        requests_per_minute: The most requests to send in a minute. None: what the headers say that other clients of
            the account have seen; as long as they have seen none, one call is made at a time.
        timeout: Seconds that one call can last.
        allow_http: Let `base_url` begin with http:// for other hosts than this one: the network then sees the key.

    Raises:
        ValueError: An argument is out of range, or there is no key.
        ImportError: The installed llama-index-core has no rate limiters.
    """

    @without_frames
    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        rate_limit_store: RateLimitStore | str | os.PathLike[str] | None = None,
        requests_per_minute: int | None = None,
        timeout: float = 60.0,
        allow_http: bool = False,
    ) -> None:
        if BaseRateLimiter is object:
            raise ImportError('ElectronHubRateLimiter needs: pip install "llama-index-core>=0.14.16"')
        arguments = {**locals()}
        del arguments["self"]
        self._limiter = CallLimiter(**arguments)

    def acquire(self, num_tokens: int = 0) -> None:  # noqa: ARG002 - the service counts requests
        """Wait for a slot."""
        self._limiter.acquire()

    async def async_acquire(self, num_tokens: int = 0) -> None:  # noqa: ARG002 - as above
        """Wait for a slot without blocking the event loop."""
        await self._limiter.aacquire()
