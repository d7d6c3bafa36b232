"""Registry of the workers in this process: one set per account, shared by all of the account's clients."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from electronhub_embeddings._config.storage_options import is_memory
from electronhub_embeddings._workers.account_workers import AccountWorkers
from electronhub_embeddings._workers.metrics import observe_queues
from electronhub_embeddings._workers.rate_limiter import RateLimiter
from electronhub_embeddings._workers.window_keeper import WindowKeeper
from electronhub_embeddings.errors import StoreConflictError
from electronhub_embeddings.rate_limit_stores import is_replaceable, open_store, same_store
from electronhub_embeddings.rate_limit_stores.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Generator

    from electronhub_embeddings._config.account import Account
    from electronhub_embeddings.rate_limit_stores import RateLimitStore

_lock = threading.RLock()  # a signal handler may make a client while another is being made
_accounts: dict[Account, tuple[AccountWorkers, RateLimitStore | str | None]] = {}
"""The workers of each account, and the option value for which their store was opened."""
_windows: dict[Account, MemoryStore] = {}
"""Windows in memory outlive the last client of their account: the service still counts that client's requests."""


def workers_of(account: Account, store: RateLimitStore | str | None) -> AccountWorkers:
    """Return the workers of an account.

    Args:
        account: The account whose requests the workers send.
        store: Where the limit is kept. None: the store of the account's other clients, or else the default store. A
            store that is named takes over from the default store, and from a store that has never worked.

    Raises:
        StoreConflictError: Other clients of the account have named another store. Two limiters would together exceed
            the limit.
    """
    with _lock:
        observe_queues(queue_depths)
        workers, kept = _accounts.get(account, (None, None))
        if workers is not None and _may_join(workers, kept, store):
            return workers
        if workers is None:
            opened, owned = _open(account, store)
            workers = AccountWorkers(account, RateLimiter(WindowKeeper(opened, owns_store=owned)))
        elif kept is None:
            opened, owned = _open(account, store)
            workers.limiter.keeper.replace_store(opened, owns_store=owned)
        else:
            has_clients, has_calls = workers.state()
            has_clients = has_clients or bool(workers.limiter.users)
            if has_calls or (has_clients and not _gives_way(workers.limiter.keeper.store, kept, store)):
                raise StoreConflictError(
                    "rate_limit_store is not where another client of this account keeps the limit."
                )
            workers.is_retired = True
            opened, owned = _open(account, store)
            keeper = workers.limiter.keeper.with_store(opened, owns_store=owned)
            workers = AccountWorkers(account, RateLimiter(keeper, users=workers.limiter.users))
        _accounts[account] = workers, store
        return workers


def limiter_of(account: Account, store: RateLimitStore | str | None, *, user: object) -> RateLimiter:
    """Return the rate limiter of an account for the requests of another library.

    Args:
        account: The account.
        store: As in `workers_of`.
        user: Counts as a client of the account until `leave` is called with it, or until it is garbage collected.

    Raises:
        StoreConflictError: As in `workers_of`.
    """
    with _lock:
        limiter = workers_of(account, store).limiter
        limiter.users.add(user)
        return limiter


class _Visitor:
    """Counts as a client of an account inside one block of `visit`."""


@contextmanager
def visit(workers: AccountWorkers) -> Generator[RateLimiter, None, None]:
    """Use the rate limiter of an account in the calling thread; its store is left open only if others use it."""
    visitor = _Visitor()
    workers.limiter.users.add(visitor)
    try:
        yield workers.limiter
    finally:
        leave(visitor)


def queue_depths() -> list[tuple[str, str, int]]:
    """Return the base URL, the model and the number of waiting texts of each queue.

    Takes no lock, because OpenTelemetry calls it while it holds its own.
    """
    accounts = list(_accounts.items())
    return [(account.base_url, *depth) for account, (workers, _) in accounts for depth in workers.depths()]


def leave(user: object) -> None:
    """Remove a user of `limiter_of` from all accounts, and close the stores that nobody uses any more."""
    with _lock:
        left = [workers for workers, _ in _accounts.values() if user in workers.limiter.users]
        for workers in left:
            workers.limiter.users.discard(user)
            if _has_no_user(workers):
                workers.limiter.keeper.close()


def _may_join(workers: AccountWorkers, kept: RateLimitStore | str | None, store: RateLimitStore | str | None) -> bool:
    """Return whether a new client can share the existing workers and their rate limiter."""
    if store is not None:
        return same_store(store, kept)
    return kept is None or not (_has_no_user(workers) or is_replaceable(workers.limiter.keeper.store, kept, store))


def _gives_way(opened: RateLimitStore, kept: RateLimitStore | str | None, store: RateLimitStore | str | None) -> bool:
    """Say whether nothing is lost when another store takes over."""
    return (isinstance(opened, MemoryStore) and opened.idle) or is_replaceable(opened, kept, store)


def _has_no_user(workers: AccountWorkers) -> bool:
    return workers.is_dormant and not workers.limiter.users


def _open(account: Account, store: RateLimitStore | str | None) -> tuple[RateLimitStore, bool]:
    """Return a store, and whether its limiter owns it; no file is opened yet."""
    if store is None or is_memory(store):
        _forget_idle_accounts()
    if is_memory(store):
        return _windows.setdefault(account, MemoryStore()), False
    if store is None or isinstance(store, str):
        return open_store(store, account.name), True
    return store, False


def _forget_idle_accounts() -> None:
    """Forget the accounts without clients whose window is empty or in the default store's file."""
    for account, (workers, kept) in list(_accounts.items()):
        if (kept is None or is_memory(kept)) and _has_no_user(workers) and workers.limiter.keeper.is_disposable:
            del _accounts[account]
    for account in [account for account, window in _windows.items() if account not in _accounts and window.idle]:
        del _windows[account]


def _after_fork_in_child() -> None:
    """Replace threads and locks, which do not survive a fork, and keep the requests counted so far."""
    global _lock  # noqa: PLW0603 - the thread that holds the lock may not exist in the child
    _lock = threading.RLock()
    for account, window in _windows.items():
        _windows[account] = window.after_fork()
    for account, (workers, store) in _accounts.items():
        keeper = workers.limiter.keeper.after_fork(_windows[account] if is_memory(store) else None)
        _accounts[account] = AccountWorkers(account, RateLimiter(keeper, users=workers.limiter.users)), store


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
