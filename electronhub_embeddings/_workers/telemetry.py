"""Reports each request to `on_request` and, if installed, to OpenTelemetry. Reports never hold a text or a key.

Spans are recorded here, and metrics in `metrics`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from electronhub_embeddings._config.version import __version__
from electronhub_embeddings._scheduling.batch import count_texts
from electronhub_embeddings._workers.metrics import IS_MEASURED, Metrics, server_attributes
from electronhub_embeddings.usage import RequestInfo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry import context as otel_context
    from opentelemetry import trace

    from electronhub_embeddings._codec.result import Result
    from electronhub_embeddings._scheduling.batch import Batch, Slice
    from electronhub_embeddings._scheduling.call import Call

    IS_TRACED: bool
else:
    try:
        from opentelemetry import context as otel_context
        from opentelemetry import trace
    except ImportError:  # optional
        IS_TRACED = False
    else:
        IS_TRACED = True

logger = logging.getLogger("electronhub_embeddings")

NANOSECONDS = 1_000_000_000


def current_context() -> Any:
    """Return the caller's OpenTelemetry context, the parent of the spans of its requests."""
    return otel_context.get_current() if IS_TRACED else None


class Telemetry:
    """Reports each finished request that the service may have counted.

    Args:
        base_url: The base URL of the service.
    """

    def __init__(self, base_url: str) -> None:
        self._server = server_attributes(base_url)
        self.metrics = Metrics(self._server)

    def report(self, batch: Batch, result: Result) -> None:
        """Report a request; exceptions of hooks are logged, not raised, because callers wait for the vectors."""
        if not result.sent or not (IS_TRACED or any(part.call.on_request is not None for part in batch.slices)):
            return
        infos = describe(batch, result)
        try:
            if IS_MEASURED:
                self.metrics.record_request(batch.config.model, result)
            if IS_TRACED:
                self._record_span(batch, result, infos)
        except Exception:
            logger.exception("OpenTelemetry failed")
        for call, info in infos:
            try:
                if call.on_request is not None:
                    call.on_request(info)
            except Exception:  # noqa: PERF203 - few iterations: one per client
                logger.exception("on_request failed")

    def _record_span(self, batch: Batch, result: Result, infos: Sequence[tuple[Call, RequestInfo]]) -> None:
        """Record a span as a child of the first caller's span, with links to the spans of the other callers."""
        calls = list(dict.fromkeys(part.call for part in batch.slices))
        others = [trace.get_current_span(call.trace_context).get_span_context() for call in calls[1:]]
        start = int(result.sent_at * NANOSECONDS)
        span = trace.get_tracer("electronhub_embeddings", __version__).start_span(
            f"embeddings {batch.config.model}",
            context=calls[0].trace_context,
            kind=trace.SpanKind.CLIENT,
            attributes=self._attributes(batch, result, infos),
            links=[trace.Link(context) for context in others if context.is_valid],
            start_time=start,
        )
        if result.error is not None:
            span.set_status(trace.StatusCode.ERROR, type(result.error).__name__)
        span.end(end_time=start + int(result.seconds * NANOSECONDS))

    def _attributes(self, batch: Batch, result: Result, infos: Sequence[tuple[Call, RequestInfo]]) -> dict[str, Any]:
        """Return the span attributes of OpenTelemetry's conventions for generative AI."""
        attributes = {
            **self._server,
            "gen_ai.operation.name": "embeddings",
            "gen_ai.provider.name": "electronhub",
            "gen_ai.request.model": batch.config.model,
            "gen_ai.request.encoding_formats": [batch.encoding_format],
            "gen_ai.usage.input_tokens": result.prompt_tokens,
            "electronhub.texts": count_texts(batch.slices),
            "electronhub.attempt": max([info.attempt for _, info in infos]),
            "electronhub.seconds_waited": max([info.waited for _, info in infos]),
        }
        if result.vectors is not None:
            attributes["gen_ai.embeddings.dimension.count"] = result.vectors.shape[1]
        if result.status is not None:
            attributes["http.response.status_code"] = result.status
        if result.error is not None:
            attributes["error.type"] = type(result.error).__name__
        return attributes


def describe(batch: Batch, result: Result) -> list[tuple[Call, RequestInfo]]:
    """Return one description for each client whose texts the request carried, with one of the client's calls."""
    shares = batch.shares(result.total_tokens)
    clients: dict[int, list[tuple[Slice, int]]] = {}
    for part, tokens in zip(batch.slices, shares, strict=True):
        clients.setdefault(id(part.call.attachment.usage), []).append((part, tokens))
    error = None if result.error is None else type(result.error).__name__
    return [
        (
            parts[0][0].call,
            RequestInfo(
                model=batch.config.model,
                texts=count_texts([part for part, _ in parts]),
                tokens=sum([tokens for _, tokens in parts]),
                attempt=1 + max([part.attempts for part, _ in parts]),
                seconds=result.seconds,
                waited=batch.blocked - min([part.call.blocked_before for part, _ in parts]),
                status=result.status,
                error=error,
            ),
        )
        for parts in clients.values()
    ]
