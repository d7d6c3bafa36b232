"""Which call gets which fault."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable, Iterator

    from electronhub_embeddings.emulator.faults.fault import Fault

    Chance = Callable[[random.Random], Fault | None]


class Script:
    """A queue of faults, and what may happen when it is empty.

    Args:
        faults: one for each call, in order; None stands for a good answer. May be endless.
        chance: asked for each call after the queue is used up.
    """

    def __init__(self, faults: Iterable[Fault | None] = (), chance: Chance | None = None) -> None:
        self._queue: Iterator[Fault | None] = iter(faults)
        self._chance = chance

    def append(self, faults: Iterable[Fault | None]) -> None:
        """Queue more faults."""
        self._queue = chain(self._queue, faults)

    def clear(self) -> None:
        """Forget the queue."""
        self._queue = iter(())

    def take(self, dice: random.Random) -> Fault | None:
        """Return the fault of the next call, None for a good answer."""
        for fault in self._queue:
            return fault
        return self._chance(dice) if self._chance is not None else None
