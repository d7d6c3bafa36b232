"""An inquiry: what the texts of a call would need if it were made now. Nothing of it is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from electronhub_embeddings._scheduling.call import Call
from electronhub_embeddings._scheduling.job_forecast import forecast_job
from electronhub_embeddings._scheduling.progress import Progress
from electronhub_embeddings.errors import ElectronHubError

if TYPE_CHECKING:
    from collections.abc import Callable

    from electronhub_embeddings._codec.distinct_texts import TextInputs
    from electronhub_embeddings._rate_limit.outlook import Outlook
    from electronhub_embeddings._scheduling.call import Attachment
    from electronhub_embeddings._scheduling.job_forecast import JobForecast
    from electronhub_embeddings._scheduling.request_queues import RequestQueues

MAX_PLANNED = 2000
"""Batches that are formed one by one, which takes up to 20 ms; only somebody who asks waits for that."""


class Inquiry:
    """The texts of a call that is not made, and then the forecast for them.

    Args:
        inputs: The texts; only their number and sizes are read.
        weight: Their weight.
        client: The client that inquires.
        on_done: Called once, from a worker thread, when `result()` is available.
    """

    def __init__(self, inputs: TextInputs, weight: float, client: Attachment, on_done: Callable[[], None]) -> None:
        self._call = Call(inputs, client, is_query=False, max_wait=None, progress=Progress())
        self._weight = weight
        self._forecast: JobForecast | None = None
        self._error = ElectronHubError("The workers have ended.")
        self.resolve = on_done

    @property
    def cap(self) -> int | None:
        """The client's own limit of requests per minute."""
        return self._call.attachment.config.requests_per_minute

    def answer(self, queues: RequestQueues, outlook: Outlook, now: float) -> None:
        """Forecast what the texts need."""
        self._forecast = forecast_job(queues, self._call, outlook, now, weight=self._weight, most=MAX_PLANNED)

    def fail(self, error: ElectronHubError) -> None:
        """Record why there is no forecast."""
        self._error = error

    def result(self) -> JobForecast:
        """Return the forecast.

        Raises:
            ElectronHubError: The rate limiter's store failed.
        """
        if self._forecast is None:
            raise self._error
        return self._forecast
