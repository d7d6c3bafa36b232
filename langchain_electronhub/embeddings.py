"""LangChain's `Embeddings` over the shared client: fields, and four short methods."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from langchain_core.embeddings import Embeddings
from langchain_core.load.serializable import Serializable
from pydantic import ConfigDict, Field, PrivateAttr, SecretStr, field_validator, model_validator
from typing_extensions import Self, override

from electronhub_embeddings.frameworks import ClientKeeper

if TYPE_CHECKING:
    from electronhub_embeddings import EmbeddingsClient, Usage


class ElectronHubEmbeddings(Serializable, Embeddings):
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

    Every method raises the errors of `electronhub_embeddings.errors`; `.partial` maps the positions of the texts that
    were finished to their vectors, as float32 arrays.
    """

    model: str = "text-embedding-3-small"
    """Any model id of the service."""
    api_key: SecretStr | None = Field(default=None, validate_default=True)
    """Falls back to ELECTRONHUB_API_KEY."""
    base_url: str | None = None
    """Falls back to ELECTRONHUB_BASE_URL, then to https://api.electronhub.ai/v1."""
    dimensions: int | None = None
    """Length of the vectors, for models that can shorten them; None: the model's own."""
    user: str | None = None
    """An id of your end user, for the service's abuse reports."""
    encoding_format: str = "base64"
    """How vectors travel: "base64" or "float"."""
    batch_size: int = 2048
    """Inputs in one request at most; 1 to 2048."""
    max_retries: int = 6
    """Attempts after the first, for failures that can pass."""
    timeout: float = 60.0
    """Seconds that one attempt may take."""
    max_wait: float | None = None
    """Seconds that one call may stand waiting for the rate limit; None: as long as it takes."""
    requests_per_minute: int | None = None
    """The most to send, whatever the service would allow; None: what its headers say."""
    max_concurrency: int = 8
    """Requests on the wire at once."""
    query_prefix: str = ""
    """Put before every query."""
    document_prefix: str = ""
    """Put before every document."""
    cache: Any = Field(default=None, exclude=True, repr=False)
    """A path: vectors are kept in this SQLite file, and what is in it is not sent again."""
    rate_limit_store: Any = Field(default=None, exclude=True, repr=False)
    """Where the limiter keeps its window: a path, "redis://…", or None for this process's memory."""
    default_headers: dict[str, str] | None = Field(default=None, exclude=True, repr=False)
    """Further headers for every request; they may be confidential, so they are not serialised."""
    http_client: Any = Field(default=None, exclude=True, repr=False)
    """An httpx.Client of your own; yours to close."""
    on_request: Any = Field(default=None, exclude=True, repr=False)
    """Called with a `RequestInfo` after each request: model, texts, tokens, attempt, seconds; never texts or keys."""
    allow_http: bool = False
    """Let `base_url` begin with http:// for other hosts than this one: the network then sees the key."""
    show_progress: bool = False
    """Draw a bar in `embed_documents` that ticks as vectors come, and says why it stands still."""

    _keeper: ClientKeeper = PrivateAttr(default_factory=ClientKeeper)

    model_config = ConfigDict(
        extra="forbid",
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,  # the input holds the key
    )

    @field_validator("api_key", mode="before")
    @classmethod
    def _key_from_environment(cls, value: Any) -> Any:
        return os.environ.get("ELECTRONHUB_API_KEY") if value is None else value

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._client()  # refuses what is out of range; sends nothing
        return self

    def _client(self) -> EmbeddingsClient:
        arguments = {**self.__dict__, "api_key": self.api_key.get_secret_value() if self.api_key else None}
        del arguments["show_progress"]
        return self._keeper.client(arguments)

    @override
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed documents; equal ones are sent once. Returns one list of Python floats for each, in order."""
        return self._client().embed_lists(texts, show_progress=self.show_progress)

    @override
    def embed_query(self, text: str) -> list[float]:
        """Embed a query, ahead of all documents that wait."""
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

    @property
    def usage(self) -> Usage:
        """What this object has used so far: requests, tokens, waits."""
        return self._client().usage

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        self._keeper.close()

    @classmethod
    @override
    def is_lc_serializable(cls) -> bool:
        return True

    @property
    @override
    def lc_secrets(self) -> dict[str, str]:
        return {"api_key": "ELECTRONHUB_API_KEY"}

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Copy the fields; stores and HTTP clients are shared, they cannot be doubled."""
        return self.model_copy()
