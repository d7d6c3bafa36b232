"""Uses every public name as a caller would. Type-checked by mypy and pyright in their strict modes, and never run.

`behaviour/test_public_names.py` compares this file with the packages, so a new name or argument has to be added here.
"""

# ruff: noqa: D102, D103 - the names of the functions say what they use

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import httpx
import httpx2
import numpy as np
from llama_index.core.callbacks import CallbackManager
from llama_index.core.storage.kvstore import SimpleKVStore
from numpy.typing import NDArray
from pydantic import SecretStr
from typing_extensions import assert_type

import electronhub_embeddings
import langchain_electronhub
import llama_index_electronhub
import pytest_electronhub
from electronhub_embeddings import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AsyncHTTPX2RateLimitedTransport,
    AsyncRateLimitedTransport,
    AuthenticationError,
    BadRequestError,
    CacheError,
    CheckResult,
    ElectronHubError,
    EmbeddingsClient,
    Estimate,
    HTTPX2RateLimitedTransport,
    InputError,
    InsufficientBalanceError,
    InvalidResponseError,
    ModelChangedError,
    ModelChangedWarning,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitedTransport,
    RateLimitError,
    RequestInfo,
    ServerError,
    StoreConflictError,
    Usage,
    track_usage,
)
from electronhub_embeddings.emulator import PLANS, Call, Emulator, Fault, faults
from electronhub_embeddings.rate_limit_stores import RateLimitStore, SlidingWindow
from langchain_electronhub import ElectronHubEmbeddings
from llama_index.embeddings.electronhub import ElectronHubEmbedding as NamespacedEmbedding
from llama_index_electronhub import ElectronHubEmbedding

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Callable
    from typing import TypeVar

    from langchain_core.embeddings import Embeddings
    from langchain_core.rate_limiters import BaseRateLimiter
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.rate_limiter import BaseRateLimiter as LlamaIndexRateLimiter

    T = TypeVar("T")


class Store:
    """A store of the user's own: the methods of `RateLimitStore`, without inheriting from it."""

    poll: float | None = None

    def update(self, change: Callable[[SlidingWindow, float], T]) -> T:
        return change(SlidingWindow(), 0.0)

    def after_fork(self) -> Store:
        return self

    def close(self) -> None:
        pass


def report(info: RequestInfo) -> None:
    assert_type(info.model, str)
    assert_type((info.texts, info.tokens, info.attempt), tuple[int, int, int])
    assert_type((info.seconds, info.waited), tuple[float, float])
    assert_type(info.status, int | None)
    assert_type(info.error, str | None)


def client(own: httpx.Client, headers: Mapping[str, str]) -> EmbeddingsClient:
    store: RateLimitStore = Store()
    EmbeddingsClient()
    EmbeddingsClient(http_client=httpx2.Client(), rate_limit_store=Path("window.sqlite"), cache=Path("vectors.sqlite"))
    return EmbeddingsClient(
        "text-embedding-3-small",
        api_key="ek-example",
        base_url="https://api.electronhub.ai/v1",
        dimensions=256,
        user="someone",
        encoding_format="float",
        batch_size=100,
        max_retries=3,
        timeout=30,
        max_wait=120.0,
        requests_per_minute=5,
        max_concurrency=4,
        spread_documents=False,
        query_prefix="query: ",
        document_prefix="passage: ",
        cache="vectors.sqlite",
        on_model_change="raise",
        rate_limit_store=store,
        default_headers=headers,
        http_client=own,
        allow_http=True,
        on_request=report,
    )


def client_methods(embeddings: EmbeddingsClient) -> Usage:
    with embeddings as entered:
        assert_type(entered, EmbeddingsClient)
    assert_type(embeddings.embed(["one", "two"], show_progress=True), NDArray[np.float32])
    assert_type(embeddings.embed_query("one", max_wait=10, timeout=5.0), NDArray[np.float32])
    rows = embeddings.iter_embed((text for text in ("one", "two")), show_progress=True)
    assert_type(rows, Iterator[NDArray[np.float32]])
    assert_type(embeddings.embed_lists(["one"], show_progress=True, max_wait=10, timeout=5.0), list[list[float]])
    assert_type(embeddings.list_models(), list[str])
    assert_type(embeddings.estimate(iter(["one"]), price=0.02, with_prices=True), Estimate)
    check_result(embeddings.check(send=True))
    embeddings.close()
    embeddings.reopen()
    return embeddings.usage


