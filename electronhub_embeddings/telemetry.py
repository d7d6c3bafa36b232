"""What is told of each request: to `on_request`, and to OpenTelemetry where it is installed. Never a text or a key."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from electronhub_embeddings import __version__
from electronhub_embeddings.usage import RequestInfo

try:
    from opentelemetry import context as otel_context
    from opentelemetry import trace
except ImportError:  # it is a choice of the application
    TRACED = False
else:
    TRACED = True

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from electronhub_embeddings.courier import Outcome
    from electronhub_embeddings.job import Job
    from electronhub_embeddings.request import Request

logger = logging.getLogger("electronhub_embeddings")

NANOSECONDS = 1_000_000_000


def here() -> Any:
    """Return the context in which a caller is, to hang the spans of its requests below."""
    return otel_context.get_current() if TRACED else None


def describe(request: Request, outcome: Outcome, stood: float) -> list[tuple[Job, RequestInfo]]:
    """Describe a request to each client whose texts it carried, with one of the client's calls.

    Args:
        request: The request.
        outcome: How it ended.
        stood: Seconds that the line has stood waiting for the limit, in all.
    """
    shares = request.shares(outcome.charge.total_tokens)
    clients: dict[int, list[tuple[Any, int]]] = {}
    for piece, tokens in zip(request.pieces, shares, strict=True):
        clients.setdefault(id(piece.job.usage), []).append((piece, tokens))
    error = None if outcome.error is None else type(outcome.error).__name__
    return [
        (
            parts[0][0].job,
            RequestInfo(
                model=request.lane.recipe.model,
                texts=sum(len(piece) for piece, _ in parts),
                tokens=sum(tokens for _, tokens in parts),
                attempt=1 + max(piece.attempts for piece, _ in parts),
                seconds=outcome.seconds,
                waited=stood - min(piece.job.joined_at for piece, _ in parts),
                status=outcome.status,
                error=error,
            ),
        )
        for parts in clients.values()
    ]


def tell(on_request: Callable[[RequestInfo], None], info: RequestInfo) -> None:
    """Tell a client of a request; what its hook raises is logged: nothing that was paid for is lost for it."""
    try:
        on_request(info)
    except Exception:
        logger.exception("on_request failed")


class Tracer:
    """Writes a span for each request, after OpenTelemetry's conventions for generative AI, once it has ended.

    Args:
        base_url: Where the service is.
    """

    def __init__(self, base_url: str) -> None:
        address = urlsplit(base_url)
        port = address.port or (443 if address.scheme == "https" else 80)
        self._server = {"server.address": address.hostname or "", "server.port": port}

    def record(self, request: Request, outcome: Outcome, infos: Sequence[tuple[Job, RequestInfo]]) -> None:
        """Write the span: below that of the first caller, with links to those of the others.

        What an exporter raises is logged: the callers wait for their vectors, not for it.
        """
        if not TRACED:
            return
        try:
            self._record(request, outcome, infos)
        except Exception:
            logger.exception("OpenTelemetry failed")

    def _record(self, request: Request, outcome: Outcome, infos: Sequence[tuple[Job, RequestInfo]]) -> None:
        jobs = list(dict.fromkeys(piece.job for piece in request.pieces))
        others = [trace.get_current_span(job.context).get_span_context() for job in jobs[1:]]
        start = int(outcome.sent_at * NANOSECONDS)
        span = trace.get_tracer("electronhub_embeddings", __version__).start_span(
            f"embeddings {request.lane.recipe.model}",
            context=jobs[0].context,
            kind=trace.SpanKind.CLIENT,
            attributes=self._attributes(request, outcome, infos),
            links=[trace.Link(context) for context in others if context.is_valid],
            start_time=start,
        )
        if outcome.error is not None:
            span.set_status(trace.StatusCode.ERROR, type(outcome.error).__name__)
        span.end(end_time=start + int(outcome.seconds * NANOSECONDS))

    def _attributes(
        self, request: Request, outcome: Outcome, infos: Sequence[tuple[Job, RequestInfo]]
    ) -> dict[str, Any]:
        attributes = {
            **self._server,
            "gen_ai.operation.name": "embeddings",
            "gen_ai.provider.name": "electronhub",
            "gen_ai.request.model": request.lane.recipe.model,
            "gen_ai.request.encoding_formats": [request.encoding_format],
            "gen_ai.usage.input_tokens": outcome.charge.prompt_tokens,
            "electronhub.texts": sum(info.texts for _, info in infos),
            "electronhub.attempt": max(info.attempt for _, info in infos),
            "electronhub.seconds_waited": max(info.waited for _, info in infos),
        }
        if outcome.rows is not None:
            attributes["gen_ai.embeddings.dimension.count"] = outcome.rows.shape[1]
        if outcome.status is not None:
            attributes["http.response.status_code"] = outcome.status
        if outcome.error is not None:
            attributes["error.type"] = type(outcome.error).__name__
        return attributes
