"""The connection to the service: the one module that imports httpx.

Bytes go in, bytes come out, and every failure of httpx leaves as one of our exceptions. Nothing is retried here,
no redirect is followed, and no host but the configured one is contacted.
"""

from __future__ import annotations

import ssl
import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING
from urllib.request import getproxies, proxy_bypass

import httpx

from electronhub_embeddings import __version__
from electronhub_embeddings.body import Body, new_buffer
from electronhub_embeddings.errors import APIConnectionError, APITimeoutError, InvalidResponseError
from electronhub_embeddings.guard import importing
from electronhub_embeddings.unpacking import ACCEPTED, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

    from electronhub_embeddings.settings import Account, Recipe

USER_AGENT = f"electronhub-embeddings/{__version__}"

LONGEST_CONNECT = 10.0
"""Seconds for opening a connection; a longer `timeout` is for the answer."""

LONGEST_ERROR = 65_536
"""Bytes read of an answer that is not a 200; the rest of a huge error page is left unread."""

NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.LocalProtocolError,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)
"""Failures before the first byte of the request was on its way: the service cannot have counted it."""


class Answer:
    """One answer of the service: its headers have come, its body is still to be read."""

    def __init__(self, response: httpx.Response, deadline: float) -> None:
        self.headers_at = time.monotonic()
        """When the headers arrived: by then the service has counted the call."""
        self.status = response.status_code
        """The HTTP status."""
        self.headers = _read_headers(response.headers.raw)
        """The headers; their names in lower case."""
        self._good = response.status_code == httpx.codes.OK
        self._response = response
        self._deadline = deadline

    def read(self, longest: int, make: Callable[[int], memoryview] = new_buffer) -> bytes | memoryview:
        """Read the body.

        Args:
            longest: Bytes, once decompressed, beyond which an answer cannot be meant.
            make: Makes the buffer for a long one.

        Raises:
            InvalidResponseError: It is longer, or its content encoding is broken.
            httpx.TransportError: The connection broke.
        """
        body = Body(self.headers, longest, make)
        try:
            self._read(body)
        except (httpx.TransportError, InvalidResponseError):
            if self._good:
                raise
            # What is wrong is told by the status, and what came of its words: a 429 must not go unheard.
        return body.content

    def _read(self, body: Body) -> None:
        """Read what comes; the deadline holds for all of it, however slowly it trickles."""
        response = self._response
        if response.is_stream_consumed:  # a transport of the user's own, or an event hook, has read it
            body.add(response.content)
            return
        if response.is_closed:  # by an event hook that raised an error for its status
            return
        try:
            for part in unpack(response.iter_raw(), self.headers.get("content-encoding", "")):
                body.add(part)
                if not self._good and body.size >= LONGEST_ERROR:
                    break
                if time.monotonic() > self._deadline:
                    raise httpx.ReadTimeout("the body took too long")
        except ValueError as error:
            raise InvalidResponseError(f"The answer's content encoding is broken: {error}.") from error


