"""The client: the public API, which both adapters wrap.

The methods that embed are those of its base classes, in `_session`.
"""

from __future__ import annotations

import asyncio
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from electronhub_embeddings._config.checks import MAX_BATCH_SIZE
from electronhub_embeddings._config.foreign_names import refuse_foreign_names
from electronhub_embeddings._config.import_lock import importing
from electronhub_embeddings._config.options import DECLARED, DEFAULT_MODEL, Options
from electronhub_embeddings._config.secret import without_frames
from electronhub_embeddings._session.async_embedding import AsyncEmbeddingMethods
from electronhub_embeddings._session.check import check
from electronhub_embeddings._session.closeable import Closeable
from electronhub_embeddings._session.embedding import EmbeddingMethods
from electronhub_embeddings._session.estimate import aestimate, estimate
from electronhub_embeddings._session.lifecycle import Lifecycle
from electronhub_embeddings.usage import Usage

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping

    import httpx
    import httpx2
    from typing_extensions import Self

    from electronhub_embeddings._config.options import OnModelChange
    from electronhub_embeddings._config.request_config import EncodingFormat
    from electronhub_embeddings._session.check import CheckResult
    from electronhub_embeddings._session.estimate import Estimate
    from electronhub_embeddings.rate_limit_stores import RateLimitStore
    from electronhub_embeddings.usage import RequestInfo


