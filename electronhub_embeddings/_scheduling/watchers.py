"""Who is told how long it takes: callers of `estimate`, progress bars, and the log.

A forecast is made after each answer, for calls whose progress is shown, and once for a long call, whose first forecast
is logged. For any other call nothing is done.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from electronhub_embeddings._rate_limit.wording import counted, in_words, limit_in_words
from electronhub_embeddings._scheduling.actions import LookAhead
from electronhub_embeddings._scheduling.job_forecast import forecast_job

if TYPE_CHECKING:
    from collections.abc import Collection

    from electronhub_embeddings._rate_limit.outlook import Outlook
    from electronhub_embeddings._scheduling.batch_limits import BatchLimits
    from electronhub_embeddings._scheduling.call import Call
    from electronhub_embeddings._scheduling.inquiry import Inquiry
    from electronhub_embeddings._scheduling.job_forecast import JobForecast
    from electronhub_embeddings._scheduling.request_queues import RequestQueues
    from electronhub_embeddings.errors import ElectronHubError

logger = logging.getLogger("electronhub_embeddings")

LONG_JOB = 10.0
"""Seconds from which a call is long: its first forecast is logged."""


class Watchers:
    """Keeps inquiries and calls whose progress is watched, and forecasts them when the limiter was asked."""

    def __init__(self) -> None:
        self.inquiries: list[Inquiry] = []
        """Inquiries that have not been answered."""
        self.calls: list[Call] = []
        """Calls to forecast after the next answer."""
        self.is_due = False
        """Whether the limiter has to be asked."""
        self._asked_for: list[Inquiry] = []
        """The inquiries that the last question is for."""
        self._is_for_calls = False
        """Whether the last question is for the calls."""
        self._unannounced: set[Call] = set()
        """Calls of more than one request without a known forecast so far."""

    def inquire(self, inquiry: Inquiry) -> None:
        """Add an inquiry."""
        self.inquiries.append(inquiry)
        self.is_due = True

    def watch(self, call: Call, limits: BatchLimits) -> None:
        """Add a call with waiting documents, if its progress is shown or it needs more than one request."""
        is_long = call.outstanding > limits.max_inputs or call.inputs.ends[-1] > limits.max_bytes
        if is_long:
            self._unannounced.add(call)
        if (is_long or call.progress.is_shown) and call not in self.calls:
            self.calls.append(call)
            self.is_due = True

    def ask(self, cap: int | None) -> LookAhead | None:
        """Return what to ask the limiter; None: nobody is left to be told.

        Those who inquire may have a lower limit than the clients that are attached: each limit is a question of its
        own, and the next one is due as soon as the answer was told.

        Args:
            cap: The limit of the clients that are attached, in requests per minute.
        """
        caps = [_lower(cap, inquiry.cap) for inquiry in self.inquiries] + [cap] * bool(self.calls)
        self.is_due = len(set(caps)) > 1
        if not caps:
            return None
        self._asked_for = [inquiry for inquiry in self.inquiries if _lower(cap, inquiry.cap) == caps[0]]
        self._is_for_calls = caps[0] == cap
        return LookAhead(caps[0])

    def tell(self, queues: RequestQueues, outlook: Outlook, now: float) -> list[Inquiry]:
        """Forecast what was asked for; return the inquiries whose callers are to be woken."""
        answered = [inquiry for inquiry in self.inquiries if inquiry in self._asked_for]
        for inquiry in answered:
            inquiry.answer(queues, outlook, now)
        self.inquiries = [inquiry for inquiry in self.inquiries if inquiry not in answered]
        for call in list(self.calls) if self._is_for_calls else []:
            self._tell(call, forecast_job(queues, call, outlook, now), now)
        return answered

    def _tell(self, call: Call, forecast: JobForecast, now: float) -> None:
        ends_at = None if forecast.seconds is None else now + forecast.seconds
        to_come = forecast.requests + call.requests_in_flight
        call.progress.foresee(to_come, ends_at, forecast.requests_per_minute)
        if forecast.seconds is None or call not in self._unannounced:
            return
        self._unannounced.remove(call)
        if forecast.seconds >= LONG_JOB:
            what = f"{counted(call.outstanding, 'text')} in {counted(to_come, 'request')}"
            limit = limit_in_words(forecast.requests_per_minute, forecast.source, forecast.others)
            logger.info("%s: about %s (%s)", what, in_words(forecast.seconds), limit)
        if not call.progress.is_shown:
            self.calls.remove(call)

    def forget(self, ended: Collection[Call]) -> None:
        """Forget calls that have ended."""
        self._unannounced.difference_update(ended)
        self.calls = [call for call in self.calls if call not in ended]

    def fail(self, error: ElectronHubError) -> list[Inquiry]:
        """Fail all inquiries; return them."""
        failed, self.inquiries = self.inquiries, []
        for inquiry in failed:
            inquiry.fail(error)
        return failed


def _lower(cap: int | None, other: int | None) -> int | None:
    return min((limit for limit in (cap, other) if limit is not None), default=None)
