"""The routes and their handlers."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.routing import Route

from electronhub_embeddings.emulator import _responses
from electronhub_embeddings.emulator._calls import Call
from electronhub_embeddings.emulator._embeddings import EMBEDDINGS_PATH, MODELS
from electronhub_embeddings.emulator._fault_script import NO_FAULT
from electronhub_embeddings.emulator._http_server import FaultyResponse
from electronhub_embeddings.emulator._responses import ErrorResponse, embeddings_body, json_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from electronhub_embeddings.emulator._calls import CallProcessor, CallResult
    from electronhub_embeddings.emulator._fault_script import Fault
    from electronhub_embeddings.emulator._request_rules import EmbeddingsRequest

# Fewer are not worth a thread. With more, the event loop must stay free to count further calls.
_MIN_TEXTS_FOR_THREAD: Final = 32


@dataclass
class App:
    """The ASGI application; `Emulator` documents the fields."""

    processor: CallProcessor
    plan: str
    clock: Callable[[], float]
    latency: float
    jitter: float
    rate_limit_headers: bool
    keep_bodies: bool

    def __post_init__(self) -> None:
        self.calls: list[Call] = []
        self._starlette = Starlette(
            routes=[
                Route(EMBEDDINGS_PATH, self._embeddings, methods=["POST"]),
                Route("/v1/models", self._models, methods=["GET"]),
                Route("/v1/user/me", self._user, methods=["GET"]),
            ],
            exception_handlers={404: self._not_found, 405: self._method_not_allowed},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to one request."""
        try:
            await self._starlette(scope, receive, send)
        except asyncio.CancelledError:
            # The server is closing and the connection is gone: there is nothing to send and no error to log.
            return

    def clear(self) -> None:
        """Forget calls, counts and queued faults."""
        self.calls = []
        self.processor.clear()

    async def _embeddings(self, request: Request) -> Response:
        content = await request.body()
        if self.jitter:
            await asyncio.sleep(self.processor.rng.uniform(0.0, self.jitter))
        body = _decode_json(content)
        # No await until the call is recorded: calls are counted, processed and recorded one at a time.
        now = self.clock()
        result = self.processor.process(request.headers.get("authorization", ""), body, now)
        self.calls.append(self._record(request, body, now, result))
        headers = self._make_rate_limit_headers(now)
        if result.admitted:
            await asyncio.sleep(self.latency + result.fault.delay)
        return FaultyResponse(await _make_response(result), result.fault, headers)

    def _record(self, request: Request, body: Any, now: float, result: CallResult) -> Call:
        headers = dict(request.headers)
        if "authorization" in headers:
            headers["authorization"] = headers["authorization"].partition(" ")[0] + " ***"
        texts = body.get("input") if isinstance(body, dict) else None
        return Call(
            at=now,
            status=result.status,
            texts=1 if isinstance(texts, str) else len(texts) if isinstance(texts, list) else 0,
            prompt_tokens=result.prompt_tokens,
            headers=headers,
            body=body if self.keep_bodies else None,
            limited=result.limited,
            in_cooldown=result.in_cooldown,
        )

    def _make_rate_limit_headers(self, now: float) -> dict[str, str]:
        window = self.processor.rate_limit
        if window is None or not self.rate_limit_headers:
            return {}
        return {
            "X-RateLimit-Limit": str(window.limit),
            "X-RateLimit-Remaining": str(window.remaining(now)),
            # Rounded up: a client that waits until then must not be early.
            "X-RateLimit-Reset": str(math.ceil(time.time() + window.reset_after(now))),
        }

    async def _models(self, _: Request) -> Response:
        return self._respond(json_response(200, {"object": "list", "data": [m.row() for m in MODELS.values()]}))

    async def _user(self, request: Request) -> Response:
        try:
            self.processor.authenticate(request.headers.get("authorization", ""))
        except ErrorResponse as error:
            return self._respond(error.response())
        return self._respond(json_response(200, {"id": "emulator", "plan": self.plan, "credits": 1.0}))

    async def _not_found(self, request: Request, _: Exception) -> Response:
        return self._respond(_responses.unknown_path(request.url.path).response())

    async def _method_not_allowed(self, request: Request, _: Exception) -> Response:
        return self._respond(_responses.wrong_method(request.method).response())

    def _respond(self, response: Response) -> Response:
        """Return the response to a request that is not counted."""
        return FaultyResponse(response, NO_FAULT, self._make_rate_limit_headers(self.clock()))


def _decode_json(content: bytes) -> Any:
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


async def _make_response(result: CallResult) -> Response:
    if result.fault.response is not None:
        return result.fault.response
    request = result.outcome
    if isinstance(request, ErrorResponse):
        return request.response()
    if len(request.texts) < _MIN_TEXTS_FOR_THREAD:
        return _embeddings_response(request, result.fault)
    return await asyncio.to_thread(_embeddings_response, request, result.fault)


def _embeddings_response(request: EmbeddingsRequest, fault: Fault) -> Response:
    body = embeddings_body(request)
    return json_response(200, body if fault.edit is None else fault.edit(body))
