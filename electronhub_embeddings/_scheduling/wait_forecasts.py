"""Calls with a `max_wait` for which the limiter has not yet said how long they will have to wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from electronhub_embeddings._scheduling.call import Call


class WaitForecasts:
    """Keeps the calls in the order in which they came."""

    def __init__(self) -> None:
        self._calls: list[Call] = []
        self._too_early = False
        """Whether the limiter has to wait for the first answer itself."""

    def add(self, call: Call) -> None:
        """Let the limiter be asked about a call."""
        self._calls.append(call)

    def to_ask(self) -> list[Call]:
        """List the calls to ask about now; those that have ended meanwhile are forgotten."""
        if self._too_early:
            return []
        self._calls = [call for call in self._calls if _is_open(call)]
        return list(self._calls)

    def answered(self, waits: list[float] | None) -> list[tuple[Call, float]]:
        """Pair the calls that were asked about with their waits; more calls can have come since.

        Args:
            waits: Seconds for each call; None: it is too early to tell, and another answer of the service must come.
        """
        if waits is None:
            self._too_early = True
            return []
        calls, self._calls = self._calls[: len(waits)], self._calls[len(waits) :]
        return [(call, wait) for call, wait in zip(calls, waits, strict=True) if _is_open(call)]

    def note_answer(self) -> None:
        """Note that the service has answered: the limiter may know more."""
        self._too_early = False


def _is_open(call: Call) -> bool:
    return bool(call.outstanding) and not call.failed
