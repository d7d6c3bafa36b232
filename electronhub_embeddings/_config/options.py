"""The options of a client, each declared once: its name, its default, its description and its check.

`EmbeddingsClient` and both adapters spell names, defaults and descriptions out, for editors and documentation; a test
holds them equal to what stands here.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import Field, dataclass, field, fields
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from electronhub_embeddings._config.account import Account
from electronhub_embeddings._config.base_url import check_scheme, resolve_base_url
from electronhub_embeddings._config.checks import (
    MAX_BATCH_SIZE,
    check_api_key,
    check_count,
    check_encoding_format,
    check_flag,
    check_hook,
    check_id,
    check_max_wait,
    check_on_model_change,
    check_text,
    check_timeout,
)
from electronhub_embeddings._config.default_headers import check_headers
from electronhub_embeddings._config.http_client import check_http_client
from electronhub_embeddings._config.request_config import EncodingFormat, RequestConfig
from electronhub_embeddings._config.secret import Secret, conceal
from electronhub_embeddings._config.storage_options import check_cache, check_rate_limit_store

if TYPE_CHECKING:
    import httpx
    import httpx2

    from electronhub_embeddings._rate_limit.store import RateLimitStore
    from electronhub_embeddings.usage import RequestInfo

DEFAULT_MODEL = "text-embedding-3-small"

OnModelChange = Literal["warn", "raise", "ignore"]

Check = Callable[[str, Any], Any]
"""Takes the name and the value of an option, and returns what to keep of it, or raises a ValueError."""


def option(default: Any, description: str, check: Check, *, confidential: bool = False) -> Any:
    """Declare an option; a confidential one is in no repr."""
    return field(default=default, repr=not confidential, metadata={"description": description, "check": check})


def or_none(check: Check) -> Check:
    """Let None pass a check."""
    return lambda name, value: None if value is None else check(name, value)


def concealed(check: Check) -> Check:
    """Wrap what a check returns, because it can hold a password."""
    return lambda name, value: conceal(check(name, value))


@dataclass(frozen=True, kw_only=True, eq=False)
class Options:
    """The options of a client, checked and resolved.

    The annotations are those of what is kept: a key is wrapped, a URL is resolved, headers are sorted.

    Raises:
        ValueError: One of them cannot be used, or there is no key; no message quotes what may be confidential.
        ImportError: One of them needs an extra that is not installed.
    """

    model: str = option(
        DEFAULT_MODEL,
        "Any model id of the service; there is no list of allowed ones.",
        check_id,
    )
    api_key: Secret[str] = option(
        None,
        "The key of your account. None: the environment variable ELECTRONHUB_API_KEY.",
        check_api_key,
        confidential=True,
    )
    base_url: str = option(
        None,
        "Where the service is. None: ELECTRONHUB_BASE_URL, else https://api.electronhub.ai/v1.",
        resolve_base_url,
    )
    dimensions: int | None = option(
        None,
        "Length of the vectors, for models that can shorten them. None: the model's own.",
        or_none(check_count),
    )
    user: str | None = option(
        None,
        "An id of your end user, for the service's abuse reports. None: not sent.",
        or_none(check_id),
    )
    encoding_format: EncodingFormat = option(
        "base64",
        'How vectors travel: "base64", or "float", which is 2.6 times as long and just as exact.',
        check_encoding_format,
    )
    batch_size: int = option(
        MAX_BATCH_SIZE,
        "Inputs in one request at most; 1 to 2048.",
        partial(check_count, most=MAX_BATCH_SIZE),
    )
    max_retries: int = option(
        6,
        "Attempts after the first, for failures that can pass; 6 means at most 7 requests.",
        partial(check_count, least=0),
    )
    timeout: float = option(
        60.0,
        "Seconds that one attempt may take, from connecting to the last byte.",
        check_timeout,
    )
    max_wait: float | None = option(
        None,
        "Seconds that one call may wait for the rate limit; RateLimitError as soon as the wait is known to be longer. "
        "None: as long as it takes.",
        check_max_wait,
    )
    requests_per_minute: int | None = option(
        None,
        "The most requests to send in a minute, whatever the service would allow. None: what its headers say.",
        or_none(check_count),
    )
    max_concurrency: int = option(
        8,
        "Requests on the wire at once; above 1, one place is kept for queries.",
        check_count,
    )
    spread_documents: bool = option(
        True,
        "While queries or chat calls are made, or others use the key, let documents leave evenly spread over "
        "the minute: a query waits no longer than for the next slot, and others are noticed in time. False: "
        "documents leave as fast as the limit allows, and a query can wait a minute.",
        check_flag,
    )
    query_prefix: str = option(
        "",
        "Put before every query, for models that tell queries from documents.",
        check_text,
    )
    document_prefix: str = option(
        "",
        "Put before every document.",
        check_text,
    )
    cache: str | None = option(
        None,
        "A path: vectors are kept in this SQLite file, and what is in it is not sent again. It is made with permission "
        "0600, holds neither texts nor keys, and any number of clients and processes may share it. With it, one fixed "
        "sentence is sent beside your texts: see `on_model_change`.",
        check_cache,
        confidential=True,
    )
    on_model_change: OnModelChange = option(
        "warn",
        'What to do when the model that answers is not the one that filled the cache: "warn" and leave the cache '
        'alone, "raise" a ModelChangedError, or "ignore" it and do not look. To look, one fixed sentence is sent '
        "beside your texts, in the first request of a process and once an hour; its ten tokens or so are charged.",
        check_on_model_change,
    )
    rate_limit_store: Secret[RateLimitStore | str] | None = option(
        None,
        "Where the rate limiter keeps its window. None: in a file in your state folder, for all of your processes on "
        'this machine, and for a script that is started again. "memory": in this process alone. A path: in an SQLite '
        'file of your choice. "redis://…": for many machines.',
        concealed(check_rate_limit_store),
        confidential=True,
    )
    default_headers: Secret[tuple[tuple[str, str], ...]] | None = option(
        None,
        "Further headers for every request; they may be confidential.",
        concealed(check_headers),
        confidential=True,
    )
    http_client: httpx.Client | httpx2.Client | None = option(
        None,
        "An httpx.Client or httpx2.Client of your own (proxies, private certificates); yours to close.",
        check_http_client,
        confidential=True,
    )
    allow_http: bool = option(
        False,
        "Let `base_url` begin with http:// for other hosts than this one: the network then sees the key.",
        check_flag,
    )
    on_request: Callable[[RequestInfo], None] | None = option(
        None,
        "Called with a `RequestInfo` after each request that carried texts of this client: for logs and counters. It "
        "runs in the worker thread that sent the request, which waits for it. Embedding anything inside is refused.",
        check_hook,
        confidential=True,
    )

    def __post_init__(self) -> None:
        for name, declared in DECLARED.items():
            object.__setattr__(self, name, declared.metadata["check"](name, getattr(self, name)))
        check_scheme(self.base_url, allow_http=self.allow_http)

    def changed(self, **changes: Any) -> Options:
        """Return a copy with other values of some options, which are checked."""
        copied = copy.copy(self)
        for name, value in changes.items():
            object.__setattr__(copied, name, DECLARED[name].metadata["check"](name, value))
        return copied

    @property
    def account(self) -> Account:
        """Whose requests are counted."""
        return Account(self.base_url, self.api_key)

    @property
    def request_config(self) -> RequestConfig:
        """What the requests have in common."""
        return RequestConfig(**{it.name: getattr(self, it.name) for it in fields(RequestConfig)})


DECLARED: dict[str, Field[Any]] = {it.name: it for it in fields(Options)}
"""The options by name, in the order in which they are documented."""
