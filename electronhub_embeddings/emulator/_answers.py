"""Turns the result of a call into its response, after the service time."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import msgspec

from electronhub_embeddings.emulator._chat import DONE, ChatRequest, completion_body, completion_chunks
from electronhub_embeddings.emulator._faulty_response import FaultyResponse, StreamedResponse
from electronhub_embeddings.emulator._responses import ErrorResponse, embeddings_body, json_response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response

    from electronhub_embeddings.emulator._calls import CallResult
    from electronhub_embeddings.emulator._fault_script import Fault
    from electronhub_embeddings.emulator._request_rules import EmbeddingsRequest
    from electronhub_embeddings.emulator._vector_source import VectorSource


async def make_answer(
    result: CallResult, headers: Mapping[str, str], *, source: VectorSource, latency: float, identifier: str
) -> FaultyResponse:
    """Wait for the service time, and return the response of a call.

    Args:
        result: the result of the call.
        headers: the rate limit headers.
        source: makes the vectors.
        latency: seconds of service time. A stream begins after half of it, and takes the other half.
        identifier: a name of the answer, for chat.
    """
    fault, request = result.fault, result.outcome
    stream = fault.response is None and isinstance(request, ChatRequest) and request.stream
    if result.admitted:
        await asyncio.sleep((latency / 2 if stream else latency) + fault.delay)
    if fault.response is not None:
        return FaultyResponse(fault.response, fault, headers)
    if isinstance(request, ErrorResponse):
        return FaultyResponse(request.response(), fault, headers)
    if isinstance(request, ChatRequest):
        if stream:
            return StreamedResponse(_make_events(request, fault, identifier), latency / 2, fault, headers)
        body = completion_body(request, identifier, int(time.time()))
        return FaultyResponse(json_response(200, fault.apply(body, has_rows=False)), fault, headers)
    if source.needs_thread(request.texts):
        response = await asyncio.to_thread(_embeddings_response, request, fault, source)
    else:
        response = _embeddings_response(request, fault, source)
    return FaultyResponse(response, fault, headers)


def _embeddings_response(request: EmbeddingsRequest, fault: Fault, source: VectorSource) -> Response:
    vectors = source.embed(request.texts, request.model, request.dimensions)
    return json_response(200, fault.apply(embeddings_body(request, vectors), has_rows=True))


def _make_events(request: ChatRequest, fault: Fault, identifier: str) -> list[bytes]:
    """Return the server-sent events of a stream: a chunk each, and the end."""
    chunks = [fault.apply(chunk, has_rows=False) for chunk in completion_chunks(request, identifier, int(time.time()))]
    bodies = [chunk if isinstance(chunk, bytes) else msgspec.json.encode(chunk) for chunk in chunks]
    return [b"data: " + body + b"\n\n" for body in (*bodies, DONE)]