class EmbeddingsClient(AsyncEmbeddingMethods, EmbeddingMethods, Closeable):
    """Embeds texts, through one scheduler that all clients of an account share.

    No thread is started and nothing is sent before the first call. A client can be shared by any number of threads and
    event loops, pickled, copied, and used after a fork.

    Example:
        ```python
        from electronhub_embeddings import EmbeddingsClient

        with EmbeddingsClient("text-embedding-3-small", cache="vectors.sqlite") as client:
            vectors = client.embed(["Paris is in France.", "Rust has no garbage collector."])
            query = client.embed_query("systems programming")
            scores = vectors @ query
        ```

    Args:
        model: Any model id of the service; there is no list of allowed ones.
        api_key: The key of your account. None: the environment variable ELECTRONHUB_API_KEY.
        base_url: Where the service is. None: ELECTRONHUB_BASE_URL, else https://api.electronhub.ai/v1.
        dimensions: Length of the vectors, for models that can shorten them. None: the model's own.
        user: An id of your end user, for the service's abuse reports. None: not sent.
        encoding_format: How vectors travel: "base64", or "float", which is 2.6 times as long and just as exact.
        batch_size: Inputs in one request at most; 1 to 2048.
        max_retries: Attempts after the first, for failures that can pass; 6 means at most 7 requests.
        timeout: Seconds that one attempt may take, from connecting to the last byte.
        max_wait: Seconds that one call may wait for the rate limit; RateLimitError as soon as the wait is known to be
            longer. None: as long as it takes.
        requests_per_minute: The most requests to send in a minute, whatever the service would allow. None: what its
            headers say.
        max_concurrency: Requests on the wire at once; above 1, one place is kept for queries.
        spread_documents: While queries or chat calls are made, or others use the key, let documents leave evenly spread
            over the minute: a query waits no longer than for the next slot, and others are noticed in time. False:
            documents leave as fast as the limit allows, and a query can wait a minute.
        query_prefix: Put before every query, for models that tell queries from documents.
        document_prefix: Put before every document.
        cache: A path: vectors are kept in this SQLite file, and what is in it is not sent again. It is made with
            permission 0600, holds neither texts nor keys, and any number of clients and processes may share it. With
            it, one fixed sentence is sent beside your texts: see `on_model_change`.
        on_model_change: What to do when the model that answers is not the one that filled the cache: "warn" and leave
            the cache alone, "raise" a ModelChangedError, or "ignore" it and do not look. To look, one fixed sentence is
            sent beside your texts, in the first request of a process and once an hour; its ten tokens or so are
            charged.
        rate_limit_store: Where the rate limiter keeps its window. None: in a file in your state folder, for all of your
            processes on this machine, and for a script that is started again. "memory": in this process alone. A path:
            in an SQLite file of your choice. "redis://…": for many machines.
        default_headers: Further headers for every request; they may be confidential.
        http_client: An httpx.Client or httpx2.Client of your own (proxies, private certificates); yours to close.
        allow_http: Let `base_url` begin with http:// for other hosts than this one: the network then sees the key.
        on_request: Called with a `RequestInfo` after each request that carried texts of this client: for logs and
            counters. It runs in the worker thread that sent the request, which waits for it. Embedding anything inside
            is refused.

    Raises:
        ValueError: An argument is out of range, or there is no key.
        TypeError: An argument is unknown.
    """

    @without_frames
    @refuse_foreign_names
    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        dimensions: int | None = None,
        user: str | None = None,
        encoding_format: EncodingFormat = "base64",
        batch_size: int = MAX_BATCH_SIZE,
        max_retries: int = 6,
        timeout: float = 60.0,
        max_wait: float | None = None,
        requests_per_minute: int | None = None,
        max_concurrency: int = 8,
        spread_documents: bool = True,
        query_prefix: str = "",
        document_prefix: str = "",
        cache: str | os.PathLike[str] | None = None,
        on_model_change: OnModelChange = "warn",
        rate_limit_store: RateLimitStore | str | os.PathLike[str] | None = None,
        default_headers: Mapping[str, str] | None = None,
        http_client: httpx.Client | httpx2.Client | None = None,
        allow_http: bool = False,
        on_request: Callable[[RequestInfo], None] | None = None,
    ) -> None:
        arguments = {**locals()}
        del arguments["self"]
        self._options = Options(**arguments)
        self._reset()

    def _reset(self) -> None:
        self._usage = Usage()
        self._lifecycle = Lifecycle(self._options, self._usage)

    def estimate(self, texts: Iterable[str], *, price: float | None = None, with_prices: bool = False) -> Estimate:
        """Estimate what embedding documents would take; sends none of them, and without `with_prices` nothing at all.

        Equal texts, the cache, the prefix and the batches are those of `embed`. The rate limit is taken as it is now:
        the limit, or `requests_per_minute`, what others with the same key spend, and whoever waits before.

        Args:
            texts: Any iterable of strings. It is read once; of each text, only a hash and its size are kept.
            price: The price of a million tokens, for `cost`.
            with_prices: Ask the service for the price of the model if none is given. That is one request without the
                key, which takes a slot of the limit.

        Returns:
            Texts, tokens, requests, seconds and cost; `str()` of it is one sentence.

        Raises:
            InputError: A text is not a string, is empty or not encodable, as in `embed`.
            ElectronHubError: The cache or the rate limit store cannot be read, or the service cannot be asked.

        Example:
            ```python
            print(client.estimate(texts))
            # 3,000 texts (2,871 distinct, 120 from the cache), about 410,000 tokens, 2 requests, about 2 s
            # (5 requests a minute)
            ```
        """
        return estimate(self._lifecycle, texts, price=price, with_prices=with_prices)

    async def aestimate(
        self, texts: Iterable[str], *, price: float | None = None, with_prices: bool = False
    ) -> Estimate:
        """Estimate without blocking the event loop; otherwise the same as `estimate`."""
        return await aestimate(self._lifecycle, texts, price=price, with_prices=with_prices)

    def list_models(self) -> list[str]:
        """Return the ids of the service's embedding models, from a public list: sends no key, and takes no slot.

        Raises:
            ElectronHubError: As for any request; this request is not retried.

        Example:
            ```python
            assert "text-embedding-3-small" in client.list_models()
            ```
        """
        self._lifecycle.check_open()
        with importing:
            from electronhub_embeddings._http.api_client import ApiClient  # noqa: PLC0415 - httpx is slow to import

        with closing(ApiClient(self._options.account, self._options.request_config)) as api_client:
            return api_client.list_models()

    async def alist_models(self) -> list[str]:
        """List models without blocking the event loop; otherwise the same as `list_models`."""
        return await asyncio.to_thread(self.list_models)

    def check(self, *, send: bool = False) -> CheckResult:
        """Check key, base URL, model and limit, for a start-up check or a report of what is wrong.

        Args:
            send: Send one request, which counts against the limit and in `usage`, is not retried and does not wait for
                the limit. False: nothing is sent, and only what can be seen without an answer is checked.

        Returns:
            What was found: `.ok`, `.problem` with what to do, `.limit`, `.left` and so on; `str` says it in five lines.
            The key is not in it.

        Raises:
            ElectronHubError: The client is closed. What is wrong with a request is not raised, but in `.problem`.

        Example:
            ```python
            result = client.check(send=True)
            print(result)
            assert result.ok, result.problem
            ```
        """
        self._lifecycle.check_open()
        return check(self._options, self._usage, send=send)

    async def acheck(self, *, send: bool = False) -> CheckResult:
        """Check without blocking the event loop; otherwise the same as `check`."""
        return await asyncio.to_thread(self.check, send=send)

    @property
    def usage(self) -> Usage:
        """A snapshot of this client's usage counters."""
        return replace(self._usage)

    def close(self) -> None:
        """Close the client: waiting calls fail with their `.partial`, and requests in flight are finished.

        May be called from anywhere, including a signal handler. Waits up to `timeout` seconds for the requests in
        flight, unless other clients of the account are open. Later calls fail.
        """
        self._lifecycle.close()

    async def aclose(self) -> None:
        """Close the client without blocking the event loop; otherwise the same as `close`.

        Cancelling the task ends only the wait for the requests in flight. `async with` calls this method at its end.
        """
        await self._lifecycle.aclose()

    def reopen(self) -> None:
        """Reopen a closed client; its usage counters continue."""
        self._lifecycle.reopen()

    if not TYPE_CHECKING:  # type checkers would take it that any attribute can be set

        def __setattr__(self, name: str, value: Any) -> None:
            if name in DECLARED:  # the value would be ignored
                raise AttributeError(f"The {name} of a client cannot be changed: make another client.")
            super().__setattr__(name, value)

    def __repr__(self) -> str:
        return f"EmbeddingsClient(model={self._options.model!r}, base_url={self._options.account.base_url!r})"

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the options. The copy has its own usage counters and shares the account's queue within its process.

        Raises:
            TypeError: The client has an `http_client`, whose connections cannot be pickled.
        """
        if self._options.http_client is not None:
            raise TypeError("A client with an http_client of yours cannot be pickled: make one in each process.")
        return {"_options": self._options}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    def __copy__(self) -> Self:
        copied = type(self).__new__(type(self))
        copied.__setstate__({"_options": self._options})
        return copied

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Copy the options; stores and HTTP clients are shared, because they cannot be copied."""
        return self.__copy__()
