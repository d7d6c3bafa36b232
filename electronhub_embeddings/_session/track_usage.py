"""Counts the usage of a part of a program: a call is counted in the blocks inside which it was made.

The blocks of a call are those of the context in which its texts are submitted, and they travel with the call. Worker
threads read no context; they count with `usage.add_usage`.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from electronhub_embeddings._config.checks import check_price
from electronhub_embeddings.usage import Usage, tracked_usages

if TYPE_CHECKING:
    from collections.abc import Generator


@contextmanager
def track_usage(*, price: float | None = None) -> Generator[Usage, None, None]:
    """Count the usage that the code inside a `with` block causes, with any client, model, store, index or pipeline.

    Everything is counted as in a client's `usage`. A call counts if its texts are handed over in the block's context:
    in the block itself, sync or async, in tasks created there, and in threads that copy the context, which are those
    of `asyncio.to_thread`, of LangChain's `batch` and of LlamaIndex's `use_async`. A bare `threading.Thread`,
    `ThreadPoolExecutor.submit` and `loop.run_in_executor` copy none, unless they run
    `contextvars.copy_context().run`; nor do other processes, such as those of `IngestionPipeline(num_workers=2)`.

    Blocks can be nested, and each counts what is inside it. If a request carries texts of several callers, its tokens
    are divided in proportion to the size of their texts, and the request itself (`requests`, `attempts`,
    `rate_limited`) counts for the call of its first text only.

    The counters are live. They can be read at any time in any thread, and include a call completely when it returns.
    Requests in flight when a call is cancelled or ends at its `timeout` are added when they end.

    Args:
        price: What a million tokens cost, for `usage.cost`: the `pricing.input` of the service's list of models. Models
            with different prices need a block each. None: `usage.cost` is None.

    Returns:
        A context manager whose `with` gives the block's counters, which are 0 at first.

    Raises:
        ValueError: `price` is negative or not a number.

    Example:
        ```python
        from electronhub_embeddings import track_usage
        from langchain_core.vectorstores import InMemoryVectorStore
        from langchain_electronhub import ElectronHubEmbeddings

        store = InMemoryVectorStore(ElectronHubEmbeddings(model="text-embedding-3-small"))
        with track_usage(price=0.02) as usage:
            store.add_texts(["Paris is in France.", "Rust has no garbage collector."])
        print(usage.requests, "requests,", usage.total_tokens, "tokens,", usage.cost)
        ```
    """
    usage = Usage(price=check_price("price", price))
    tracked_usages.set((*tracked_usages.get(), usage))
    try:
        yield usage
    finally:  # not by a token: blocks inside generators can end in another order than they began, or in another context
        tracked_usages.set(tuple(other for other in tracked_usages.get() if other is not usage))
