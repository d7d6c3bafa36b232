"""The connection to the service: the one module that imports httpx.

Bytes go in, bytes come out, and every failure of httpx leaves as one of our exceptions. Nothing is retried here,
no redirect is followed, and no host but the configured one is contacted.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

from electronhub_embeddings.errors import APIConnectionError, APITimeoutError, InvalidResponseError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from electronhub_embeddings.settings import Account, Recipe

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


@dataclass(frozen=True)
class Answer:
    """One answer of the service, read whole."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    headers_at: float
    """`time.monotonic()` when the headers arrived: by then the service has counted the call."""


class Transport:
    """A pool of connections to one account's service."""

    def __init__(self, account: Account, recipe: Recipe) -> None:
        self._url = f"{account.base_url}/embeddings"
        self._key = account.api_key
        self._timeout = recipe.timeout
        self._headers = dict(recipe.default_headers)
        self._own = recipe.http_client is None
        self._client = recipe.http_client or httpx.Client(
            # The line bounds the requests in flight. httpx's own 5 s for idle connections stays: an old one that
            # the service has closed meanwhile would cost a request of the few there are.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=recipe.max_concurrency),
        )

    def post(self, body: bytes, longest: int) -> Answer:
        """Send one request and read its answer.

        Args:
            body: The request.
            longest: Bytes, once decompressed, beyond which an answer cannot be meant.

        Raises:
            APITimeoutError: Connecting, or the whole answer, took longer than `timeout`.
            APIConnectionError: No connection, or it broke; `.sent` says whether the request may have been counted.
            InvalidResponseError: The answer's content encoding is broken.
        """
        deadline = time.monotonic() + self._timeout
        try:
            return self._post(body, deadline, longest)
        except httpx.HTTPStatusError as error:  # an event hook of the user's client raised it
            return Answer(error.response.status_code, error.response.headers, b"", time.monotonic())
        except httpx.TimeoutException as error:
            message = f"No answer within {self._timeout:g} s ({type(error).__name__})."
            raise APITimeoutError(message, sent=not isinstance(error, NOT_SENT)) from error
        except httpx.TransportError as error:
            message = f"The connection failed: {str(error).rstrip('.') or type(error).__name__}."
            raise APIConnectionError(message, sent=not isinstance(error, NOT_SENT)) from error
        except httpx.DecodingError as error:
            raise InvalidResponseError(f"The answer's content encoding is broken: {error}.") from error

    def _post(self, body: bytes, deadline: float, longest: int) -> Answer:
        headers = {
            **self._headers,
            "authorization": f"Bearer {self._key.reveal()}",
            "content-type": "application/json",
        }
        timeout = httpx.Timeout(self._timeout, connect=min(self._timeout, LONGEST_CONNECT))
        with self._client.stream(
            "POST",
            self._url,
            content=body,
            headers=headers,
            timeout=timeout,
            follow_redirects=False,
            auth=None,
        ) as response:
            headers_at = time.monotonic()
            parts: list[bytes] = []
            try:
                self._read(response, deadline, longest, parts)
            except (httpx.TransportError, httpx.DecodingError):
                if response.status_code == httpx.codes.OK:
                    raise
                # What is wrong is told by the status, and what came of its words: a 429 must not go unheard.
        return Answer(response.status_code, response.headers, b"".join(parts), headers_at)

    @staticmethod
    def _read(response: httpx.Response, deadline: float, longest: int, parts: list[bytes]) -> None:
        """Read the body into `parts`; the deadline holds for all of it, however slowly it trickles."""
        good = response.status_code == httpx.codes.OK
        size = 0
        for part in response.iter_bytes():
            parts.append(part)
            size += len(part)
            if good and size > longest:
                raise InvalidResponseError(f"The answer is longer than {longest:,} bytes.", retries=0)
            if not good and size >= LONGEST_ERROR:
                break
            if time.monotonic() > deadline:
                raise httpx.ReadTimeout("the body took too long", request=response.request)

    def close(self) -> None:
        """Close the connections; a client that the user brought is the user's to close."""
        if self._own:
            self._client.close()
