"""LlamaIndex's `BaseEmbedding` interface on top of the shared client.

One source supports llama-index-core 0.10 (pydantic 1) to 0.14 (pydantic 2). It therefore uses only `Field` and
`PrivateAttr` from LlamaIndex's pydantic bridge, and no validators, and the key is not a field.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import PrivateAttr

from electronhub_embeddings._adapter_support import ClientCache, ClientMethods, as_list, without_inputs
from electronhub_embeddings._config.checks import MAX_BATCH_SIZE, check_count
from electronhub_embeddings._config.foreign_names import refuse_foreign_names
from electronhub_embeddings._config.options import DECLARED, DEFAULT_MODEL, Options
from electronhub_embeddings._config.secret import conceal, reveal
from llama_index_electronhub._coalesced_call import aembed, coalesced, embed
from llama_index_electronhub._fields import declared, describe_inherited, given, supported

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping

    import httpx
    import httpx2
    from llama_index.core.callbacks import CallbackManager
    from llama_index.core.rate_limiter import BaseRateLimiter
    from llama_index.core.storage.kvstore.types import BaseKVStore
    from typing_extensions import Self

    from electronhub_embeddings import EmbeddingsClient, RequestInfo
    from electronhub_embeddings._config.options import OnModelChange
    from electronhub_embeddings._config.request_config import EncodingFormat
    from electronhub_embeddings.rate_limit_stores import RateLimitStore

Model = TypeVar("Model", bound="ElectronHubEmbedding")

VECTOR_FIELDS = ("model_name", "base_url", "dimensions", "encoding_format", "query_prefix", "document_prefix")
"""The fields that change vectors. The serialised form holds only these, because ingestion caches hash it: a changed
timeout must not embed a corpus again."""


class ElectronHubEmbedding(ClientMethods, BaseEmbedding):
    """Embeds nodes and queries with any embedding model of Electron Hub.

    Use:
        ```python
        from llama_index.core import Document, Settings, VectorStoreIndex
        from llama_index_electronhub import ElectronHubEmbedding

        Settings.embed_model = ElectronHubEmbedding(model="text-embedding-3-small")
        index = VectorStoreIndex.from_documents([Document(text="Paris is in France.")])
        index.as_retriever(similarity_top_k=1).retrieve("a capital in Europe")
        ```

    llama-index-core 0.10 also accepts the model in a service context:
    `ServiceContext.from_defaults(embed_model=ElectronHubEmbedding(), llm=None)`.

    Every method raises the errors of `electronhub_embeddings.errors`; `.partial` maps the positions of finished texts
    to their vectors, as float32 arrays. With LlamaIndex's own `embeddings_cache` or `rate_limiter`, these positions and
    `.index` count within the failed batch of `embed_batch_size` texts.

    The key and other confidential options are not fields, so that no dump of this object contains them.

    Args:
        model_name: The same as `model`, under LlamaIndex's name.
        model: Any model id of the service; there is no list of allowed ones.
        api_key: The key of your account. None: the environment variable ELECTRONHUB_API_KEY.
        base_url: Where the service is. None: ELECTRONHUB_BASE_URL, else https://api.electronhub.ai/v1.
        embed_batch_size: Texts in one of LlamaIndex's events; 1 to 2048. Requests are as full either way.
        callback_manager: LlamaIndex's callbacks.
        num_workers: Batches that LlamaIndex hands over at once in async calls.
        embeddings_cache: LlamaIndex's own cache (core 0.12.31 and later).
        rate_limiter: LlamaIndex's own limiter (core 0.14.16 and later); this package does not need it.
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
        ValueError: An argument is out of range, there is no key, or the installed core does not support it.
        TypeError: An argument is unknown.
    """

    base_url: str | None = declared("base_url")
    dimensions: int | None = declared("dimensions")
    user: str | None = declared("user")
    encoding_format: str = declared("encoding_format")
    batch_size: int = declared("batch_size")
    max_retries: int = declared("max_retries")
    timeout: float = declared("timeout")
    max_wait: float | None = declared("max_wait")
    requests_per_minute: int | None = declared("requests_per_minute")
    max_concurrency: int = declared("max_concurrency")
    spread_documents: bool = declared("spread_documents")
    query_prefix: str = declared("query_prefix")
    document_prefix: str = declared("document_prefix")
    on_model_change: str = declared("on_model_change")

    _secret: Any = PrivateAttr(default=None)
    _confidential: Any = PrivateAttr(default=None)
    _client_cache: Any = PrivateAttr(default=None)

    @without_inputs
    @refuse_foreign_names
    def __init__(
        self,
        model_name: str | None = None,
        *,
        model: str | None = None,
        api_key: str | None = None,
        base_url: str | None = None,
        embed_batch_size: int = MAX_BATCH_SIZE,
        callback_manager: CallbackManager | None = None,
        num_workers: int | None = None,
        embeddings_cache: BaseKVStore | None = None,
        rate_limiter: BaseRateLimiter | None = None,
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
        if model_name is not None and model is not None and model_name != model:
            raise ValueError(
                f"model_name={model_name!r} and model={model!r} name the same option, but differ: pass one."
            )
        model = next((name for name in (model_name, model) if name is not None), DEFAULT_MODEL)
        options = {name: value for name, value in locals().items() if name in DECLARED}
        checked = Options(**options)  # checks the original values: pydantic converts "5" and 5
        check_count("embed_batch_size", embed_batch_size, most=MAX_BATCH_SIZE)
        super().__init__(
            model_name=model,
            embed_batch_size=embed_batch_size,
            num_workers=num_workers,
            **{name: options[name] for name in CLIENT_FIELDS},
            **given(callback_manager=callback_manager),
            **supported(embeddings_cache=embeddings_cache, rate_limiter=rate_limiter),
        )
        self._secret = checked.api_key
        options.update(cache=checked.cache, rate_limit_store=checked.rate_limit_store)  # absolute paths: for copies
        self._confidential = {name: conceal(options[name]) for name in CONFIDENTIAL}
        self._client_cache = ClientCache()
        self._client()

    @classmethod
    def class_name(cls) -> str:
        """Return the name of the class in the serialised form."""
        return "ElectronHubEmbedding"

    @property
    def model(self) -> str:
        """The model id; the same as `model_name`."""
        return self.model_name

    def _client(self) -> EmbeddingsClient:
        client_cache: ClientCache = self._client_cache
        fields = {name: getattr(self, name) for name in CLIENT_FIELDS}
        return client_cache.client({"model": self.model_name, "api_key": self._secret, **fields, **self._confidential})

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
        self, texts: Iterable[str], show_progress: bool = False, **kwargs: Any
    ) -> list[list[float]]:
        """Embed texts; the batches into which LlamaIndex splits them become one call of the client."""
        texts = as_list(texts)
        if self._is_interposed:
            return super().get_text_embedding_batch(texts, show_progress, **kwargs)
        with coalesced(self._client(), texts, is_async=False, show_progress=show_progress):
            return super().get_text_embedding_batch(texts, **kwargs)

    async def aget_text_embedding_batch(
        self, texts: Iterable[str], show_progress: bool = False, **kwargs: Any
    ) -> list[list[float]]:
        """Embed texts without blocking the event loop; otherwise the same as `get_text_embedding_batch`."""
        texts = as_list(texts)
        if self._is_interposed:
            return await super().aget_text_embedding_batch(texts, show_progress, **kwargs)
        with coalesced(self._client(), texts, is_async=True, show_progress=show_progress):
            return await super().aget_text_embedding_batch(texts, **kwargs)

    @property
    def _is_interposed(self) -> bool:
        """Whether LlamaIndex's own cache or rate limiter is used, which works batch by batch."""
        return any(getattr(self, name, None) is not None for name in ("embeddings_cache", "rate_limiter"))

    def to_dict(self, **_: Any) -> dict[str, Any]:
        """Serialise the fields that change vectors; `from_dict` takes all others from its arguments or defaults."""
        return {**{name: getattr(self, name) for name in VECTOR_FIELDS}, "class_name": self.class_name()}

    def _arguments(self) -> dict[str, Any]:
        """Return the arguments of a copy, without objects that belong to this process."""
        own = ("model_name", "embed_batch_size", "num_workers", *CLIENT_FIELDS)
        fields = {name: getattr(self, name) for name in own}
        cache = given(embeddings_cache=getattr(self, "embeddings_cache", None))
        return {**fields, **cache, **self._confidential, "api_key": self._secret}

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _rebuild, (type(self), self._arguments())

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        shared: dict[str, Any] = {
            "callback_manager": self.callback_manager,
            "rate_limiter": getattr(self, "rate_limiter", None),
        }
        return _rebuild(type(self), {**self._arguments(), **shared})


CLIENT_FIELDS = tuple(name for name in DECLARED if name in ElectronHubEmbedding.__annotations__)
"""Client options that are fields of this class under the same name; `model` is LlamaIndex's `model_name`."""

CONFIDENTIAL = tuple(name for name in DECLARED if name not in {"model", "api_key", *CLIENT_FIELDS})
"""Client options that are not fields, so that no dump contains them."""


describe_inherited(ElectronHubEmbedding)


def _rebuild(cls: type[Model], arguments: Mapping[str, Any]) -> Model:
    """Create a copy from concealed arguments."""
    return cls(**{name: reveal(value) for name, value in arguments.items()})
