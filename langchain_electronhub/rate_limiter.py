"""LangChain's `BaseRateLimiter` on top of the account's window."""

from __future__ import annotations

from langchain_core.rate_limiters import BaseRateLimiter

from electronhub_embeddings._pacing.call_limiter import CallLimiter


class ElectronHubRateLimiter(CallLimiter, BaseRateLimiter):
    """Lets a chat model share the rate limit with all other requests of the same key.

    For models whose HTTP client cannot be changed. LangChain asks a rate limiter before each call, and tells it nothing
    about the answer, so each slot is held as long as the call can last. Where the model takes an `http_client`, use
    `electronhub_embeddings.RateLimitedTransport` instead: it sees retries and answers, and holds slots for less time.

    Example:
        ```python
        from langchain_electronhub import ElectronHubRateLimiter

        llm = SomeChatModel(rate_limiter=ElectronHubRateLimiter(requests_per_minute=20))
        ```

    Args:
        api_key: The key of your account. None: the environment variable ELECTRONHUB_API_KEY.
        base_url: Where the service is. None: ELECTRONHUB_BASE_URL, else https://api.electronhub.ai/v1.
        rate_limit_store: Where the rate limiter keeps its window, as in `ElectronHubEmbeddings`.
        requests_per_minute: The most requests to send in a minute. None: what the headers say that other clients of
            the account have seen; as long as they have seen none, one call is made at a time.
        timeout: Seconds that one call can last.
        allow_http: Let `base_url` begin with http:// for other hosts than this one: the network then sees the key.

    Raises:
        ValueError: An argument is out of range, or there is no key.
    """
