"""The HTTP transport to the service.

Invariants:
- Every exception of httpx, or of the family of the user's own client, is raised as an exception of this package.
- Nothing is retried, no redirect is followed, and only the configured host is contacted.
"""

from __future__ import annotations

import ssl
import threading
import time
from contextlib import closing, contextmanager
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from urllib.request import getproxies, proxy_bypass

import httpx

from electronhub_embeddings._config.import_lock import importing
from electronhub_embeddings._config.request_config import MAX_CONNECT
from electronhub_embeddings._config.secret import Secret, reveal
from electronhub_embeddings._config.version import __version__
from electronhub_embeddings._http.attempt_timeout import AttemptTimeout
from electronhub_embeddings._http.decompression import ACCEPTED_ENCODING, decompress
from electronhub_embeddings._http.http_family import OWN_REQUEST, family_of
from electronhub_embeddings._http.large_memory import new_memory
from electronhub_embeddings._http.network_stream import change_connections
from electronhub_embeddings._http.response_body import ResponseBody
from electronhub_embeddings.errors import APIConnectionError, APITimeoutError, InvalidResponseError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextlib import AbstractContextManager

    from electronhub_embeddings._config.account import Account
    from electronhub_embeddings._config.request_config import RequestConfig
    from electronhub_embeddings._http.http_family import HTTPFamily

USER_AGENT = f"electronhub-embeddings/{__version__}"

AFTER_DISTRUST = "Name the certificates to trust in SSL_CERT_FILE, or pass an http_client that trusts them."

MAX_ERROR_BYTES = 65_536
"""Bytes read of a response whose status is not 200; the rest of a huge error page is not read."""


class ApiResponse:
    """A response whose headers have been received and whose body has not been read."""

    def __init__(self, response: httpx.Response, timeout: AttemptTimeout, family: HTTPFamily) -> None:
        self.headers_at = time.monotonic()
        """`time.monotonic()` when the headers arrived; by then the service has counted the request."""
        self.status = response.status_code
        """The HTTP status."""
        self.headers = dict(response.headers.items())  # a lookup in httpx.Headers takes as long as this conversion
        """The headers, with names in lower case."""
        self.is_compressed = "content-encoding" in self.headers
        """Whether the body may have to be decompressed."""
        self._good = response.status_code == HTTPStatus.OK
        self._response = response
        self._timeout = timeout
        self._family = family

    def read(
        self, max_bytes: int, expected_bytes: int = 0, make_buffer: Callable[[int], memoryview] = new_memory
    ) -> memoryview:
        """Read the body.

        Args:
            max_bytes: Longest body accepted, in bytes after decompression.
            expected_bytes: Length to make room for if none is announced.
            make_buffer: Returns a buffer of at least a size.

        Raises:
            InvalidResponseError: The body is too long, or its content encoding is invalid.
            httpx.TransportError: The connection broke; for a client of httpx2, the error of the same name.
        """
        body = ResponseBody(self.headers, max_bytes, expected_bytes, make_buffer)
        try:
            self._read(body)
        except (httpx.TransportError, self._family.transport_error, InvalidResponseError):
            if self._good:
                raise
            # An error response counts even if its body is truncated: a 429 must not be lost.
        return body.content

    def _read(self, body: ResponseBody) -> None:
        """Read the body; the time-out covers all of it, also through a user's own `http_client`."""
        response = self._response
        if response.is_stream_consumed:  # read by a custom transport or an event hook
            body.add(response.content)
            return
        if response.is_closed:  # by an event hook that called raise_for_status()
            return
        try:
            for part in decompress(response.iter_raw(), self.headers.get("content-encoding", "")):
                body.add(part)
                if not self._good and body.size >= MAX_ERROR_BYTES:
                    break
                self._timeout.remaining()
        except ValueError as error:
            raise InvalidResponseError(f"The answer's content encoding is broken: {error}.") from error


