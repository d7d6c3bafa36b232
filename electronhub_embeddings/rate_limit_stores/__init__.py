"""Stores for the window of a rate limiter. The rules are in `_rate_limit`; a store only makes each change atomic.

Imports of this package only `_config`, `_rate_limit`, `_storage` and `errors`.
"""

from __future__ import annotations

from electronhub_embeddings._config.paths import file_identity
from electronhub_embeddings._config.redis_url import is_redis_url
from electronhub_embeddings._config.storage_options import is_memory
from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow
from electronhub_embeddings._rate_limit.store import RateLimitStore

__all__ = ["RateLimitStore", "SlidingWindow"]


def open_store(where: str | None, account_name: str) -> RateLimitStore:
    """Return a store that falls back to memory while its file or server fails; nothing is opened yet.

    Args:
        where: The absolute path of an SQLite file, for the processes of one machine; a Redis URL, for many machines; or
            None, for a file in the user's state folder.
        account_name: The account of the window, as in `Account.name`: a keyed hash.
    """
    if where is None:
        from electronhub_embeddings.rate_limit_stores.default_store import open_default_store  # noqa: PLC0415 - as below

        return open_default_store(account_name)
    from electronhub_embeddings.rate_limit_stores.memory_fallback import MemoryFallback  # noqa: PLC0415 - few need one

    if is_redis_url(where):
        from electronhub_embeddings.rate_limit_stores.redis import RedisStore  # noqa: PLC0415 - an extra

        return MemoryFallback(RedisStore(where, account_name))
    from electronhub_embeddings.rate_limit_stores.sqlite import SQLiteStore  # noqa: PLC0415 - few need it

    return MemoryFallback(SQLiteStore(where, account_name))


def same_store(one: RateLimitStore | str | None, other: RateLimitStore | str | None) -> bool:
    """Return whether two values of `rate_limit_store` name the same store; links to files are resolved."""
    if isinstance(one, str) and isinstance(other, str) and _is_path(one) and _is_path(other):
        return file_identity(one) == file_identity(other)
    return one is other or one == other


def _is_path(where: str) -> bool:
    return not (is_memory(where) or is_redis_url(where))


def is_replaceable(
    opened: RateLimitStore, kept: RateLimitStore | str | None, wanted: RateLimitStore | str | None
) -> bool:
    """Return whether the store of an account may be replaced by the store that a new client names.

    A store that has never worked may be replaced: a mistyped path must not lock out the corrected one. A client that
    names no store uses the account's store, unless that store has failed.

    Args:
        opened: The store of the account.
        kept: The option value for which `opened` was created.
        wanted: The option value of the new client.
    """
    if getattr(opened, "has_worked", True):  # a custom store is never replaced
        return False
    if wanted is None:
        return bool(getattr(opened, "has_failed", False))
    return not same_store(kept, wanted)
