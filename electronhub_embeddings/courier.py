"""One request to the service and back: written, sent, read, and accounted for."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass
from difflib import get_close_matches
from http import HTTPStatus
from typing import TYPE_CHECKING

from electronhub_embeddings.body import Desk, new_buffer
from electronhub_embeddings.errors import APIConnectionError, APIStatusError, ElectronHubError, RateLimitError
from electronhub_embeddings.headers import Report, read_report
from electronhub_embeddings.transport import LONGEST_CONNECT, Transport
from electronhub_embeddings.wire import Charge, open_answer, read_models, write_request

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from electronhub_embeddings.limits import Window
    from electronhub_embeddings.settings import Account, Recipe


LONGEST_ROW = 200_000
"""Bytes that one vector can take in an answer: 8,000 numbers in decimal, more than any model has."""

MANY = 32
"""Texts from which on an answer is a long one."""

LONGEST_LIST = 20_000_000
"""Bytes that the list of models can have."""

LONGEST_OVERHEAD = 1_000_000
"""Bytes that an answer can have beside its vectors."""


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
    sent_at: float = 0.0
    """`time.time()` when it was sent."""
    seconds: float = 0.0
    """Seconds from then to its end."""
    interruption: BaseException | None = None
    """What is no error of a request: Ctrl-C, for one."""

    @property
    def sent(self) -> bool:
        """Whether the request may have reached the service."""
        return not isinstance(self.error, APIConnectionError) or self.error.sent

    def blunder(self, bug: BaseException) -> None:
        """Turn a fault of this package, or what interrupted it, into an error that its callers can see."""
        if isinstance(bug, Exception):
            self.error = ElectronHubError(f"Unexpected {type(bug).__name__}: {bug}")
        else:
            self.error, self.interruption = APIConnectionError("The call was interrupted.", sent=True, retries=0), bug
        self.error.__cause__ = bug

    def settle_slot(self, slot: str, window: Window, now: float) -> None:
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
        self._key = account.api_key
        self._transport = Transport(account, recipe)
        self._desk = Desk()
        self._models: list[str] | None = None

    @staticmethod
    def lease(recipe: Recipe) -> float:
        """Seconds after which the service has counted a request, if it ever does."""
        return recipe.timeout + LONGEST_CONNECT

    def carry(
        self,
        texts: Sequence[str],
        encoding_format: str,
        width: int | None,
        room: Callable[[int, int], np.ndarray],
    ) -> Outcome:
        """Send texts and read what comes back; every failure is in the outcome, none is raised.

        Args:
            texts: What to embed.
            encoding_format: How to ask for vectors.
            width: Dimensions that every vector must have; None: any, but the same for all.
            room: Makes the array for the vectors; see `Contents.vectors`.
        """
        outcome, recipe = Outcome(sent_at=time.time()), self._recipe
        start = time.monotonic()
        try:
            body = write_request(
                texts,
                model=recipe.model,
                encoding_format=encoding_format,
                dimensions=recipe.dimensions,
                user=recipe.user,
            )
            with self._transport.post(body) as answer:
                outcome.status, outcome.headers_at = answer.status, answer.headers_at
                outcome.report = report = read_report(answer.headers, time.time())
                longest = LONGEST_OVERHEAD + LONGEST_ROW * len(texts)
                with self._desk.turn() if len(texts) >= MANY else nullcontext(new_buffer) as make:
                    content = answer.read(longest, make)
                    contents = open_answer(answer.status, content, report)
                    outcome.charge = contents.charge
                    outcome.rows = contents.vectors(count=len(texts), dimensions=width, room=room)
        except ElectronHubError as error:
            outcome.error = error
        except BaseException as bug:  # noqa: BLE001 - it must wake the callers, not strand them
            outcome.blunder(bug)
        outcome.seconds = time.monotonic() - start
        if outcome.error is not None:
            self._suggest(outcome.error)
            outcome.error.rewrite(self._key.hide_in)  # some services quote the key in their refusal
        return outcome

    def list_models(self) -> list[str]:
        """Ask for the models that make embeddings; without the key, for the list is public.

        Raises:
            ElectronHubError: As for any request; nothing is tried again.
        """
        with self._transport.get_models() as answer:
            report = read_report(answer.headers, time.time())
            return read_models(answer.status, answer.read(LONGEST_LIST), report)

    def _suggest(self, error: ElectronHubError) -> None:
        """Name models like the one that the service does not know: this asks for its list, once."""
        if not (isinstance(error, APIStatusError) and (error.code == "model_not_found" or error.param == "model")):
            return
        if self._models is None:
            try:
                self._models = self.list_models()
            except ElectronHubError:
                self._models = []
        if near := get_close_matches(self._recipe.model, self._models):
            error.message = f"{error.message.rstrip('.')}. Models of a similar name: {', '.join(near)}."

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()
