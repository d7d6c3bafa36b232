"""What this process knows of the model behind one name: whether a check is due, and whether another model answered.

Invariants:
- The reference text is never a request of its own. A batch carries it in addition to its texts while a check is due,
  so that no answer is stored unchecked when a process begins, however many requests are in flight then.
- A change is final for the cache that it was noticed with, until the cache has another reference vector, or none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from electronhub_embeddings._codec.reference_vector import REFERENCE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from electronhub_embeddings._scheduling.batch import Batch, Slice
    from electronhub_embeddings._scheduling.batch_limits import BatchLimits
    from electronhub_embeddings._scheduling.call import Attachment

CHECK_INTERVAL = 3600.0
"""Seconds from one check to the next."""


@dataclass(frozen=True)
class ModelChange:
    """Another model answered under the name of the one that filled a cache."""

    message: str
    kept: bytes
    """The reference vector in the cache."""


class DriftGuard:
    """The state of one cache and one configuration, for all clients of a process.

    Workers of several accounts can use it at once; each attribute is set atomically.
    """

    def __init__(self) -> None:
        self.change: ModelChange | None = None
        self._next_check = -math.inf
        self._was_unusable = False

    def is_due(self, now: float) -> bool:
        """Return whether a batch that is formed now is to carry the reference text."""
        return now >= self._next_check

    def confirm(self, now: float) -> None:
        """Record that the model is the same as before."""
        self._next_check = now + CHECK_INTERVAL
        self._was_unusable = False

    def report(self, change: ModelChange) -> None:
        """Record that another model answered; no further check is due."""
        self.change, self._next_check = change, math.inf

    def give_up(self) -> None:
        """Record that the service refuses the reference text, which is not sent again."""
        self._next_check = math.inf

    def note_unusable(self) -> None:
        """Record that an answer had no usable vector for it. Once may be chance; the second time, it is given up."""
        if self._was_unusable:
            self.give_up()
        self._was_unusable = True

    def reset(self) -> None:
        """Forget everything, because the cache is another one."""
        self.change, self._next_check, self._was_unusable = None, -math.inf, False


def clients_to_check(clients: Iterable[Attachment], now: float) -> list[Attachment]:
    """List the clients for which it must be checked that the model is the one that filled the cache."""
    return [client for client in clients if client.guard is not None and client.guard.is_due(now)]


def first_of(slices: Iterable[Slice], clients: list[Attachment]) -> Slice | None:
    """Return the first slice of one of these clients; None: there is none."""
    return next((part for part in slices if part.call.attachment in clients), None)


def add_reference(batch: Batch, clients: list[Attachment], limits: BatchLimits) -> Batch:
    """Let the reference text travel with a batch if it has texts of one of these clients, and room."""
    checked = first_of(batch.slices, clients)
    if checked is None:
        return batch
    fits = batch.inputs < limits.max_inputs and batch.size + REFERENCE_BYTES <= limits.max_bytes
    is_ambiguous = batch.is_probe and batch.inputs == 1  # it would be open which of the two is refused
    if fits and not is_ambiguous:
        return replace(batch, reference_for=checked)
    return replace(batch, is_unchecked=limits.max_inputs > 1)


def blame_reference(slices: Iterable[Slice], *, is_refused: bool) -> None:
    """Record for the clients of these texts that the reference text was refused, or had no usable vector."""
    for guard in {part.call.guard for part in slices if part.call.guard is not None}:
        if is_refused:
            guard.give_up()
        else:
            guard.note_unusable()
