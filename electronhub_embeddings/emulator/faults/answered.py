"""Faults that answer: every shape in which an error has been seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from electronhub_embeddings.emulator.faults.fault import Fault
from electronhub_embeddings.emulator.refusals import envelope
from electronhub_embeddings.emulator.replies import Reply, json_reply

if TYPE_CHECKING:
    from collections.abc import Mapping

_TROUBLE = "The upstream service failed."
_PAGE = "<!DOCTYPE html><html><head><title>{0}</title></head><body><h1>Error {0}</h1></body></html>"


def error(
    status: int,
    message: str = _TROUBLE,
    *,
    type: str = "error",  # noqa: A002 - the name on the wire
    param: str | None = None,
    code: int | str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Fault:
    """Answer `status` with today's envelope: `{"error": {"message", "type", "param", "code"}}`.

    Args:
        status: the HTTP status.
        message: what the envelope says.
        type: the envelope's type.
        param: the offending field, or None.
        code: default: the status.
        headers: more response headers, as `{"Retry-After": "2"}`.
    """
    body = envelope(message, type=type, param=param, code=status if code is None else code)
    return Fault(json_reply(status, body, headers))


def wrapped_error(status: int, message: str = _TROUBLE, *, headers: Mapping[str, str] | None = None) -> Fault:
    """Answer `status` with the envelope inside `detail`, as older gateways did."""
    return Fault(json_reply(status, {"detail": envelope(message, code=status)}, headers))


def detail(status: int, message: str = _TROUBLE, *, headers: Mapping[str, str] | None = None) -> Fault:
    """Answer `status` with `{"detail": message}`."""
    return Fault(json_reply(status, {"detail": message}, headers))


def text(status: int, message: str = _TROUBLE, *, headers: Mapping[str, str] | None = None) -> Fault:
    """Answer `status` with plain text."""
    return Fault(Reply(status, message.encode(), "text/plain; charset=utf-8", headers or {}))


def html(status: int, *, headers: Mapping[str, str] | None = None) -> Fault:
    """Answer `status` with a page, as the edge in front of the service does."""
    return Fault(Reply(status, _PAGE.format(status).encode(), "text/html; charset=utf-8", headers or {}))


def empty(status: int, *, headers: Mapping[str, str] | None = None) -> Fault:
    """Answer `status` with no body at all."""
    return Fault(Reply(status, b"", "text/plain", headers or {}))


def error_with_200(message: str = _TROUBLE) -> Fault:
    """Answer 200 with a top-level `error`: gateways have been seen to."""
    return Fault(json_reply(200, envelope(message, code=500)))


def budget_spent(reset: str = "2030-01-01") -> Fault:
    """Answer the other 429: a daily budget of the plan, which no wait brings back before the date `reset`."""
    message = f"Daily token limit of 1000000 tokens reached for your plan. Resets on {reset}."
    return error(429, message, code="quota_exceeded")


def balance_spent() -> Fault:
    """Answer 402: no credits left."""
    return error(402, "Insufficient balance. Add credits to continue.")
