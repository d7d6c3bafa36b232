"""The routes, and a call's way through them."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.routing import Route

from electronhub_embeddings.emulator import refusals
from electronhub_embeddings.emulator.answers import answer
from electronhub_embeddings.emulator.calls import Call
from electronhub_embeddings.emulator.delivery import Delivery
from electronhub_embeddings.emulator.faults.fault import NO_FAULT
from electronhub_embeddings.emulator.models import EMBEDDINGS, MODELS
from electronhub_embeddings.emulator.refusals import Refusal
from electronhub_embeddings.emulator.replies import Reply, json_reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from electronhub_embeddings.emulator.admission import Admission, Verdict
    from electronhub_embeddings.emulator.faults.fault import Fault
    from electronhub_embeddings.emulator.rules import Order

# Fewer are not worth a thread; with more the event loop must stay free to count what comes.
_TEXTS_FOR_A_THREAD: Final = 32


@dataclass
class Service:
    """The ASGI application; `Emulator` documents each field."""

    admission: Admission
    plan: str | None
    clock: Callable[[], float]
    latency: float
    jitter: float
    rate_limit_headers: bool
    keep_bodies: bool

    def __post_init__(self) -> None:
        self.calls: list[Call] = []
        self._app = Starlette(
            routes=[
                Route(EMBEDDINGS, self._embeddings, methods=["POST"]),
                Route("/v1/models", self._models, methods=["GET"]),
                Route("/v1/user/me", self._user, methods=["GET"]),
            ],
            exception_handlers={404: self._not_found, 405: self._not_allowed},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            # The server closes and the connection is gone: nothing to answer, no error to log.
            return

    def reset(self) -> None:
        """Forget calls, counts and queued faults."""
        self.calls = []
        self.admission.script.clear()
        if self.admission.meter is not None:
            self.admission.meter.reset()

    async def _embeddings(self, request: Request) -> Response:
        raw = await request.body()
        if self.jitter:
            await asyncio.sleep(self.admission.dice.uniform(0.0, self.jitter))
        body = _decode(raw)
        # Nothing awaits from here to the record: calls are counted, judged and recorded one at a time.
        now = self.clock()
        verdict = self.admission.judge(request.headers.get("authorization", ""), body, now)
        self.calls.append(self._call(request, body, now, verdict))
        headers = self._rate_limit(now)
        if verdict.admitted:
            await asyncio.sleep(self.latency + verdict.fault.delay)
        return Delivery(await _reply(verdict), headers, verdict.fault)

    def _call(self, request: Request, body: Any, now: float, verdict: Verdict) -> Call:
        headers = dict(request.headers)
        if "authorization" in headers:
            headers["authorization"] = headers["authorization"].partition(" ")[0] + " ***"
        asked = body.get("input") if isinstance(body, dict) else None
        return Call(
            at=now,
            status=verdict.status,
            texts=1 if isinstance(asked, str) else len(asked) if isinstance(asked, list) else 0,
            prompt_tokens=verdict.prompt_tokens,
            headers=headers,
            body=body if self.keep_bodies else None,
            limited=verdict.limited,
            in_cooldown=verdict.in_cooldown,
        )

    def _rate_limit(self, now: float) -> dict[str, str]:
        meter = self.admission.meter
        if meter is None or not self.rate_limit_headers:
            return {}
        return {
            "X-RateLimit-Limit": str(meter.limit),
            "X-RateLimit-Remaining": str(meter.remaining(now)),
            # Rounded up: a client that waits until then must not be early.
            "X-RateLimit-Reset": str(math.ceil(time.time() + meter.reset_in(now))),
        }

    async def _models(self, _: Request) -> Response:
        return self._uncounted(json_reply(200, {"object": "list", "data": [m.row() for m in MODELS.values()]}))

    async def _user(self, request: Request) -> Response:
        try:
            self.admission.authenticate(request.headers.get("authorization", ""))
        except Refusal as refusal:
            return self._uncounted(refusal.reply())
        return self._uncounted(json_reply(200, {"id": "emulator", "plan": self.plan, "credits": 1.0}))

    async def _not_found(self, request: Request, _: Exception) -> Response:
        return self._uncounted(refusals.unknown_path(request.url.path).reply())

    async def _not_allowed(self, request: Request, _: Exception) -> Response:
        return self._uncounted(refusals.wrong_method(request.method).reply())

    def _uncounted(self, reply: Reply) -> Response:
        return Delivery(reply, self._rate_limit(self.clock()), NO_FAULT)


def _decode(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


async def _reply(verdict: Verdict) -> Reply:
    if verdict.fault.reply is not None:
        return verdict.fault.reply
    order = verdict.outcome
    if isinstance(order, Refusal):
        return order.reply()
    if len(order.texts) < _TEXTS_FOR_A_THREAD:
        return _good(order, verdict.fault)
    return await asyncio.to_thread(_good, order, verdict.fault)


def _good(order: Order, fault: Fault) -> Reply:
    payload = answer(order)
    return json_reply(200, payload if fault.edit is None else fault.edit(payload))
