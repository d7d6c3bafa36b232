"""LlamaIndex's `BaseEmbedding` over the shared client: fields, and six short methods.

One source serves llama-index-core 0.10 (pydantic 1) to 0.14 (pydantic 2): so only `Field` and `PrivateAttr` from its
bridge, no validators, and the key is no field at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import Field, PrivateAttr

from electronhub_embeddings.frameworks import ClientKeeper
from electronhub_embeddings.settings import DEFAULT_MODEL, LARGEST_BATCH, Account, Secret
from llama_index_electronhub.whole import aembed, embed, whole

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    import httpx
    from typing_extensions import Self

    from electronhub_embeddings import EmbeddingsClient, RequestInfo, Usage
    from electronhub_embeddings.stores import RateLimitStore

VECTOR_FIELDS = ("model_name", "base_url", "dimensions", "encoding_format", "query_prefix", "document_prefix")
"""What changes vectors, and so all that the serialised form holds: an ingestion cache hashes it, and a changed
timeout must not embed a corpus anew."""

CLIENT_FIELDS = (
    "base_url",
    "dimensions",
    "user",
    "encoding_format",
    "batch_size",
    "max_retries",
    "timeout",
    "max_wait",
    "requests_per_minute",
    "max_concurrency",
    "query_prefix",
    "document_prefix",
)
"""Fields that the client takes under the same name."""


class ElectronHubEmbedding(BaseEmbedding):
    """Embeds nodes and queries with any embedding model of Electron Hub.

    Use:
        ```python
        from llama_index.core import Document, Settings, VectorStoreIndex
        from llama_index_electronhub import ElectronHubEmbedding

        Settings.embed_model = ElectronHubEmbedding(model="text-embedding-3-small")
        index = VectorStoreIndex.from_documents([Document(text="Paris is in France.")])
        index.as_retriever(similarity_top_k=1).retrieve("a capital in Europe")
        ```

    On llama-index-core 0.10 a service context takes it as well:
    `ServiceContext.from_defaults(embed_model=ElectronHubEmbedding(), llm=None)`.

    Every method raises the errors of `electronhub_embeddings.errors`; `.partial` maps the positions of the texts that
    were finished to their vectors, as float32 arrays. With an `embeddings_cache` or `rate_limiter` of LlamaIndex's,
    these positions and `.index` count within the batch of `embed_batch_size` texts that failed.

    Args:
        model_name: Any model id of the service; `model` is accepted as well.
        api_key: Falls back to ELECTRONHUB_API_KEY. It is no field: no dump of this object holds it.
        base_url: Falls back to ELECTRONHUB_BASE_URL, then to https://api.electronhub.ai/v1.
        embed_batch_size: Texts in one of LlamaIndex's events; 1 to 2048. Requests are as full either way.
        callback_manager: LlamaIndex's callbacks.
        num_workers: Batches that LlamaIndex hands over at once in async calls.
        embeddings_cache: LlamaIndex's own cache (core 0.12.31 and later).
        rate_limiter: LlamaIndex's own limiter (core 0.14.16 and later); ours needs no help from it.
        dimensions: Length of the vectors, for models that can shorten them; None: the model's own.
        user: An id of your end user, for the service's abuse reports.
        encoding_format: How vectors travel: "base64" or "float".
        batch_size: Inputs in one request at most; 1 to 2048.
        max_retries: Attempts after the first, for failures that can pass.
        timeout: Seconds that one attempt may take.
        max_wait: Seconds that one call may stand waiting for the rate limit; None: as long as it takes.
        requests_per_minute: The most to send, whatever the service would allow; None: what its headers say.
        max_concurrency: Requests on the wire at once.
        query_prefix: Put before every query.
        document_prefix: Put before every document.
        cache: A path: vectors are kept in this SQLite file, and what is in it is not sent again.
        rate_limit_store: Where the limiter keeps its window: a path, "redis://…", or None for this process's memory.
        default_headers: Further headers for every request.
        http_client: An httpx.Client of your own; yours to close.
        allow_http: Let `base_url` begin with http:// for other hosts than this one: the network then sees the key.
        on_request: Called with a `RequestInfo` after each request: model, texts, tokens, attempt, seconds; never texts
            or keys.

    Raises:
        ValueError: An argument is out of range, there is no key, or this core has no such feature.
        TypeError: An argument is unknown.
    """

    base_url: str | None = Field(default=None, description="Where the service is.")
    dimensions: int | None = Field(default=None, description="Length of the vectors; None: the model's own.")
    user: str | None = Field(default=None, description="An id of your end user.")
    encoding_format: str = Field(default="base64", description='How vectors travel: "base64" or "float".')
    batch_size: int = Field(default=LARGEST_BATCH, description="Inputs in one request at most.")
    max_retries: int = Field(default=6, description="Attempts after the first.")
    timeout: float = Field(default=60.0, description="Seconds that one attempt may take.")
    max_wait: float | None = Field(default=None, description="Seconds that one call may wait for the limit.")
    requests_per_minute: int | None = Field(default=None, description="The most to send; None: what headers say.")
    max_concurrency: int = Field(default=8, description="Requests on the wire at once.")
    query_prefix: str = Field(default="", description="Put before every query.")
    document_prefix: str = Field(default="", description="Put before every document.")

    _secret: Any = PrivateAttr(default=None)
    _confidential: Any = PrivateAttr(default=None)
    _keeper: Any = PrivateAttr(default=None)

    def __init__(
        self,
        model_name: str | None = None,
        *,
        model: str | None = None,
        api_key: str | None = None,
        base_url: str | None = None,
        embed_batch_size: int = LARGEST_BATCH,
        callback_manager: Any = None,
        num_workers: int | None = None,
        embeddings_cache: Any = None,
        rate_limiter: Any = None,
        dimensions: int | None = None,
        user: str | None = None,
        encoding_format: str = "base64",
        batch_size: int = LARGEST_BATCH,
        max_retries: int = 6,
        timeout: float = 60.0,
        max_wait: float | None = None,
        requests_per_minute: int | None = None,
        max_concurrency: int = 8,
        query_prefix: str = "",
        document_prefix: str = "",
        cache: str | os.PathLike[str] | None = None,
        rate_limit_store: RateLimitStore | str | os.PathLike[str] | None = None,
        default_headers: dict[str, str] | None = None,
        http_client: httpx.Client | None = None,
        allow_http: bool = False,
        on_request: Callable[[RequestInfo], None] | None = None,
    ) -> None:
        if model_name is not None and model is not None and model_name != model:
            raise ValueError(f"model_name={model_name!r} and model={model!r} are two names for one thing.")
        if not 1 <= embed_batch_size <= LARGEST_BATCH:
            raise ValueError(f"embed_batch_size must be from 1 to {LARGEST_BATCH}, not {embed_batch_size}.")
        fields: dict[str, Any] = {
            "model_name": model_name or model or DEFAULT_MODEL,
            "base_url": base_url,
            "embed_batch_size": embed_batch_size,
            "num_workers": num_workers,
            "dimensions": dimensions,
            "user": user,
            "encoding_format": encoding_format,
            "batch_size": batch_size,
            "max_retries": max_retries,
            "timeout": timeout,
            "max_wait": max_wait,
            "requests_per_minute": requests_per_minute,
            "max_concurrency": max_concurrency,
            "query_prefix": query_prefix,
            "document_prefix": document_prefix,
            **_given(callback_manager=callback_manager),
            **_supported(embeddings_cache=embeddings_cache, rate_limiter=rate_limiter),
        }
        super().__init__(**fields)
        self._secret = Account.resolve(api_key, base_url, allow_http=allow_http).api_key
        self._confidential = {
            "cache": cache,
            "rate_limit_store": rate_limit_store,
            "default_headers": default_headers,
            "http_client": http_client,
            "allow_http": allow_http,
            "on_request": on_request,
        }
        self._keeper = ClientKeeper()
        self._client()  # refuses what is out of range; sends nothing

    @classmethod
    def class_name(cls) -> str:
        """Name the class in serialised form."""
        return "ElectronHubEmbedding"

    @property
    def model(self) -> str:
        """The model id, by its other name."""
        return self.model_name

    @property
    def usage(self) -> Usage:
        """What this object has used so far: requests, tokens, waits."""
        return self._client().usage

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        self._keeper.close()

    def _client(self) -> EmbeddingsClient:
        secret: Secret = self._secret
        keeper: ClientKeeper = self._keeper
        fields = {name: getattr(self, name) for name in CLIENT_FIELDS}
        return keeper.client({"model": self.model_name, "api_key": secret.reveal(), **fields, **self._confidential})

    def _get_query_embedding(self, query: str) -> list[float]:
        row: list[float] = self._client().embed_query(query).tolist()
        return row

    async def _aget_query_embedding(self, query: str) -> list[float]:
        row: list[float] = (await self._client().aembed_query(query)).tolist()
        return row

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return (await self._aget_text_embeddings([text]))[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return embed(self._client(), texts)

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return await aembed(self._client(), texts)

    def get_text_embedding_batch(
        self, texts: list[str], show_progress: bool = False, **kwargs: Any
    ) -> list[list[float]]:
        """Embed texts; LlamaIndex cuts them into batches, and all batches are one call: see `whole`."""
        if self._is_interposed:
            return super().get_text_embedding_batch(texts, show_progress, **kwargs)
        with whole(self._client(), texts, is_async=False, show_progress=show_progress):
            return super().get_text_embedding_batch(texts, **kwargs)

    async def aget_text_embedding_batch(
        self, texts: list[str], show_progress: bool = False, **kwargs: Any
    ) -> list[list[float]]:
        """Embed texts without blocking the event loop; everything else is as in `get_text_embedding_batch`."""
        if self._is_interposed:
            return await super().aget_text_embedding_batch(texts, show_progress, **kwargs)
        with whole(self._client(), texts, is_async=True, show_progress=show_progress):
            return await super().aget_text_embedding_batch(texts, **kwargs)

    @property
    def _is_interposed(self) -> bool:
        """Whether LlamaIndex's own cache or limiter stands between it and us: they work batch by batch."""
        return any(getattr(self, name, None) is not None for name in ("embeddings_cache", "rate_limiter"))

    def to_dict(self, **_: Any) -> dict[str, Any]:
        """Serialise what changes vectors; `from_dict` takes the key and the rest from its arguments or defaults."""
        return {**{name: getattr(self, name) for name in VECTOR_FIELDS}, "class_name": self.class_name()}

    def _arguments(self) -> dict[str, Any]:
        """Gather the arguments of a copy; what belongs to this process alone stays behind."""
        own = ("model_name", "embed_batch_size", "num_workers", *CLIENT_FIELDS)
        fields = {name: getattr(self, name) for name in own}
        cache = _given(embeddings_cache=getattr(self, "embeddings_cache", None))
        return {**fields, **cache, **self._confidential, "api_key": self._secret.reveal()}

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _rebuild, (type(self), self._arguments())

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        shared: dict[str, Any] = {
            "callback_manager": self.callback_manager,
            "rate_limiter": getattr(self, "rate_limiter", None),
        }
        return type(self)(**self._arguments(), **shared)


def _rebuild(cls: type[ElectronHubEmbedding], arguments: dict[str, Any]) -> ElectronHubEmbedding:
    return cls(**arguments)


def _given(**arguments: Any) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value is not None}


def _supported(**arguments: Any) -> dict[str, Any]:
    """Keep the arguments that were given, if the installed core knows them: it would ignore others silently."""
    core: Any = BaseEmbedding
    known = core.model_fields if hasattr(core, "model_fields") else core.__fields__  # pydantic 2, pydantic 1
    given = _given(**arguments)
    for name in given:
        if name not in known:
            raise ValueError(f"{name} is not supported by the installed llama-index-core: update it or leave it out.")
    return given
