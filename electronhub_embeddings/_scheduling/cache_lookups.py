"""Calls that wait until their texts have been looked up in a cache."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from electronhub_embeddings._scheduling.call import Call

MAX_AT_ONCE = 1
"""Lookups of a kind, queries or documents, at once: they read the same file, one after the other. A long lookup of
documents does not hold queries up."""


class CacheLookups:
    """Keeps the calls in order, queries and documents apart."""

    def __init__(self) -> None:
        self._waiting: dict[bool, deque[Call]] = {True: deque(), False: deque()}
        self._under_way = {True: 0, False: 0}

    @property
    def is_waiting(self) -> bool:
        """Whether any call waits for its lookup to start."""
        return any(self._waiting.values())

    def add(self, call: Call) -> None:
        """Let a call wait for its lookup."""
        self._waiting[call.is_query].append(call)

    def start_next(self) -> Call | None:
        """Return the call whose lookup starts now, queries first; None: none may."""
        for is_query in (True, False):
            if self._waiting[is_query] and self._under_way[is_query] < MAX_AT_ONCE:
                self._under_way[is_query] += 1
                return self._waiting[is_query].popleft()
        return None

    def end(self, call: Call) -> None:
        """Note that the lookup of a call has ended."""
        self._under_way[call.is_query] -= 1

    def remove(self, call: Call) -> bool:
        """Take a call out that waits; False: it does not."""
        waiting = self._waiting[call.is_query]
        if call not in waiting:
            return False
        waiting.remove(call)
        return True

    def calls(self) -> list[Call]:
        """List the calls that wait."""
        return [*self._waiting[True], *self._waiting[False]]
