"""Records OpenTelemetry metrics where it is installed: tokens, durations, waits for the limit, and waiting texts.

The instruments are those of OpenTelemetry's API. Until the application sets a meter provider, recording does nothing.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from electronhub_embeddings._config.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from opentelemetry import metrics

    from electronhub_embeddings._codec.result import Result
    from electronhub_embeddings._scheduling.call import Call

    IS_MEASURED: bool
else:
    try:
        from opentelemetry import metrics
    except ImportError:  # optional
        IS_MEASURED = False
    else:
        IS_MEASURED = True

logger = logging.getLogger("electronhub_embeddings")

TOKEN_BUCKETS = [4**power for power in range(14)]
"""What the conventions for generative AI advise for tokens: 1 to 67,108,864."""

DURATION_BUCKETS = [0.01 * 2**power for power in range(14)]
"""What they advise for durations: 0.01 to 81.92 seconds."""

WAIT_BUCKETS = [0.0, 0.1, 0.3, 1, 3, 6, 12, 30, 60, 120, 180, 300, 600, 1800, 3600]
"""Seconds: the time per slot at usual limits, the window (60), the cooldown (180), and long jobs."""

HISTOGRAMS = {
    "gen_ai.client.token.usage": ("{token}", "Number of input and output tokens used.", TOKEN_BUCKETS),
    "gen_ai.client.operation.duration": ("s", "GenAI operation duration.", DURATION_BUCKETS),
    "electronhub.rate_limit.wait.duration": ("s", "Time that a call has waited for the rate limit.", WAIT_BUCKETS),
}
"""Unit, description and bucket boundaries of each."""


def server_attributes(base_url: str) -> dict[str, Any]:
    """Return the attributes that name the service."""
    address = urlsplit(base_url)
    port = address.port or (443 if address.scheme == "https" else 80)
    return {"server.address": address.hostname or "", "server.port": port}


class Metrics:
    """Records what happens to the requests and calls of one account.

    Args:
        server: The attributes that name the service.
    """

    def __init__(self, server: Mapping[str, Any]) -> None:
        self._server = server

    def record_request(self, model: str, result: Result) -> None:
        """Record a request that the service may have counted: its duration, and the tokens charged for it."""
        attributes = {
            **self._server,
            "gen_ai.operation.name": "embeddings",
            "gen_ai.provider.name": "electronhub",
            "gen_ai.request.model": model,
        }
        if result.prompt_tokens:
            _histogram("gen_ai.client.token.usage").record(
                result.prompt_tokens, {**attributes, "gen_ai.token.type": "input"}
            )
        if result.error is not None:
            attributes["error.type"] = type(result.error).__name__
        _histogram("gen_ai.client.operation.duration").record(result.seconds, attributes)

    def record_waits(self, calls: Iterable[Call]) -> None:
        """Record how long each of the calls that have ended has waited for the limit."""
        try:
            for call in calls:
                attributes = {**self._server, "gen_ai.request.model": call.attachment.config.model}
                _histogram("electronhub.rate_limit.wait.duration").record(call.waited, attributes)
        except Exception:
            logger.exception("OpenTelemetry failed")


def observe_queues(depths: Callable[[], Sequence[tuple[str, str, int]]]) -> None:
    """Let OpenTelemetry observe the number of waiting texts.

    Args:
        depths: Returns the base URL, the model and the waiting texts of each queue; called by OpenTelemetry's threads.
    """
    try:
        if IS_MEASURED:
            _observe(depths)
    except Exception:
        logger.exception("OpenTelemetry failed")


@cache  # once, although each account calls
def _observe(depths: Callable[[], Sequence[tuple[str, str, int]]]) -> None:
    def observe(_: metrics.CallbackOptions) -> Iterator[metrics.Observation]:
        sums: dict[tuple[str, str], int] = {}
        for base_url, model, texts in depths():  # several accounts can use the same model of the same service
            sums[base_url, model] = sums.get((base_url, model), 0) + texts
        for (base_url, model), texts in sums.items():
            yield metrics.Observation(texts, {**server_attributes(base_url), "gen_ai.request.model": model})

    _meter().create_observable_up_down_counter(
        "electronhub.queue.depth", [observe], unit="{text}", description="Texts that wait to be sent."
    )


def _meter() -> metrics.Meter:
    return metrics.get_meter("electronhub_embeddings", __version__)


@cache
def _histogram(name: str) -> metrics.Histogram:
    unit, description, buckets = HISTOGRAMS[name]
    try:
        return _meter().create_histogram(name, unit, description, explicit_bucket_boundaries_advisory=buckets)
    except TypeError:  # older versions of OpenTelemetry take no advice
        return _meter().create_histogram(name, unit, description)