async def async_client_methods(embeddings: EmbeddingsClient) -> None:
    async with embeddings as entered:
        assert_type(entered, EmbeddingsClient)
    assert_type(await embeddings.aembed(["one", "two"], show_progress=True), NDArray[np.float32])
    assert_type(await embeddings.aembed_query("one"), NDArray[np.float32])
    assert_type(await embeddings.aembed_lists(["one"], show_progress=True), list[list[float]])
    rows = [row async for row in embeddings.aiter_embed(["one"], show_progress=True, max_wait=10, timeout=5.0)]
    assert_type(rows, list[NDArray[np.float32]])
    more: AsyncIterator[NDArray[np.float32]] = embeddings.aiter_embed(async_texts())
    assert_type(await embeddings.alist_models(), list[str])
    estimate(await embeddings.aestimate(["one"], price=None, with_prices=False))
    check_result(await embeddings.acheck(send=True))
    await embeddings.aclose()
    del more


def check_result(result: CheckResult) -> None:
    assert_type((result.ok, result.sent), tuple[bool, bool])
    assert_type((result.base_url, result.model, result.key), tuple[str, str, str])
    assert_type((result.dimensions, result.limit, result.left), tuple[int | None, int | None, int | None])
    assert_type((result.period, result.wait), tuple[float, float])
    assert_type(result.problem, str | None)


async def async_texts() -> AsyncIterator[str]:
    yield "one"


def estimate(job: Estimate) -> None:
    assert_type(
        (job.texts, job.distinct, job.cached, job.to_send, job.tokens, job.requests),
        tuple[int, int, int, int, int, int],
    )
    assert_type(job.tokens_range, tuple[int, int])
    assert_type((job.seconds, job.price, job.cost), tuple[float | None, float | None, float | None])
    assert_type((job.requests_per_minute, job.left_to_others), tuple[int | None, int])
    assert_type(job.limit_source, Literal["service", "guess", "option"] | None)


def usage(total: Usage) -> None:
    counts = (total.requests, total.attempts, total.prompt_tokens, total.total_tokens, total.texts, total.cache_hits)
    assert_type(sum(counts), int)
    assert_type(total.rate_limited, int)
    assert_type(total.seconds_waited, float)
    with track_usage(price=0.02) as part:
        assert_type((part, part.price, part.cost), tuple[Usage, float | None, float | None])


def errors(embeddings: EmbeddingsClient) -> None:
    warnings.simplefilter("error", ModelChangedWarning)
    try:
        embeddings.embed(["one"])
    except (InputError, CacheError, ModelChangedError, StoreConflictError) as error:
        assert_type(error.index, int | None)
    except (APITimeoutError, APIConnectionError) as error:
        assert_type(error.sent, bool)
    except (RateLimitError, QuotaExceededError) as error:
        assert_type(error.retry_after, float | None)
    except (AuthenticationError, InsufficientBalanceError, PermissionDeniedError, NotFoundError) as error:
        assert_type(error.next_step, str)
    except (BadRequestError, ServerError) as error:
        assert_type(error.param, str | None)
    except APIStatusError as error:
        assert_type(error.status_code, int)
        assert_type(error.code, str | int | None)
        assert_type(error.body, Any)
    except InvalidResponseError as error:
        assert_type(error.retries, int | None)
    except ElectronHubError as error:
        assert_type(error.partial, Mapping[int, NDArray[np.float32]])
        assert_type((error.message, error.next_step), tuple[str, str])


