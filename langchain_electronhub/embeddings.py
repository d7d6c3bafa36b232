"""LangChain's `Embeddings` interface on top of the shared client."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - pydantic reads the fields
from typing import TYPE_CHECKING, Any, ClassVar, cast

from langchain_core.embeddings import Embeddings
from langchain_core.load.serializable import Serializable
from pydantic import ConfigDict, Field, PrivateAttr, ValidationInfo, field_validator, model_validator
from typing_extensions import Self, override

from electronhub_embeddings._adapter_support import ClientCache, ClientMethods
from electronhub_embeddings._config.checks import check_flag
from electronhub_embeddings._config.options import OnModelChange  # noqa: TC001 - pydantic reads the fields
from electronhub_embeddings._config.pacing_options import check_option
from electronhub_embeddings._config.request_config import EncodingFormat  # noqa: TC001 - as above
from electronhub_embeddings._config.secret import reveal
from langchain_electronhub._confidential_fields import (
    ApiKey,
    ConfidentialFields,
    Hook,
    HTTPClient,
    Store,
    StrPath,
    describe_fields,
)

if TYPE_CHECKING:
    from electronhub_embeddings import EmbeddingsClient


class ElectronHubEmbeddings(ClientMethods, ConfidentialFields, Serializable, Embeddings):
    """Embeds documents and queries with any embedding model of Electron Hub.

    Setup:
        Install `electronhub-embeddings[langchain]` and set the environment variable ELECTRONHUB_API_KEY.

    Use:
        ```python
        from langchain_core.vectorstores import InMemoryVectorStore
        from langchain_electronhub import ElectronHubEmbeddings

        store = InMemoryVectorStore(ElectronHubEmbeddings(model="text-embedding-3-small"))
        store.add_texts(["Paris is in France.", "Rust has no garbage collector."])
        store.similarity_search("systems programming", k=1)
        ```

    Every method raises the errors of `electronhub_embeddings.errors`; `.partial` maps the positions of finished texts
    to their vectors, as float32 arrays.
    """

    model: str = "text-embedding-3-small"
    """Any model id of the service; there is no list of allowed ones."""
    api_key: ApiKey = Field(default=cast("Any", None), validate_default=True)
    """The key of your account. None: the environment variable ELECTRONHUB_API_KEY."""
    base_url: str | None = None
    """Where the service is. None: ELECTRONHUB_BASE_URL, else https://api.electronhub.ai/v1."""
    dimensions: int | None = None
    """Length of the vectors, for models that can shorten them. None: the model's own."""
    user: str | None = None
    """An id of your end user, for the service's abuse reports. None: not sent."""
    encoding_format: EncodingFormat = "base64"
    """How vectors travel: "base64", or "float", which is 2.6 times as long and just as exact."""
    batch_size: int = 2048
    """Inputs in one request at most; 1 to 2048."""
    max_retries: int = 6
    """Attempts after the first, for failures that can pass; 6 means at most 7 requests."""
    timeout: float = 60.0
    """Seconds that one attempt may take, from connecting to the last byte."""
    max_wait: float | None = None
    """Seconds that one call may wait for the rate limit; RateLimitError as soon as the wait is known to be longer.
    None: as long as it takes."""
    requests_per_minute: int | None = None
    """The most requests to send in a minute, whatever the service would allow. None: what its headers say."""
    max_concurrency: int = 8
    """Requests on the wire at once; above 1, one place is kept for queries."""
    spread_documents: bool = True
    """While queries or chat calls are made, or others use the key, let documents leave evenly spread over the minute: a
    query waits no longer than for the next slot, and others are noticed in time. False: documents leave as fast as the
    limit allows, and a query can wait a minute."""
    query_prefix: str = ""
    """Put before every query, for models that tell queries from documents."""
    document_prefix: str = ""
    """Put before every document."""
    cache: StrPath | None = Field(default=None, exclude=True, repr=False)
    """A path: vectors are kept in this SQLite file, and what is in it is not sent again. It is made with permission
    0600, holds neither texts nor keys, and any number of clients and processes may share it. With it, one fixed
    sentence is sent beside your texts: see `on_model_change`."""
    on_model_change: OnModelChange = "warn"
    """What to do when the model that answers is not the one that filled the cache: "warn" and leave the cache alone,
    "raise" a ModelChangedError, or "ignore" it and do not look. To look, one fixed sentence is sent beside your texts,
    in the first request of a process and once an hour; its ten tokens or so are charged."""
    rate_limit_store: Store | None = Field(default=None, exclude=True, repr=False)
    """Where the rate limiter keeps its window. None: in a file in your state folder, for all of your processes on this
    machine, and for a script that is started again. "memory": in this process alone. A path: in an SQLite file of your
    choice. "redis://…": for many machines."""
    default_headers: Mapping[str, str] | None = Field(default=None, exclude=True, repr=False)
    """Further headers for every request; they may be confidential."""
    http_client: HTTPClient | None = Field(default=None, exclude=True, repr=False)
    """An httpx.Client or httpx2.Client of your own (proxies, private certificates); yours to close."""
    on_request: Hook | None = Field(default=None, exclude=True, repr=False)
    """Called with a `RequestInfo` after each request that carried texts of this client: for logs and counters. It runs
    in the worker thread that sent the request, which waits for it. Embedding anything inside is refused."""
    allow_http: bool = False
    """Let `base_url` begin with http:// for other hosts than this one: the network then sees the key."""
    show_progress: bool = False
    """Show a progress bar in `embed_documents`, which also says why nothing moves."""

    CONFIDENTIAL: ClassVar[tuple[str, ...]] = ("rate_limit_store", "default_headers")

    _client_cache: ClientCache = PrivateAttr(default_factory=ClientCache)

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid",
        strict=True,  # as in the client: "no" is not converted to a bool, nor 5 to a str
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,  # the input holds the key
        use_attribute_docstrings=True,
    )

    @field_validator("*", mode="before")
    @classmethod
    def _check_field(cls, value: Any, info: ValidationInfo) -> Any:
        """Check a value as the client does, and in its words; paths become absolute, for copies after a chdir."""
        name = str(info.field_name)
        if name == "show_progress":
            return check_flag(name, value)
        kept = check_option(name, reveal(value))
        return value if name in {"base_url", "default_headers"} else reveal(kept)

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._client()  # raises for invalid arguments; sends nothing
        return self

    def _client(self) -> EmbeddingsClient:
        arguments = {**self.__dict__}
        del arguments["show_progress"]
        return self._client_cache.client(arguments)

    @override
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed documents; equal texts are sent once. Returns one list of Python floats per document, in order."""
        return self._client().embed_lists(texts, show_progress=self.show_progress)

    @override
    def embed_query(self, text: str) -> list[float]:
        """Embed a query, ahead of all waiting documents."""
        row: list[float] = self._client().embed_query(text).tolist()
        return row

    @override
    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed documents without blocking the event loop."""
        return await self._client().aembed_lists(texts, show_progress=self.show_progress)

    @override
    async def aembed_query(self, text: str) -> list[float]:
        """Embed a query without blocking the event loop."""
        row: list[float] = (await self._client().aembed_query(text)).tolist()
        return row

    @classmethod
    @override
    def is_lc_serializable(cls) -> bool:
        return True

    @property
    @override
    def lc_secrets(self) -> dict[str, str]:
        return {"api_key": "ELECTRONHUB_API_KEY"}

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Copy the fields; stores and HTTP clients are shared, because they cannot be copied."""
        return self.model_copy()


ElectronHubEmbeddings.__doc__ = describe_fields(ElectronHubEmbeddings)
