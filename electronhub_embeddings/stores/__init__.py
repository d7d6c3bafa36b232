"""Where a limiter keeps its window: the rules are in `limits`, a store only makes each change atomic."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from electronhub_embeddings.stores.base import RateLimitStore

if TYPE_CHECKING:
    from electronhub_embeddings.settings import Account

__all__ = ["RateLimitStore", "open_store"]

REDIS = ("redis://", "rediss://", "unix://")


def open_store(where: RateLimitStore | str | os.PathLike[str], account: Account) -> RateLimitStore:
    """Open the store that `rate_limit_store=` names.

    Args:
        where: A path: an SQLite file, for the processes of one machine. A `redis://` URL: for many machines. A store
            of your own is taken as it is.
        account: Whose window is kept; the store sees a keyed hash of it.

    Raises:
        ImportError: Redis is meant, and redis-py is missing.
    """
    if isinstance(where, RateLimitStore):
        return where
    from electronhub_embeddings.stores.guarded import GuardedStore  # noqa: PLC0415 - few need one

    path = os.fspath(where)
    if path.startswith(REDIS):
        from electronhub_embeddings.stores.redis import RedisStore  # noqa: PLC0415 - an extra

        return GuardedStore(RedisStore(path, account.name))
    from electronhub_embeddings.stores.sqlite import SQLiteStore  # noqa: PLC0415 - few need it

    return GuardedStore(SQLiteStore(path, account.name))