def langchain() -> Embeddings:
    ElectronHubEmbeddings()
    model = ElectronHubEmbeddings(
        model="text-embedding-3-small",
        api_key="ek-example",
        base_url="https://api.electronhub.ai/v1",
        dimensions=256,
        user="someone",
        encoding_format="float",
        batch_size=100,
        max_retries=3,
        timeout=30,
        max_wait=120.0,
        requests_per_minute=5,
        max_concurrency=4,
        spread_documents=False,
        query_prefix="query: ",
        document_prefix="passage: ",
        cache="vectors.sqlite",
        on_model_change="raise",
        rate_limit_store=Store(),
        default_headers={"X-Team": "search"},
        http_client=httpx.Client(),
        on_request=report,
        allow_http=True,
        show_progress=True,
    )
    model.api_key = SecretStr("ek-example")
    model.api_key = "ek-example"
    assert_type(model.api_key, SecretStr | None)
    assert_type(model.usage, Usage)
    assert_type(model.estimate(["one"], price=0.02, with_prices=True), Estimate)
    assert_type(model.embed_documents(["one"]), list[list[float]])
    with model as entered:
        assert_type(entered.embed_query("one"), list[float])
    return ElectronHubEmbeddings(api_key=SecretStr("ek-example"))


async def async_langchain(model: ElectronHubEmbeddings) -> None:
    async with model as entered:
        assert_type(await entered.aembed_documents(["one"]), list[list[float]])
        estimate(await entered.aestimate(["one"], price=0.02, with_prices=True))
    assert_type(await model.aembed_query("one"), list[float])
    await model.aclose()


def llama_index() -> BaseEmbedding:
    ElectronHubEmbedding()
    NamespacedEmbedding("text-embedding-3-small")
    model = ElectronHubEmbedding(
        model_name="text-embedding-3-small",
        model="text-embedding-3-small",
        api_key="ek-example",
        base_url="https://api.electronhub.ai/v1",
        embed_batch_size=100,
        callback_manager=CallbackManager([]),
        num_workers=2,
        embeddings_cache=SimpleKVStore(),
        rate_limiter=None,
        dimensions=256,
        user="someone",
        encoding_format="float",
        batch_size=100,
        max_retries=3,
        timeout=30,
        max_wait=120.0,
        requests_per_minute=5,
        max_concurrency=4,
        spread_documents=False,
        query_prefix="query: ",
        document_prefix="passage: ",
        cache="vectors.sqlite",
        on_model_change="raise",
        rate_limit_store=Store(),
        default_headers={"X-Team": "search"},
        http_client=httpx2.Client(),
        allow_http=True,
        on_request=report,
    )
    assert_type(model.model, str)
    assert_type(model.usage, Usage)
    assert_type(model.estimate(["one"], price=0.02, with_prices=True), Estimate)
    assert_type(model.get_text_embedding_batch(["one"], show_progress=True), list[list[float]])
    with model as entered:
        assert_type(entered.get_query_embedding("one"), list[float])
    return model


async def async_llama_index(model: ElectronHubEmbedding) -> None:
    async with model as entered:
        assert_type(await entered.aget_text_embedding_batch(["one"], show_progress=True), list[list[float]])
    await model.aclose()


def rate_limiters() -> tuple[BaseRateLimiter, LlamaIndexRateLimiter]:
    return langchain_electronhub.ElectronHubRateLimiter(
        api_key="ek-example",
        base_url="https://api.electronhub.ai/v1",
        rate_limit_store="redis://localhost",
        requests_per_minute=5,
        timeout=30,
        allow_http=True,
    ), llama_index_electronhub.ElectronHubRateLimiter(
        api_key="ek-example",
        base_url="https://api.electronhub.ai/v1",
        rate_limit_store="redis://localhost",
        requests_per_minute=5,
        timeout=30,
        allow_http=True,
    )


