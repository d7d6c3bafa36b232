"""The lines of this process, one for each account, however many clients it has."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from electronhub_embeddings.guard import guard
from electronhub_embeddings.line import Line
from electronhub_embeddings.stores import open_store
from electronhub_embeddings.stores.memory import MemoryStore

if TYPE_CHECKING:
    from electronhub_embeddings.lane import Lane
    from electronhub_embeddings.settings import Account, Recipe
    from electronhub_embeddings.stores import RateLimitStore
    from electronhub_embeddings.usage import Usage

_lines: dict[Account, tuple[Line, object]] = {}
_windows: dict[Account, MemoryStore] = {}
"""Kept for a while after the last client of an account has gone: the service does not forget so soon either."""


class Ticket:
    """A client's right to use a line, until it is given back."""

    def __init__(self, account: Account, line: Line, lane: Lane) -> None:
        self.line = line
        self.lane = lane
        self._account = account
        self._process = os.getpid()

    @property
    def valid(self) -> bool:
        """Whether this is the process that the line belongs to: a forked child has none of its threads."""
        return self._process == os.getpid()

    def give_back(self, usage: Usage, *, wait: bool = False) -> None:
        """Leave the line; with the last client it closes. In a forked child there is nothing to leave."""
        if not self.valid:
            return
        with guard():
            deserted = self.line.leave(self.lane, usage)
            if deserted and _lines.get(self._account, (None, None))[0] is self.line:
                del _lines[self._account]
        if deserted:
            self.line.close(wait=wait)

    def forsake(self, usage: Usage) -> None:
        """Leave a note to give the ticket back: all that a garbage collector's thread may do."""
        if self.valid:
            self.line.forsaken.append(partial(self.give_back, usage))


def join(account: Account, recipe: Recipe, store: RateLimitStore | str | os.PathLike[str] | None) -> Ticket:
    """Find or open the line of an account.

    Args:
        account: Whose requests will be sent.
        recipe: What they have in common.
        store: Where the limit is kept; None: wherever the account's clients keep it already, else in memory.

    Raises:
        ValueError: Clients of the account keep the limit elsewhere: two limiters would pass it together.
    """
    with guard():
        if account in _lines:
            _lines[account][0].sweep()
        if account not in _lines:
            _lines[account] = Line(account, _open(account, store), owns_store=_is_ours(store)), store
        line, kept = _lines[account]
        if store is not None and store != kept:
            raise ValueError(
                "rate_limit_store is not where another client of this account keeps the limit: "
                "give all clients of an account the same store."
            )
        return Ticket(account, line, line.attach(recipe))


def _is_ours(store: object) -> bool:
    return isinstance(store, (str, os.PathLike))


def _open(account: Account, store: RateLimitStore | str | os.PathLike[str] | None) -> RateLimitStore:
    return _remembered(account) if store is None else open_store(store, account)


def _remembered(account: Account) -> MemoryStore:
    for other in [other for other, window in _windows.items() if other not in _lines and window.idle]:
        del _windows[other]
    return _windows.setdefault(account, MemoryStore())


def _after_fork_in_child() -> None:
    """Start afresh: the threads are the parent's, its locks may be held, but what was counted stays counted."""
    for account, window in _windows.items():
        _windows[account] = window.after_fork()
    for account, (line, store) in _lines.items():
        kept = _windows[account] if store is None else line.gate.store.after_fork()
        _lines[account] = Line(account, kept, owns_store=_is_ours(store)), store


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
