"""The batches of an iterable that are in flight: how many are read ahead, and which text each begins with."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

from electronhub_embeddings.errors import ElectronHubError

if TYPE_CHECKING:
    from collections.abc import Callable

    from electronhub_embeddings._workers.pending_call import SubmittedCall

SomeCall = TypeVar("SomeCall", bound="SubmittedCall")


class BatchesInFlight(Generic[SomeCall]):
    """Keeps the submitted batches of an iterable, in order, each with the position of its first text.

    Args:
        submit: Checks a batch and submits it to the workers.
        ahead: Batches in flight in addition to the one whose vectors are being yielded.
    """

    def __init__(self, submit: Callable[[list[str]], SomeCall], ahead: int) -> None:
        self._submit = submit
        self._ahead = ahead
        self._calls: deque[tuple[int, SomeCall]] = deque()
        self._read = 0
        self._ended = False
        self.failure: Exception | None = None
        """Why no further batch is read; raised after all earlier vectors were yielded."""

    @property
    def wants_more(self) -> bool:
        """Whether another batch is to be read."""
        return not self._ended and self.failure is None and len(self._calls) <= self._ahead

    def add(self, batch: list[str], failure: Exception | None) -> None:
        """Submit a batch; an empty one is the end. `failure` is the source's error after these texts."""
        self.failure, self._ended = failure, not batch
        if not batch:
            return
        try:
            self._calls.append((self._read, self._submit(batch)))
        except ElectronHubError as error:
            self.failure = shift_positions(self._read, error)
        self._read += len(batch)

    def take(self) -> tuple[int, SomeCall] | None:
        """Remove and return the oldest batch; None: there is none."""
        return self._calls.popleft() if self._calls else None

    def withdraw(self) -> list[tuple[int, SomeCall]]:
        """Withdraw the unsent texts of all batches, and list the batches: their results hold what was received."""
        for _, call in self._calls:
            call.withdraw()
        return list(self._calls)

    def abandon(self) -> None:
        """Withdraw the unsent texts of all batches, because nobody waits for them."""
        for _, call in self._calls:
            call.abandon()


def shift_positions(offset: int, error: ElectronHubError) -> ElectronHubError:
    """Convert the positions in a batch's error to positions in the whole iterable."""
    if error.index is not None:
        error.index += offset
    error.partial = {offset + i: vector for i, vector in error.partial.items()}
    return error
