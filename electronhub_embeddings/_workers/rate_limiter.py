"""The rate limiter of the workers: they acquire a slot before each request and complete the slot afterwards."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakSet

from electronhub_embeddings._rate_limit.rate_limit_headers import RateLimitHeaders
from electronhub_embeddings.errors import RateLimitError

if TYPE_CHECKING:
    from collections.abc import Callable

    from electronhub_embeddings._codec.result import Result
    from electronhub_embeddings._rate_limit.sliding_window import Pause, SlidingWindow
    from electronhub_embeddings.rate_limit_stores import RateLimitStore
    from electronhub_embeddings.rate_limit_stores.memory import MemoryStore

T = TypeVar("T")

logger = logging.getLogger("electronhub_embeddings")

LINGER_SHARE = 0.02
"""How long a batch that is not full lingers for more texts after the previous batch, as a share of the time per slot.

The time per slot is the period divided by the limit: 12 s at 5 requests a minute. With lingering, 500 simultaneous
queries become two requests: the first query is sent at once, the others together."""


class RateLimiter:
    """Applies the account's rate limit through the store that keeps its window.

    Another store can take over: it receives the window as this process has seen it last.

    Args:
        store: The store of the window.
        owns_store: Whether `close` closes the store.
        users: Those who pace the requests of other libraries with this limiter.
    """

    def __init__(self, store: RateLimitStore, *, owns_store: bool, users: WeakSet[object] | None = None) -> None:
        self._store = store
        self.users: WeakSet[object] = WeakSet() if users is None else users
        """Those who pace the requests of other libraries with this limiter; each counts as a client of the account."""
        self._owns_store = owns_store
        self._lock = threading.Lock()
        self._successors: deque[tuple[RateLimitStore, bool]] = deque()
        """Stores that take over at the next update, each with whether the limiter owns it."""
        self._inherited: MemoryStore | None = None
        """The window of the previous store, until the current one has it."""

    @property
    def store(self) -> RateLimitStore:
        """The store in which the window will be at the next update."""
        try:
            return self._successors[-1][0]
        except IndexError:
            return self._store

    def replace_store(self, store: RateLimitStore, owns_store: bool) -> None:
        """Keep the window in another store from the next update on; waits for nothing, and opens nothing."""
        self._successors.append((store, owns_store))

    def with_store(self, store: RateLimitStore, owns_store: bool) -> RateLimiter:
        """Return a limiter that keeps the same window in another store."""
        limiter = RateLimiter(self._store, owns_store=self._owns_store, users=self.users)
        limiter._inherited = self._inherited
        limiter._successors.extend([*self._successors, (store, owns_store)])
        return limiter

    def after_fork(self, store: RateLimitStore | None = None) -> RateLimiter:
        """Return the limiter for a forked child.

        Args:
            store: The store of the child. None: what the current store returns for it.
        """
        owns_store = self._successors[-1][1] if self._successors else self._owns_store
        limiter = RateLimiter(store or self.store.after_fork(), owns_store=owns_store, users=self.users)
        previous = self._store if self._successors else self._inherited
        limiter._inherited = None if previous is None else _last_known(previous.after_fork())
        return limiter

    @property
    def is_disposable(self) -> bool:
        """Whether nothing is lost if this limiter is dropped."""
        if self._successors or self._inherited is not None:
            return False
        return bool(getattr(self._store, "is_disposable", False))

    def acquire(
        self, slot: str, *, max_duration: float, cap: int | None, interactive: bool, documents: bool = False
    ) -> tuple[Pause | None, float | None]:
        """Acquire a slot; exceptions of the store are raised to the caller.

        Returns:
            The reason why no slot is available, or None if one was acquired; and the seconds for which the next batch
            may linger for more texts, or None if no limit applies.
        """

        def acquire(window: SlidingWindow, now: float) -> tuple[Pause | None, float | None]:
            pause = window.acquire(
                now, slot, max_duration=max_duration, cap=cap, interactive=interactive, documents=documents
            )
            limit = window.effective_limit(cap)
            linger = LINGER_SHARE * window.period / limit if limit else 0.0
            return pause, linger if limit or window.probing else None

        return self._update(acquire)

    def acquire_unanswered(self, slot: str, *, max_duration: float, cap: int | None) -> Pause | None:
        """Acquire a slot for an interactive call whose end nobody reports; return why none is available, or None.

        Where a limit is known, the slot is held at once for the longest possible time. Otherwise it stays in flight, so
        that no other request starts until this one must have ended, or an answer to another one shows more.
        """

        def acquire(window: SlidingWindow, now: float) -> Pause | None:
            pause = window.acquire(now, slot, max_duration=max_duration, cap=cap, interactive=True)
            if pause is None and window.effective_limit(cap) is not None:
                window.complete(now, slot, RateLimitHeaders(), counted=now + max_duration, good=False)
            return pause

        return self._update(acquire)

    def complete(self, slot: str, result: Result) -> None:
        """Record the result of the request that used a slot."""

        def complete(window: SlidingWindow, now: float) -> None:
            if not result.sent:
                window.release(slot)
                return
            counted = None if result.status is None else now - (time.monotonic() - result.headers_at)
            window.complete(now, slot, result.headers, counted=counted, good=result.shows_capacity)
            if isinstance(result.error, RateLimitError):
                window.start_cooldown(now, result.error.retry_after or 0.0)

        self._update_safely(complete)

    def release(self, slot: str) -> None:
        """Release a slot that no request has used."""
        self._update_safely(lambda window, _: window.release(slot))

    def forecast(self, requests: list[int], *, cap: int | None) -> list[float] | None:
        """Return, for each number of requests, the minimum seconds until the last can start; None: not known yet."""

        def forecast(window: SlidingWindow, now: float) -> list[float] | None:
            return None if window.probing else [window.delay(now, cap=cap, calls=number) for number in requests]

        return self._update(forecast)

    def close(self) -> None:
        """Close the store if this limiter owns it."""
        if self._owns_store:
            self._store.close()

    def _update(self, change: Callable[[SlidingWindow, float], T]) -> T:
        """Apply a change to the window; the first one in another store is preceded by what this process knows."""
        with self._lock:
            self._change_store()
            if self._inherited is None:
                return self._store.update(change)
            result = self._store.update(self._inherited.merging(change))
            self._inherited = None
            return result

    def _change_store(self) -> None:
        while self._successors:
            self._inherited = self._inherited or _last_known(self._store)
            self.close()
            self._store, self._owns_store = self._successors[0]
            self._successors.popleft()

    def _update_safely(self, change: Callable[[SlidingWindow, float], None]) -> None:
        """Update the window for an acquired slot; if the store fails, log the error and let the slot expire."""
        try:
            self._update(change)
        except Exception as error:  # noqa: BLE001 - any exception of a third-party store; its frames can hold a password
            logger.error("the rate limit store failed: %s", error)  # noqa: TRY400


def _last_known(store: RateLimitStore) -> MemoryStore | None:
    """Return the window as this process has seen it last; None: unknown, as for a custom store."""
    last_known: Callable[[], MemoryStore | None] | None = getattr(store, "last_known", None)
    return None if last_known is None else last_known()
