"""Checks the options `cache` and `rate_limit_store`: paths, URLs and stores. Opens no file and no connection."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

from electronhub_embeddings._config.checks import kind
from electronhub_embeddings._config.paths import absolute_path
from electronhub_embeddings._config.redis_url import check_redis_url, is_redis_url
from electronhub_embeddings._rate_limit.store import RateLimitStore

MEMORY = "memory"
"""The value of `rate_limit_store` that keeps the window in this process alone; "./memory" is a file of that name."""


def is_memory(value: object) -> bool:
    """Return whether a value of `rate_limit_store` keeps the window in this process alone."""
    return isinstance(value, str) and value == MEMORY


def check_cache(name: str, value: Any) -> str | None:
    """Return the absolute path of a file, or None."""
    return None if value is None else _check_path(name, value, "None keeps no cache")


def check_rate_limit_store(name: str, value: Any) -> RateLimitStore | str | None:
    """Return a store, a Redis URL that redis-py can use, the absolute path of a file, "memory", or None.

    Raises:
        ValueError: The value is none of these; a URL is not quoted, because it may contain a password.
        ImportError: The value is a Redis URL, and redis-py is not installed.
    """
    if value is None or (isinstance(value, RateLimitStore) and not isinstance(value, type)):
        return value
    if is_memory(value):
        return MEMORY
    if not isinstance(value, str) or not is_redis_url(value):
        return _check_path(
            name,
            value,
            f'a redis:// URL or a store will do, too; "{MEMORY}" keeps the limit in this process, and None keeps it in '
            "a file in your state folder",
        )
    check_redis_url(name, value)
    if find_spec("redis") is None:
        raise ImportError(f'{name}="redis://…" needs: pip install "electronhub-embeddings[redis]"')
    return value


def _check_path(name: str, value: Any, none_means: str) -> str:
    if isinstance(value, type) or not isinstance(value, (str, os.PathLike)):
        raise ValueError(f"{name} must be a path to a file, not {kind(value)}; {none_means}.")  # noqa: TRY004
    return absolute_path(name, value, none_means)  # pyright: ignore[reportUnknownArgumentType] - of str or bytes
