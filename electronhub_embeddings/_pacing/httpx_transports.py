"""The transports for httpx."""

from __future__ import annotations

import httpx

from electronhub_embeddings._http.http_family import HTTPFamily
from electronhub_embeddings._pacing.paced_transport import AsyncPacedTransport, PacedTransport
from electronhub_embeddings._pacing.refusal_body import AsyncRefusalBody, RefusalBody

FAMILY = HTTPFamily(httpx)


class _Body(RefusalBody, httpx.SyncByteStream):
    pass


class _AsyncBody(AsyncRefusalBody, httpx.AsyncByteStream):
    pass


class RateLimitedTransport(PacedTransport, httpx.BaseTransport):
    """Paces any SDK that uses httpx: its requests share the rate limit with all other requests of the same key.

    A request below `base_url` that carries a key waits for a slot of the account's window, as a query does. All other
    requests pass untouched. Each attempt of the SDK, its status and its headers are seen: a 429 stops every client of
    the account, and a streamed answer counts when it begins.

    Example:
        ```python
        import httpx
        from electronhub_embeddings import RateLimitedTransport
        from langchain_openai import ChatOpenAI

        http = httpx.Client(transport=RateLimitedTransport())
        llm = ChatOpenAI(base_url="https://api.electronhub.ai/v1", api_key="ek-…", http_client=http)
        ```

    Args:
        transport: The transport to wrap, for example one with a proxy. None: `httpx.HTTPTransport()`.
        base_url: Where the service is. None: ELECTRONHUB_BASE_URL, else https://api.electronhub.ai/v1.
        rate_limit_store: Where the rate limiter keeps its window, as in `EmbeddingsClient`.
        requests_per_minute: The most requests to send in a minute, whatever the service would allow. None: what its
            headers say.
        max_wait: Seconds that one attempt may wait for the rate limit; RateLimitError as soon as the wait is known to
            be longer. None: as long as it takes.
        allow_http: Let `base_url` begin with http:// for other hosts than this one: the network then sees the key.

    Raises:
        ValueError: An argument is out of range.
    """

    _family = FAMILY
    _base = httpx.BaseTransport
    _default = httpx.HTTPTransport
    _body = _Body


class AsyncRateLimitedTransport(AsyncPacedTransport, httpx.AsyncBaseTransport):
    """The same as `RateLimitedTransport` for `httpx.AsyncClient`, in an event loop of asyncio."""

    _family = FAMILY
    _base = httpx.AsyncBaseTransport
    _default = httpx.AsyncHTTPTransport
    _body = _AsyncBody
