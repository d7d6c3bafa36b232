"""The transports for httpx2."""

from __future__ import annotations

try:
    import httpx2
except ImportError as error:
    raise ImportError("The transports for httpx2 need: pip install httpx2 (Python 3.11 or newer)") from error

from electronhub_embeddings._http.http_family import HTTPFamily
from electronhub_embeddings._pacing.paced_transport import AsyncPacedTransport, PacedTransport
from electronhub_embeddings._pacing.refusal_body import AsyncRefusalBody, RefusalBody

FAMILY = HTTPFamily(httpx2)


class _Body(RefusalBody, httpx2.SyncByteStream):
    pass


class _AsyncBody(AsyncRefusalBody, httpx2.AsyncByteStream):
    pass


class HTTPX2RateLimitedTransport(PacedTransport, httpx2.BaseTransport):
    """The same as `RateLimitedTransport` for `httpx2.Client`, which openai 3 needs."""

    _family = FAMILY
    _base = httpx2.BaseTransport
    _default = httpx2.HTTPTransport
    _body = _Body


class AsyncHTTPX2RateLimitedTransport(AsyncPacedTransport, httpx2.AsyncBaseTransport):
    """The same as `RateLimitedTransport` for `httpx2.AsyncClient`, in an event loop of asyncio."""

    _family = FAMILY
    _base = httpx2.AsyncBaseTransport
    _default = httpx2.AsyncHTTPTransport
    _body = _AsyncBody
