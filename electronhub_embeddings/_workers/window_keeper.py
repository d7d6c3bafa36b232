"""Keeps an account's window in a store, and moves the window when another store takes over.

Invariants:
- What this process knows is never lost: a store that takes over, or that lags behind, first receives the window as this
  process has seen it last.
- A window with a limit or a cooldown is changed in the store alone, so that all processes agree on each slot.
"""

from __future__ import annotations

import copy
import math
import threading
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from electronhub_embeddings.rate_limit_stores.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow
    from electronhub_embeddings.rate_limit_stores import RateLimitStore

T = TypeVar("T")

SHARE_INTERVAL = 1.0
"""Seconds after which a store that may lag behind learns of requests that no limit applies to.

Without this, a query to a service without limits takes 1.9 instead of 1.2 times as long as a bare post on loopback."""


class WindowKeeper:
    """Applies changes to a window, wherever it is kept.

    Args:
        store: The store of the window.
        owns_store: Whether `close` closes the store.
    """

    def __init__(self, store: RateLimitStore, *, owns_store: bool) -> None:
        self._store = store
        self._owns_store = owns_store
        self._lock = threading.Lock()
        self._successors: deque[tuple[RateLimitStore, bool]] = deque()
        """Stores that take over at the next update, each with whether this object owns it."""
        self._unshared: MemoryStore | None = None
        """A window that the current store does not have yet."""
        self._share_at = -math.inf
        """When `_unshared` must be in the store; until then it is changed alone."""

    @property
    def store(self) -> RateLimitStore:
        """The store in which the window will be at the next update."""
        try:
            return self._successors[-1][0]
        except IndexError:
            return self._store

    def update(self, change: Callable[[SlidingWindow, float], T], *, cap: int | None = None) -> T:
        """Apply `change(window, now)`, and return its result; exceptions of the store are raised to the caller.

        Args:
            change: May be called more than once, by a store that repeats a change.
            cap: The caller's own limit, in requests per period. With one, the store must have the change.
        """

        def watched(window: SlidingWindow, now: float) -> tuple[T, SlidingWindow | None]:
            result = change(window, now)
            return result, window if window.is_unlimited(now) else None

        with self._lock:
            while self._successors:
                self._change_store()
            if self._unshared is not None and cap is None and time.monotonic() < self._share_at:
                result, unlimited = self._unshared.update(watched)
                if unlimited is None:
                    self._share(_nothing)
                return result
            result, unlimited = self._share(watched)
            if unlimited is not None and cap is None and getattr(self._store, "may_lag_behind", False):
                self._unshared = MemoryStore(copy.deepcopy(unlimited))
                self._share_at = time.monotonic() + SHARE_INTERVAL
            return result

    def _share(self, change: Callable[[SlidingWindow, float], T]) -> T:
        """Apply a change in the store, after all that the store does not have yet."""
        result = self._store.update(change if self._unshared is None else self._unshared.merging(change))
        self._unshared = None
        return result

    def replace_store(self, store: RateLimitStore, *, owns_store: bool) -> None:
        """Keep the window in another store from the next update on; waits for nothing, and opens nothing."""
        self._successors.append((store, owns_store))

    def with_store(self, store: RateLimitStore, *, owns_store: bool) -> WindowKeeper:
        """Return an object that keeps the same window in another store."""
        keeper = WindowKeeper(self._store, owns_store=self._owns_store)
        keeper._unshared = self._unshared
        keeper._successors.extend([*self._successors, (store, owns_store)])
        return keeper

    def after_fork(self, store: RateLimitStore | None = None) -> WindowKeeper:
        """Return the keeper for a forked child.

        Args:
            store: The store of the child. None: what the current store returns for it.
        """
        owns_store = self._successors[-1][1] if self._successors else self._owns_store
        keeper = WindowKeeper(store or self.store.after_fork(), owns_store=owns_store)
        previous = self._store if self._successors else self._unshared
        keeper._unshared = None if previous is None else _last_known(previous.after_fork())
        return keeper

    @property
    def is_disposable(self) -> bool:
        """Whether nothing is lost if this object is dropped."""
        if self._successors or self._unshared is not None:
            return False
        return bool(getattr(self._store, "is_disposable", False))

    def close(self) -> None:
        """Close the store if this object owns it."""
        with self._lock:
            if self._unshared is not None and not self._successors:
                with suppress(Exception):  # a store that cannot be written has said so in `update`
                    self._share(_nothing)
            self._close_store()

    def _change_store(self) -> None:
        self._unshared = self._unshared or _last_known(self._store)
        self._share_at = -math.inf
        self._close_store()
        self._store, self._owns_store = self._successors[0]
        self._successors.popleft()  # only now: `store` looks without the lock

    def _close_store(self) -> None:
        if self._owns_store:
            self._store.close()


def _nothing(_: SlidingWindow, __: float) -> None:
    """Change nothing."""


def _last_known(store: RateLimitStore) -> MemoryStore | None:
    """Return the window as this process has seen it last; None: unknown, as for a custom store."""
    last_known: Callable[[], MemoryStore | None] | None = getattr(store, "last_known", None)
    return None if last_known is None else last_known()
