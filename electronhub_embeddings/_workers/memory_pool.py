"""The memory that vectors are decoded into on their way to lists, or to the arrays of several calls."""

from __future__ import annotations

import threading

from electronhub_embeddings._http.large_memory import new_memory

MAX_BLOCKS = 2
"""Blocks that are lent at once. A full request takes 12 MB, and up to eight answers arrive at once; but turning vectors
into lists takes the GIL, so that one answer is decoded while another becomes lists, and more would only wait."""


class MemoryPool:
    """Lends blocks of memory, and uses them again while requests are on the wire. Thread-safe."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._lent = 0
        self._waiting = 0
        self._spare: list[memoryview] = []

    def take(self, size: int) -> memoryview:
        """Wait for a block of at least `size` bytes; `give_back` must follow."""
        with self._condition:
            self._waiting += 1
            self._condition.wait_for(lambda: self._lent < MAX_BLOCKS)
            self._waiting -= 1
            self._lent += 1
            block = self._spare.pop() if self._spare else memoryview(b"")
        return block if len(block) >= size else new_memory(size)

    def give_back(self, block: memoryview) -> None:
        """Let others have a block. Memory that nobody waits for, while none is lent, goes back to the system."""
        with self._condition:
            self._lent -= 1
            self._spare.append(block)
            if not self._lent and not self._waiting:
                self._spare.clear()
            self._condition.notify()
