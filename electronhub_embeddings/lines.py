"""The lines of this process, one for each account, however many clients it has."""

from __future__ import annotations

import os
import threading
from functools import partial
from typing import TYPE_CHECKING

from electronhub_embeddings.line import Line
from electronhub_embeddings.stores import MemoryStore, RateLimitStore

if TYPE_CHECKING:
    from electronhub_embeddings.lane import Lane
    from electronhub_embeddings.settings import Account, Recipe
    from electronhub_embeddings.usage import Usage


class Ticket:
    """A client's right to use a line, until it is given back."""

    def __init__(self, account: Account, line: Line, lane: Lane) -> None:
        self.account = account
        self.line = line
        self.lane = lane
        self.process = os.getpid()

    def give_back(self, usage: Usage, *, wait: bool = False) -> None:
        """Leave the line; with the last client it closes. In a forked child there is nothing to leave."""
        if self.process != os.getpid():
            return
        with _lock:
            deserted = self.line.leave(self.lane, usage)
            if deserted and _lines.get(self.account, (None, None))[0] is self.line:
                del _lines[self.account]
        if deserted:
            self.line.close(wait=wait)

    def forsake(self, usage: Usage) -> None:
        """Leave a note to give the ticket back: all that a garbage collector's thread may do."""
        if self.process == os.getpid():
            self.line.forsaken.append(partial(self.give_back, usage))


_lock = threading.Lock()
_lines: dict[Account, tuple[Line, object]] = {}
_windows: dict[Account, MemoryStore] = {}
"""Kept after the last client of an account has gone: the service does not forget so soon either."""


def join(account: Account, recipe: Recipe, store: RateLimitStore | None) -> Ticket:
    """Find or open the line of an account.

    Args:
        account: Whose requests will be sent.
        recipe: What they have in common.
        store: Where the limit is kept; None: wherever the account's clients keep it already, else in memory.

    Raises:
        ValueError: Clients of the account keep the limit elsewhere: two limiters would pass it together.
    """
    with _lock:
        if account not in _lines:
            memory = _windows.setdefault(account, MemoryStore())
            _lines[account] = Line(account, memory if store is None else store), store
        line, kept = _lines[account]
        if store is not None and store != kept:
            raise ValueError(
                f"rate_limit_store is {store!r}, but another client of this account uses {kept!r}: "
                "give all clients of an account the same store."
            )
        return Ticket(account, line, line.attach(recipe))


def _after_fork_in_child() -> None:
    """Start afresh: the threads are the parent's, its locks may be held, but what was counted stays counted."""
    global _lock  # noqa: PLW0603 - the only state of this module
    _lock = threading.Lock()
    for account, window in _windows.items():
        _windows[account] = window.after_fork()
    for account, (line, store) in _lines.items():
        _lines[account] = (
            Line(account, _windows[account] if store is None else line.store.after_fork()),
            store,
        )


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
