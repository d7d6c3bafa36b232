"""Calls whose texts are to be looked up in a cache."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from electronhub_embeddings._scheduling.call import Call

MAX_AT_ONCE = 1
"""Concurrent lookups of each kind, queries and documents: more would only wait for the same file. A long lookup of
documents does not delay queries."""


class CacheLookups:
    """Keeps the calls in order, queries and documents separately."""

    def __init__(self) -> None:
        self._waiting: dict[bool, deque[Call]] = {True: deque(), False: deque()}
        self._running = {True: 0, False: 0}

    @property
    def is_waiting(self) -> bool:
        """Whether any call is waiting for its lookup to start."""
        return any(self._waiting.values())

    def add(self, call: Call) -> None:
        """Queue a call for its lookup."""
        self._waiting[call.is_query].append(call)

    def start_next(self) -> Call | None:
        """Return the call whose lookup starts now, queries first; None: no lookup may start."""
        for is_query in (True, False):
            if self._waiting[is_query] and self._running[is_query] < MAX_AT_ONCE:
                self._running[is_query] += 1
                return self._waiting[is_query].popleft()
        return None

    def end(self, call: Call) -> None:
        """Record that the lookup of a call has ended."""
        self._running[call.is_query] -= 1

    def remove(self, call: Call) -> bool:
        """Remove a waiting call; return whether it was waiting."""
        waiting = self._waiting[call.is_query]
        if call not in waiting:
            return False
        waiting.remove(call)
        return True

    def calls(self) -> list[Call]:
        """List the waiting calls."""
        return [*self._waiting[True], *self._waiting[False]]
