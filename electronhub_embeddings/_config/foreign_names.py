"""Names that arguments have in other classes for embeddings, and what to write here instead. No I/O.

The names are those of langchain-openai, llama-index-embeddings-openai and -openai-like, and of the classes for Cohere,
DeepInfra, Jina, LiteLLM, Mistral and Voyage. The table in docs/migration.md is this one, which a test compares.
"""

from __future__ import annotations

import inspect
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

P = ParamSpec("P")
R = TypeVar("R")

FOREIGN_NAMES: dict[tuple[str, ...], str] = {
    ("model_name", "model_id", "engine"): "Use `model`.",
    ("deployment", "deployment_name", "azure_deployment"): "Use `model`: there are no deployments.",
    (
        "openai_api_key",
        "cohere_api_key",
        "deepinfra_api_token",
        "jina_api_key",
        "mistral_api_key",
        "voyage_api_key",
    ): "Use `api_key`, or set the environment variable ELECTRONHUB_API_KEY.",
    (
        "openai_api_base",
        "api_base",
        "azure_endpoint",
        "endpoint",
        "voyage_api_base",
    ): "Use `base_url`, or leave it out: the default is the service itself.",
    (
        "chunk_size",
        "embed_batch_size",
    ): "Use `batch_size`, or leave it out: requests are as full as the service takes them.",
    (
        "show_progress",
        "show_progress_bar",
    ): "Pass `show_progress=True` to the method that embeds, or to LangChain's class.",
    ("request_timeout",): "Use `timeout`, the seconds of one attempt.",
    ("dimension", "output_dimension", "output_dimensionality"): "Use `dimensions`.",
    ("headers", "extra_headers", "user_agent"): "Use `default_headers`.",
    ("num_workers", "max_concurrent_requests"): "Use `max_concurrency`, the requests on the wire at once.",
    ("embeddings_cache", "cache_dir", "cache_folder"): "Use `cache`, a path to a file.",
    (
        "client",
        "async_client",
        "async_http_client",
        "http_async_client",
        "session",
    ): "Use `http_client`: one client serves sync and async calls.",
    ("openai_proxy", "proxy", "proxies"): "Use `http_client`, or leave it out: the environment's proxy is used.",
    ("query_instruction", "embed_instruction", "input_type", "task_type"): "Use `query_prefix` and `document_prefix`.",
    (
        "model_kwargs",
        "additional_kwargs",
        "extra_body",
    ): "Use `dimensions`, `user` and `encoding_format`: each parameter of a request is an argument.",
    (
        "retry_min_seconds",
        "retry_max_seconds",
        "wait_time",
    ): "Leave it out: pauses follow the service. `max_retries` and `max_wait` say how often and how long.",
    ("rate_limiter",): "Leave it out: the limit is kept. `requests_per_minute` lowers it.",
    ("callback_manager", "callbacks"): "Use `on_request`, which is called after each request.",
    (
        "check_embedding_ctx_length",
        "embedding_ctx_length",
        "tiktoken_enabled",
        "tiktoken_model_name",
        "allowed_special",
        "disallowed_special",
        "tokenizer",
    ): "Leave it out: texts are sent as they are, never as tokens.",
    ("truncate", "truncation"): "Leave it out: no text is cut. Split texts that are too long for the model.",
    ("skip_empty",): "Leave it out, and the empty texts as well: they are refused.",
    ("normalize",): "Leave it out: vectors are returned as the service sends them.",
    ("reuse_client",): "Leave it out: connections are kept, and shared by all threads.",
    ("mode", "custom_llm_provider"): "Leave it out: `model` says it all.",
    (
        "organization",
        "openai_organization",
        "openai_api_type",
        "openai_api_version",
        "api_version",
        "default_query",
    ): "Leave it out: the service has no such thing.",
}
"""Names elsewhere -> what to do here, with this package's names in backticks."""

ADVICE = {name: advice for names, advice in FOREIGN_NAMES.items() for name in names}

MIN_LIKENESS = 0.75
"""How similar a misspelt name must be to be recognised, from 0 to 1: `batchsize`, `max_retry`, `apikey` are."""


def refuse_foreign_names(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate the constructor of a class: arguments that it does not have are refused with what to write instead.

    Raises:
        TypeError: An argument is unknown; the values of arguments are not quoted.
    """
    known = inspect.signature(function).parameters
    owner = function.__qualname__.rpartition(".")[0]

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if unknown := [name for name in kwargs if name not in known]:
            raise TypeError(" ".join(describe_foreign_name(owner, name, known) for name in unknown))
        return function(*args, **kwargs)

    return call


def describe_foreign_name(owner: str, name: str, known: Iterable[str]) -> str:
    """Say what to do about an argument that a class does not have.

    Args:
        owner: The name of the class.
        name: The name of the argument.
        known: The names of the arguments that the class has.
    """
    return f"{owner} has no argument {name}. {_advise(owner, name, known)}"


def _advise(owner: str, name: str, known: Iterable[str]) -> str:
    if name in ADVICE:
        return ADVICE[name].replace("`", "")
    from difflib import get_close_matches  # noqa: PLC0415 - for an error only

    similar = get_close_matches(name, known, n=1, cutoff=MIN_LIKENESS)
    return f"Did you mean {similar[0]}?" if similar else f"help({owner}) lists its arguments."
