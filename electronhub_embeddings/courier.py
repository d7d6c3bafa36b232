"""One request to the service and back: written, sent, read, and accounted for."""

from __future__ import annotations

import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from electronhub_embeddings.errors import APIConnectionError, ElectronHubError, RateLimitError
from electronhub_embeddings.headers import Report, read_report
from electronhub_embeddings.transport import LONGEST_CONNECT, Transport
from electronhub_embeddings.wire import Charge, read_answer, write_request

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from electronhub_embeddings.aftermath import Experience
    from electronhub_embeddings.limits import Window
    from electronhub_embeddings.settings import Account, Recipe
    from electronhub_embeddings.transport import Answer


@dataclass
class Outcome:
    """How a request ended: with rows, or with an error."""

    rows: np.ndarray | None = None
    """float32 of shape (texts, d)."""
    charge: Charge = Charge()  # noqa: RUF009 - frozen
    error: ElectronHubError | None = None
    report: Report = Report()  # noqa: RUF009 - frozen
    status: int | None = None
    """The HTTP status; None: no answer came."""
    headers_at: float = 0.0
    """`time.monotonic()` when the headers arrived."""

    @property
    def sent(self) -> bool:
        """Whether the request may have reached the service."""
        return not isinstance(self.error, APIConnectionError) or self.error.sent

    def account(self, slot: str, window: Window, now: float) -> None:
        """Settle the slot of this request in the window."""
        if not self.sent:
            window.give_back(slot)
            return
        refused = isinstance(self.error, RateLimitError)
        counted = None if self.status is None else now - (time.monotonic() - self.headers_at)
        good = self.status == HTTPStatus.OK and not refused
        window.settle(now, slot, self.report, counted=counted, good=good)
        if isinstance(self.error, RateLimitError):
            window.refuse(now, self.error.retry_after or 0.0)


class Courier:
    """Carries the requests of one recipe over one pool of connections."""

    def __init__(self, account: Account, recipe: Recipe) -> None:
        self._recipe = recipe
        self._transport = Transport(account, recipe)

    @staticmethod
    def lease(recipe: Recipe) -> float:
        """Seconds after which a request has certainly ended."""
        return recipe.timeout + LONGEST_CONNECT

    def carry(self, texts: Sequence[str], experience: Experience) -> Outcome:
        """Send texts and read what comes back; every failure is in the outcome, none is raised."""
        outcome = Outcome()
        try:
            answer = self._send(texts, experience)
            outcome.status, outcome.headers_at = answer.status, answer.headers_at
            outcome.report = read_report(answer.headers, time.time())
            outcome.rows, outcome.charge = read_answer(
                answer.status, answer.content, outcome.report, count=len(texts), dimensions=experience.width
            )
        except ElectronHubError as error:
            outcome.error = error
        except Exception as bug:  # noqa: BLE001 - a fault of ours must wake the callers, not strand them
            outcome.error = ElectronHubError(f"Unexpected {type(bug).__name__}: {bug}")
            outcome.error.__cause__ = bug
        return outcome

    def _send(self, texts: Sequence[str], experience: Experience) -> Answer:
        recipe = self._recipe
        body = write_request(
            texts,
            model=recipe.model,
            encoding_format=experience.encoding_format,
            dimensions=recipe.dimensions,
            user=recipe.user,
        )
        return self._transport.post(body)

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()