class Transport:
    """A connection pool for the service of one account."""

    def __init__(self, account: Account, config: RequestConfig) -> None:
        self._url = httpx.URL(f"{account.base_url}/embeddings")
        self._models_url = httpx.URL(f"{account.base_url}/models")
        self._model_url = httpx.URL(f"{account.base_url}/models/{quote(config.model, safe='')}")
        self._timeout = AttemptTimeout(config.timeout)
        timeout = httpx.Timeout(config.timeout, connect=min(config.timeout, MAX_CONNECT))
        self._extensions = {"timeout": timeout.as_dict(), OWN_REQUEST: True}
        self._post_headers = Secret(_write_headers(config, account.api_key))
        self._get_headers = Secret(_write_headers(config))
        self._client: Any = config.http_client
        self._family = family_of(config.http_client, httpx)
        self._keep_alive = config.max_concurrency
        self._is_local = account.is_local
        self._making = threading.Lock()
        self._pool: httpx.HTTPTransport | None = None
        self._closed = False

    def post(self, body: bytes) -> AbstractContextManager[ApiResponse]:
        """Send an embeddings request and keep its response open; raises the errors of `_send`."""
        return self._send("POST", self._url, self._post_headers, body)

    def get_models(self) -> AbstractContextManager[ApiResponse]:
        """Request the list of models, without the key; raises the errors of `_send`."""
        return self._send("GET", self._models_url, self._get_headers, b"")

    def get_model(self) -> AbstractContextManager[ApiResponse]:
        """Request the description of the configured model, without the key; raises the errors of `_send`."""
        return self._send("GET", self._model_url, self._get_headers, b"")

    def _connected(self) -> httpx.HTTPTransport:
        """Return the connection pool, created at the first request: reading certificates and proxies takes 0.1 s.

        Uses httpx's transport directly: `httpx.Client` would add redirects, cookies and logging, which cost as much per
        query as the rest of this package.

        Raises:
            APIConnectionError: The environment's proxies or certificates are invalid, or the transport is closed.
        """
        with self._making:
            if self._closed:
                raise APIConnectionError("The connections are closed.", sent=False, retries=0)
            if self._pool is None:
                try:
                    self._pool = self._make()
                except (ValueError, ImportError, OSError) as error:
                    message = f"The environment's proxies or certificates cannot be used: {error}."
                    step = "Correct HTTPS_PROXY, SSL_CERT_FILE and the like, or pass an http_client."
                    raise APIConnectionError(message, sent=False, retries=0, next_step=step) from error
            return self._pool

    def _make(self) -> httpx.HTTPTransport:
        is_without_tls = self._is_local and self._url.scheme == "http"
        with importing:  # httpx imports further modules here
            transport = httpx.HTTPTransport(
                verify=_without_authorities() if is_without_tls else True,
                # The scheduler bounds the requests in flight. The default keep-alive of 5 s stays: sending on a
                # connection that the service has closed would waste a request of the rate limit.
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=self._keep_alive),
                # Loopback requests never use a proxy, because the proxy would see the key.
                proxy=None if self._is_local else _find_proxy(self._url),
            )
        change_connections(transport, self._timeout)
        return transport

    @contextmanager
    def _send(
        self, method: str, url: httpx.URL, headers: Secret[httpx.Headers], body: bytes
    ) -> Generator[ApiResponse, None, None]:
        """Send one request and keep its response open.

        Raises:
            APITimeoutError: Connecting, or reading the whole response, took longer than `timeout`.
            APIConnectionError: The connection failed; `.sent` is whether the service may have counted the request.
        """
        self._timeout.start()
        try:
            with closing(self._exchange(method, url, headers, body)) as response:
                yield ApiResponse(response, self._timeout, self._family)
        except (httpx.TimeoutException, self._family.timeout) as error:
            message = f"No answer within {self._timeout.seconds:g} s ({type(error).__name__})."
            raise APITimeoutError(message, sent=not isinstance(error, self._family.not_sent)) from error
        except (httpx.TransportError, self._family.transport_error) as error:
            message = f"The connection failed: {str(error).rstrip('.') or type(error).__name__}."
            sent = not isinstance(error, self._family.not_sent)
            if _is_untrusted(error):
                raise APIConnectionError(message, sent=sent, retries=0, next_step=AFTER_DISTRUST) from error
            raise APIConnectionError(message, sent=sent) from error

    def _exchange(self, method: str, url: httpx.URL, headers: Secret[httpx.Headers], body: bytes) -> httpx.Response:
        if self._client is None:
            request = httpx.Request(method, url, headers=headers.reveal(), content=body, extensions=self._extensions)
            return self._connected().handle_request(request)
        request = self._client.build_request(method, str(url), headers=headers.reveal().raw, content=body)
        request.extensions = {**request.extensions, **self._extensions}
        try:
            response: httpx.Response = self._client.send(request, stream=True, follow_redirects=False, auth=None)
        except self._family.status_error as error:  # an event hook of the user's client raised it
            refusal: Any = error
            response = refusal.response
        return response

    def close(self) -> None:
        """Close the connection pool; the user's own `http_client` stays open."""
        with self._making:
            self._closed = True
            if self._pool is not None:
                self._pool.close()


def _write_headers(config: RequestConfig, key: Secret[str] | None = None) -> httpx.Headers:
    """Return the request headers, with or without the key; the only function that reveals the confidential values."""
    return httpx.Headers(
        {
            "user-agent": USER_AGENT,
            "accept": "application/json",
            **dict(reveal(config.default_headers) or ()),
            **({"authorization": f"Bearer {key.reveal()}", "content-type": "application/json"} if key else {}),
            "accept-encoding": ACCEPTED_ENCODING,
        }
    )


@cache
def _without_authorities() -> ssl.SSLContext:
    """Return the context that trusts nobody, for loopback without TLS: reading all certificates takes 40 ms."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _find_proxy(url: httpx.URL) -> httpx.Proxy | None:
    """Return the proxy that the environment or the operating system configures for a URL.

    Raises:
        ValueError: The address of the proxy is invalid.
    """
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(url.netloc.decode("ascii")):
        return None
    try:
        return httpx.Proxy(proxy if "://" in proxy else f"http://{proxy}")
    except (ValueError, httpx.InvalidURL):  # the original message may quote a part of the password
        raise ValueError(
            f"the address of the proxy for {url.scheme} cannot be read, or has an unknown scheme"
        ) from None


def _is_untrusted(error: BaseException) -> bool:
    """Return whether a certificate was rejected; a retry would not change that."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    return cause is not None
