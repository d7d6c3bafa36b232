"""Calls with a `max_wait` for which the limiter has not yet said how long they must wait at least."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from electronhub_embeddings._scheduling.call import Call


class MaxWaitChecks:
    """Keeps the calls in the order in which they were submitted."""

    def __init__(self) -> None:
        self._calls: list[Call] = []
        self._too_early = False
        """Whether the limiter cannot say anything before the next answer."""

    def add(self, call: Call) -> None:
        """Add a call to ask the limiter about."""
        self._calls.append(call)

    def to_ask(self) -> list[Call]:
        """List the calls to ask the limiter about; drop those that have ended."""
        if self._too_early or not self._calls:
            return []
        self._calls = [call for call in self._calls if _is_open(call)]
        return list(self._calls)

    def answered(self, waits: list[float] | None) -> list[tuple[Call, float]]:
        """Pair the calls that `to_ask` listed with their waits; further calls may have been added since.

        Args:
            waits: Seconds for each call; None: the limiter must wait for another answer of the service.
        """
        if waits is None:
            self._too_early = True
            return []
        calls, self._calls = self._calls[: len(waits)], self._calls[len(waits) :]
        return [(call, wait) for call, wait in zip(calls, waits, strict=True) if _is_open(call)]

    def note_answer(self) -> None:
        """Record that the service has answered, so that the limiter may be asked again."""
        self._too_early = False


def _is_open(call: Call) -> bool:
    return bool(call.outstanding) and not call.failed
