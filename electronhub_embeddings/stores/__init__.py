"""Where a limiter keeps its window: the rules are in `limits`, a store only makes each change atomic."""

from electronhub_embeddings.stores.base import RateLimitStore
from electronhub_embeddings.stores.memory import MemoryStore

__all__ = ["MemoryStore", "RateLimitStore"]