class Transport:
    """A pool of connections to one account's service."""

    def __init__(self, account: Account, recipe: Recipe) -> None:
        self._url = httpx.URL(f"{account.base_url}/embeddings")
        self._models_url = httpx.URL(f"{account.base_url}/models")
        self._key = account.api_key
        self._timeout = recipe.timeout
        timeout = httpx.Timeout(recipe.timeout, connect=min(recipe.timeout, LONGEST_CONNECT))
        self._extensions = {"timeout": timeout.as_dict()}
        self._headers = dict(recipe.default_headers)
        self._client = recipe.http_client
        self._keep_alive = recipe.max_concurrency
        self._is_local = account.is_local
        self._making = threading.Lock()
        self._pool: httpx.HTTPTransport | None = None
        self._closed = False

    def post(self, body: bytes) -> AbstractContextManager[Answer]:
        """Send a request for embeddings, and hold its answer open; see `_send` for what is raised."""
        headers = {"authorization": f"Bearer {self._key.reveal()}", "content-type": "application/json"}
        return self._send("POST", self._url, headers, body)

    def get_models(self) -> AbstractContextManager[Answer]:
        """Ask for the list of models, without the key; see `_send` for what is raised."""
        return self._send("GET", self._models_url, {}, b"")

    def _connected(self) -> httpx.HTTPTransport:
        """Make the pool of connections, at the first request: it reads certificates and proxies, which takes 0.1 s.

        It is httpx below its client, which would follow, remember and announce things, and take as long for that as
        all of ours takes for a query.

        Raises:
            APIConnectionError: What the environment says of them cannot be used; or this was closed meanwhile.
        """
        with self._making:
            if self._closed:
                raise APIConnectionError("The connections are closed.", sent=False, retries=0)
            if self._pool is None:
                try:
                    self._pool = self._make()
                except (ValueError, ImportError, OSError) as error:
                    message = f"The environment's proxies or certificates cannot be used: {error}."
                    raise APIConnectionError(message, sent=False, retries=0) from error
            return self._pool

    def _make(self) -> httpx.HTTPTransport:
        with importing:  # httpx imports more
            return httpx.HTTPTransport(
                # The line bounds the requests in flight. httpx's own 5 s for idle connections stays: an old one that
                # the service has closed meanwhile would cost a request of the few there are.
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=self._keep_alive),
                trust_env=not self._is_local,
                # None is asked for this machine itself: it would see the key.
                proxy=None if self._is_local else _find_proxy(self._url),
            )

    @contextmanager
    def _send(self, method: str, url: httpx.URL, headers: dict[str, str], body: bytes) -> Iterator[Answer]:
        """Send one request, and hold its answer open.

        Raises:
            APITimeoutError: Connecting, or the whole answer, took longer than `timeout`.
            APIConnectionError: No connection, or it broke; `.sent` says whether the request may have been counted.
        """
        deadline = time.monotonic() + self._timeout
        try:
            with closing(self._exchange(method, url, headers, body)) as response:
                yield Answer(response, deadline)
        except httpx.TimeoutException as error:
            message = f"No answer within {self._timeout:g} s ({type(error).__name__})."
            raise APITimeoutError(message, sent=not isinstance(error, NOT_SENT)) from error
        except httpx.TransportError as error:
            message = f"The connection failed: {str(error).rstrip('.') or type(error).__name__}."
            sent, retries = not isinstance(error, NOT_SENT), 0 if _is_untrusted(error) else None
            raise APIConnectionError(message, sent=sent, retries=retries) from error

    def _exchange(self, method: str, url: httpx.URL, headers: dict[str, str], body: bytes) -> httpx.Response:
        headers = {
            "user-agent": USER_AGENT,
            "accept": "application/json",
            **self._headers,
            **headers,
            "accept-encoding": ACCEPTED,
        }
        if self._client is None:
            request = httpx.Request(method, url, headers=headers, content=body, extensions=self._extensions)
            return self._connected().handle_request(request)
        request = self._client.build_request(method, url, headers=headers, content=body)
        request.extensions = {**request.extensions, **self._extensions}
        try:
            return self._client.send(request, stream=True, follow_redirects=False, auth=None)
        except httpx.HTTPStatusError as error:  # an event hook of the user's client raised it
            return error.response

    def close(self) -> None:
        """Close the connections; a client that the user brought is the user's to close."""
        with self._making:
            self._closed = True
            if self._pool is not None:
                self._pool.close()


def _find_proxy(url: httpx.URL) -> httpx.Proxy | None:
    """Find the proxy that the environment, or the system, has for a host."""
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(url.netloc.decode("ascii")):
        return None
    return httpx.Proxy(proxy if "://" in proxy else f"http://{proxy}")


def _read_headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Read headers once: each look into httpx's own takes as long as this."""
    headers: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


def _is_untrusted(error: BaseException) -> bool:
    """Say whether a certificate was refused: trying again does not make it trusted."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    return cause is not None
