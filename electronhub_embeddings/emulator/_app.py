"""The routes and their handlers."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.applications import Starlette
from starlette.routing import Route

from electronhub_embeddings.emulator import _responses
from electronhub_embeddings.emulator._answers import make_answer
from electronhub_embeddings.emulator._calls import Call
from electronhub_embeddings.emulator._embeddings import CHAT_PATH, EMBEDDINGS_PATH, MODELS
from electronhub_embeddings.emulator._fault_script import NO_FAULT
from electronhub_embeddings.emulator._faulty_response import FaultyResponse
from electronhub_embeddings.emulator._rate_limit import DOCUMENTED_WINDOW
from electronhub_embeddings.emulator._request_log import log_entry
from electronhub_embeddings.emulator._responses import ErrorResponse, json_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from electronhub_embeddings.emulator._calls import CallProcessor, CallResult
    from electronhub_embeddings.emulator._request_rules import JSON
    from electronhub_embeddings.emulator._vector_source import VectorSource


@dataclass
class App:
    """The ASGI application; `Emulator` documents the fields."""

    processor: CallProcessor
    source: VectorSource
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
                Route(EMBEDDINGS_PATH, self._serve_call, methods=["POST"]),
                Route(CHAT_PATH, self._serve_call, methods=["POST"]),
                Route("/v1/models", self._models, methods=["GET"]),
                Route("/v1/models/{model:path}", self._model, methods=["GET"]),
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

    async def _serve_call(self, request: Request) -> Response:
        """Return the response to a request that counts as a call."""
        content = await request.body()
        if self.jitter:
            await asyncio.sleep(self.processor.rng.uniform(0.0, self.jitter))
        body = _decode_json(content)
        # No await until the call is recorded: calls are counted, processed and recorded one at a time.
        now = self.clock()
        authorization, endpoint = request.headers.get("authorization", ""), request.scope["path"]
        result = self.processor.process(authorization, body, now, endpoint)
        call = self._record(request, body, now, result)
        self.calls.append(call)
        log_entry(request.scope).call = call
        headers = self._make_rate_limit_headers(request, now)
        identifier = f"chatcmpl-{len(self.calls)}"
        return await make_answer(result, headers, source=self.source, latency=self.latency, identifier=identifier)

    def _record(self, request: Request, body: JSON, now: float, result: CallResult) -> Call:
        headers = dict(request.headers)
        if "authorization" in headers:
            headers["authorization"] = headers["authorization"].partition(" ")[0] + " ***"
        fields = body if isinstance(body, dict) else {}
        chat = request.scope["path"] == CHAT_PATH
        texts, messages = (None, fields.get("messages")) if chat else (fields.get("input"), None)
        return Call(
            at=now,
            status=result.status,
            texts=1 if isinstance(texts, str) else len(texts) if isinstance(texts, list) else 0,
            prompt_tokens=result.prompt_tokens,
            headers=headers,
            body=body if self.keep_bodies else None,
            limited=result.limited,
            in_cooldown=result.in_cooldown,
            endpoint=request.scope["path"],
            messages=len(messages) if isinstance(messages, list) else 0,
        )

    def _make_rate_limit_headers(self, request: Request, now: float) -> dict[str, str]:
        window = self.processor.rate_limit
        if window is None:
            return {}
        remaining = log_entry(request.scope).remaining = window.remaining(now)
        if not self.rate_limit_headers:
            return {}
        seconds = f"{window.window:.6f}".rstrip("0").rstrip(".")
        policy = {} if window.window == DOCUMENTED_WINDOW else {"RateLimit-Policy": f"{window.limit};w={seconds}"}
        return {
            **policy,
            "X-RateLimit-Limit": str(window.limit),
            "X-RateLimit-Remaining": str(remaining),
            # Rounded up: a client that waits until then must not be early.
            "X-RateLimit-Reset": str(math.ceil(time.time() + window.reset_after(now))),
        }

    async def _models(self, request: Request) -> Response:
        return self._respond(
            request, json_response(200, {"object": "list", "data": [m.row() for m in MODELS.values()]})
        )

    async def _model(self, request: Request) -> Response:
        model = MODELS.get(request.path_params["model"])
        if model is None:
            return self._respond(request, _responses.unknown_model(request.path_params["model"]).response())
        return self._respond(request, json_response(200, model.description()))

    async def _user(self, request: Request) -> Response:
        try:
            self.processor.authenticate(request.headers.get("authorization", ""))
        except ErrorResponse as error:
            return self._respond(request, error.response())
        return self._respond(request, json_response(200, {"id": "emulator", "plan": self.plan, "credits": 1.0}))

    async def _not_found(self, request: Request, _: Exception) -> Response:
        return self._respond(request, _responses.unknown_path(request.url.path).response())

    async def _method_not_allowed(self, request: Request, _: Exception) -> Response:
        return self._respond(request, _responses.wrong_method(request.method).response())

    def _respond(self, request: Request, response: Response) -> Response:
        """Return the response to a request that is not counted."""
        return FaultyResponse(response, NO_FAULT, self._make_rate_limit_headers(request, self.clock()))


def _decode_json(content: bytes) -> Any:
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