def transports() -> tuple[httpx.Client, httpx.AsyncClient, httpx2.Client, httpx2.AsyncClient]:
    return (
        httpx.Client(
            transport=RateLimitedTransport(
                httpx.HTTPTransport(),
                base_url="https://api.electronhub.ai/v1",
                rate_limit_store="memory",
                requests_per_minute=5,
                max_wait=120.0,
                allow_http=True,
            )
        ),
        httpx.AsyncClient(
            transport=AsyncRateLimitedTransport(
                httpx.AsyncHTTPTransport(),
                base_url="https://api.electronhub.ai/v1",
                rate_limit_store="memory",
                requests_per_minute=5,
                max_wait=120.0,
                allow_http=True,
            )
        ),
        httpx2.Client(
            transport=HTTPX2RateLimitedTransport(
                httpx2.HTTPTransport(),
                base_url="https://api.electronhub.ai/v1",
                rate_limit_store="memory",
                requests_per_minute=5,
                max_wait=120.0,
                allow_http=True,
            )
        ),
        httpx2.AsyncClient(
            transport=AsyncHTTPX2RateLimitedTransport(
                httpx2.AsyncHTTPTransport(),
                base_url="https://api.electronhub.ai/v1",
                rate_limit_store="memory",
                requests_per_minute=5,
                max_wait=120.0,
                allow_http=True,
            )
        ),
    )


def chance(rng: random.Random) -> Fault | None:
    return faults.delay(1.0) if rng.random() > 0.5 else None


def emulator(log: Callable[[str], None]) -> list[Call]:
    service = Emulator(
        "free",
        rpm=max(PLANS.values()),
        window=1.0,
        cooldown=2.0,
        api_key="ek-example",
        host="127.0.0.1",
        port=0,
        latency=0.1,
        jitter=0.1,
        rate_limit_headers=False,
        max_inputs=10,
        max_input_tokens=100,
        max_request_tokens=1000,
        refuse=lambda text: "bomb" in text,
        names_offender=False,
        base64="ignore",
        faults=[faults.drop(delay=1.0), None],
        chance=chance,
        seed=1,
        clock=lambda: 0.0,
        keep_bodies=False,
        log=log,
        embed=lambda texts: [[len(text), 1.0] for text in texts],
    )
    service.script(*every_fault())
    with service as running:
        vector: np.ndarray = running.vector("one", model="text-embedding-3-small", dimensions=2)
        assert_type((running.base_url, running.api_key, len(vector)), tuple[str, str, int])
    service.start().reset()
    service.close()
    return service.calls


def every_fault() -> list[faults.Fault]:
    assert_type(faults.Fault().manner, faults.Manner)
    return [
        faults.balance_spent(),
        faults.budget_spent(reset="2030-01-01"),
        faults.delay(seconds=1.0),
        faults.detail(503, message="down", headers={"Retry-After": "2"}),
        faults.drop(delay=1.0),
        faults.duplicate_index(),
        faults.edit(lambda body: {**body, "model": "other"}),
        faults.empty(503, headers={"Retry-After": "2"}),
        faults.error(status=503, message="down", type="error", param=None, code=503, headers={"Retry-After": "2"}),
        faults.error_with_200(message="down"),
        faults.extra(),
        faults.html(503, headers={"Retry-After": "2"}),
        faults.infinite(row=0),
        faults.integers(row=0),
        faults.invalid_base64(row=0),
        faults.missing_index(row=0),
        faults.negative_index(row=0),
        faults.nonsense(body=b"no JSON"),
        faults.not_a_number(row=0),
        faults.null(row=0),
        faults.odd_base64(row=0),
        faults.reset(delay=1.0),
        faults.short(missing=1),
        faults.shuffled(seed=1),
        faults.stall(seconds=1.0),
        faults.text(503, message="down", headers={"Retry-After": "2"}),
        faults.trickle(seconds=1.0, head=True),
        faults.truncate(reset=True),
        faults.without_usage(),
        faults.wrapped_error(503, message="down", headers={"Retry-After": "2"}),
        faults.wrong_dimension(row=0),
        faults.wrong_length(by=1),
    ]


def fixture(electronhub: Emulator) -> str:
    assert pytest_electronhub.electronhub
    return electronhub.base_url


def version() -> str:
    return electronhub_embeddings.__version__
