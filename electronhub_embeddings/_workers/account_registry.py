"""Registry of the workers in this process: one set per account, shared by all of the account's clients."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from electronhub_embeddings._workers.account_workers import AccountWorkers
from electronhub_embeddings._workers.rate_limiter import RateLimiter
from electronhub_embeddings.rate_limit_stores import is_replaceable, open_store, same_store
from electronhub_embeddings.rate_limit_stores.memory import MemoryStore

if TYPE_CHECKING:
    from weakref import WeakSet

    from electronhub_embeddings._config.account import Account
    from electronhub_embeddings.rate_limit_stores import RateLimitStore

_lock = threading.RLock()  # a signal handler may make a client while another is being made
_accounts: dict[Account, tuple[AccountWorkers, RateLimitStore | str | None]] = {}
_windows: dict[Account, MemoryStore] = {}
"""Windows outlive the last client of their account, because the service still counts that client's requests."""


def workers_of(account: Account, store: RateLimitStore | str | None) -> AccountWorkers:
    """Return the workers of an account.

    Args:
        account: The account whose requests the workers send.
        store: Where the limit is kept. None: the store of the account's other clients, or memory if there are none.

    Raises:
        ValueError: Other clients of the account use another store. Two limiters would together exceed the limit.
    """
    with _lock:
        workers, kept = _accounts.get(account, (None, None))
        if workers is not None and not _may_join(workers, kept, store):
            has_clients, has_calls = workers.state()
            has_clients = has_clients or bool(workers.limiter.users)
            if has_calls or (has_clients and not _gives_way(workers.limiter.store, kept, store)):
                raise ValueError(
                    "rate_limit_store is not where another client of this account keeps the limit: "
                    "give all clients of an account the same store."
                )
            workers.is_retired = True
            workers = _make(account, store, users=workers.limiter.users)
            _accounts[account] = workers, store
        elif workers is None:
            workers = _make(account, store)
            _accounts[account] = workers, store
        return workers


def limiter_of(account: Account, store: RateLimitStore | str | None, *, user: object) -> RateLimiter:
    """Return the rate limiter of an account for the requests of another library.

    Args:
        account: The account.
        store: As in `workers_of`.
        user: Counts as a client of the account until `leave` is called with it, or until it is garbage collected.

    Raises:
        ValueError: As in `workers_of`.
    """
    with _lock:
        limiter = workers_of(account, store).limiter
        limiter.users.add(user)
        return limiter


def leave(user: object) -> None:
    """Remove a user of `limiter_of` from all accounts, and close the stores that nobody uses any more."""
    with _lock:
        left = [workers for workers, _ in _accounts.values() if user in workers.limiter.users]
        for workers in left:
            workers.limiter.users.discard(user)
            if _has_no_user(workers):
                workers.limiter.close()


def _may_join(workers: AccountWorkers, kept: RateLimitStore | str | None, store: RateLimitStore | str | None) -> bool:
    """Return whether a new client can share the existing workers and their rate limiter."""
    if store is not None:
        return same_store(store, kept)
    return kept is None or not (_has_no_user(workers) or is_replaceable(workers.limiter.store, kept, store))


def _gives_way(opened: RateLimitStore, kept: RateLimitStore | str | None, store: RateLimitStore | str | None) -> bool:
    """Say whether nothing is lost when another store takes over."""
    return (isinstance(opened, MemoryStore) and opened.idle) or is_replaceable(opened, kept, store)


def _has_no_user(workers: AccountWorkers) -> bool:
    return workers.is_dormant and not workers.limiter.users


def _make(
    account: Account, store: RateLimitStore | str | None, *, users: WeakSet[object] | None = None
) -> AccountWorkers:
    if store is None:
        opened: RateLimitStore = _remembered_window(account)
    else:
        opened = open_store(store, account.name) if isinstance(store, str) else store
    return AccountWorkers(account, RateLimiter(opened, owns_store=isinstance(store, str), users=users))


def _remembered_window(account: Account) -> MemoryStore:
    for other in [other for other, window in _windows.items() if window.idle and _is_dormant(other)]:
        del _windows[other]
        _accounts.pop(other, None)
    return _windows.setdefault(account, MemoryStore())


def _is_dormant(account: Account) -> bool:
    return account not in _accounts or _has_no_user(_accounts[account][0])


def _after_fork_in_child() -> None:
    """Replace threads and locks, which do not survive a fork, and keep the requests counted so far."""
    global _lock  # noqa: PLW0603 - the thread that holds the lock may not exist in the child
    _lock = threading.RLock()
    for account, window in _windows.items():
        _windows[account] = window.after_fork()
    for account, (workers, store) in _accounts.items():
        opened = _windows[account] if store is None else workers.limiter.store.after_fork()
        limiter = RateLimiter(opened, owns_store=isinstance(store, str), users=workers.limiter.users)
        _accounts[account] = AccountWorkers(account, limiter), store


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
