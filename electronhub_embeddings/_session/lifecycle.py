"""Opens and closes what a client uses: its vector cache and, in each process, its connection to the workers.

Any number of threads may use one client, and `close` may be called from a signal handler; so there is no lock here, and
connections are kept in a dictionary whose single operations are atomic.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

from electronhub_embeddings._config.import_lock import importing
from electronhub_embeddings._rate_limit.wording import AFTER_CLOSE
from electronhub_embeddings.errors import ElectronHubError

if TYPE_CHECKING:
    from electronhub_embeddings._config.options import Options
    from electronhub_embeddings._storage.vector_cache import VectorCache
    from electronhub_embeddings._workers.connection import Connection
    from electronhub_embeddings.usage import Usage


class Lifecycle:
    """Connects a client for its first texts, and again after a fork or `reopen`.

    Args:
        options: The client's options.
        usage: The client's counters.
    """

    def __init__(self, options: Options, usage: Usage) -> None:
        self.options = options
        self._usage = usage
        self._process = os.getpid()
        self._cache = _open_cache(options)
        self._connections: dict[int, Connection] = {}
        """The connection of each process, by process id."""
        self._closed = False

    def check_open(self) -> None:
        """Check that texts can be embedded.

        Raises:
            ElectronHubError: The client is closed, or the interpreter is shutting down.
        """
        if sys.is_finalizing():  # threads have been stopped, and imports fail
            raise ElectronHubError(
                "The interpreter is shutting down.", next_step="Embed before the end of the program."
            )
        if self._closed:
            raise ElectronHubError("The client is closed.", next_step=AFTER_CLOSE)

    def connection(self) -> Connection:
        """Return the connection to the account's workers; a forked child, which has no threads, gets a new one.

        Raises:
            ElectronHubError: The client is closed, or has an `http_client` of another process.
            StoreConflictError: Other clients of the account use another rate limit store.
        """
        self.check_open()
        connection = self._connections.get(os.getpid())
        if connection is not None and connection.is_retired:
            connection.close(wait=False)
            self._connections.pop(os.getpid(), None)
            connection = None
        return connection if connection is not None else self._connect()

    def _connect(self) -> Connection:
        if self.options.http_client is not None and self._process != os.getpid():
            raise ElectronHubError(
                "http_client was made in another process, and connections cannot be shared.",
                next_step="Make the client and its http_client in each process.",
            )
        with importing:
            from electronhub_embeddings._workers.connection import Connection  # noqa: PLC0415 - for the first text

        new = Connection(self.options, self._usage, self._cache)
        connection = self._connections.setdefault(os.getpid(), new)  # atomic: two threads may connect at once
        if connection is new:
            connection.close_with(self)
        if self._closed:
            connection.close(wait=False)
            self._connections.pop(os.getpid(), None)
            raise ElectronHubError("The client is closed.", next_step=AFTER_CLOSE)
        return connection

    def close(self) -> None:
        """Close the connection of this process, and the cache; may be called from anywhere."""
        self._closed = True
        connection = self._connections.pop(os.getpid(), None)
        if connection is not None:
            connection.close()
        if self._cache is not None:
            self._cache.close()

    async def aclose(self) -> None:
        """Close without blocking the event loop; otherwise the same as `close`."""
        self._closed = True
        connection = self._connections.pop(os.getpid(), None)
        if connection is not None:
            await connection.aclose()
        if self._cache is not None:
            await asyncio.to_thread(self._cache.close)  # a write may be under way

    def reopen(self) -> None:
        """Allow the next call to connect again."""
        self._closed = False


def _open_cache(options: Options) -> VectorCache | None:
    """Return the vector cache, whose file is opened at the first use; None: no cache is kept."""
    if options.cache is None:
        return None
    with importing:
        from electronhub_embeddings._storage.vector_cache import VectorCache  # noqa: PLC0415 - few need it

    namespace = options.account.base_url, options.model, options.dimensions
    return VectorCache(options.cache, *namespace, dimensions=options.dimensions)
