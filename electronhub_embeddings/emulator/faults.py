"""Faults by name: `service.script(faults.error(503), faults.drop(), None, faults.shuffled())`.

Each fault applies to one call that the rate limit admitted, which counts like any other call. None: no fault.

In functions that change rows, `row` is a position in `data`, and vectors keep the requested encoding
unless the function says otherwise. A chat answer has no rows: these functions leave it as it is.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pybase64
from starlette.responses import Response

from electronhub_embeddings.emulator._embeddings import decode_vector, encode_vector
from electronhub_embeddings.emulator._fault_script import BodyEdit, Fault, Manner
from electronhub_embeddings.emulator._responses import error_body, json_response

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Fault",
    "Manner",
    "balance_spent",
    "budget_spent",
    "delay",
    "detail",
    "drop",
    "duplicate_index",
    "edit",
    "empty",
    "error",
    "error_with_200",
    "extra",
    "html",
    "infinite",
    "integers",
    "invalid_base64",
    "missing_index",
    "negative_index",
    "nonsense",
    "not_a_number",
    "null",
    "odd_base64",
    "reset",
    "short",
    "shuffled",
    "stall",
    "text",
    "trickle",
    "truncate",
    "without_usage",
    "wrapped_error",
    "wrong_dimension",
    "wrong_length",
]

_Body = dict[str, Any]
_Row = dict[str, Any]
_RowEdit = Callable[[_Row, _Body], _Row]

_UPSTREAM_FAILED = "The upstream service failed."
_PAGE = "<!DOCTYPE html><html><head><title>{0}</title></head><body><h1>Error {0}</h1></body></html>"


def error(
    status: int,
    message: str = _UPSTREAM_FAILED,
    *,
    type: str = "error",  # noqa: A002 - the field's name in JSON
    param: str | None = None,
    code: int | str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Fault:
    """Respond with `status` and today's body: `{"error": {"message", "type", "param", "code"}}`.

    Args:
        status: the HTTP status.
        message: the error's message.
        type: the error's type.
        param: the field that the error is about, or None.
        code: default: the status.
        headers: more response headers, such as `{"Retry-After": "2"}`.
    """
    body = error_body(message, type=type, param=param, code=status if code is None else code)
    return Fault(json_response(status, body, headers))


def wrapped_error(status: int, message: str = _UPSTREAM_FAILED, *, headers: Mapping[str, str] | None = None) -> Fault:
    """Respond with `status` and the error body inside `detail`, as older gateways did."""
    return Fault(json_response(status, {"detail": error_body(message, code=status)}, headers))


def detail(status: int, message: str = _UPSTREAM_FAILED, *, headers: Mapping[str, str] | None = None) -> Fault:
    """Respond with `status` and `{"detail": message}`."""
    return Fault(json_response(status, {"detail": message}, headers))


def text(status: int, message: str = _UPSTREAM_FAILED, *, headers: Mapping[str, str] | None = None) -> Fault:
    """Respond with `status` and plain text."""
    return Fault(Response(message, status, headers, media_type="text/plain"))


def html(status: int, *, headers: Mapping[str, str] | None = None) -> Fault:
    """Respond with `status` and an HTML page, as the edge in front of the service does."""
    return Fault(Response(_PAGE.format(status), status, headers, media_type="text/html"))


def empty(status: int, *, headers: Mapping[str, str] | None = None) -> Fault:
    """Respond with `status` and no body."""
    return Fault(Response(b"", status, {"content-type": "text/plain", **(headers or {})}))


def error_with_200(message: str = _UPSTREAM_FAILED) -> Fault:
    """Respond with 200 and a top-level `error`, as some gateways do."""
    return Fault(json_response(200, error_body(message, code=500)))


def budget_spent(reset: str = "2030-01-01") -> Fault:
    """Respond with the other 429: a daily budget of the plan is exhausted until the date `reset`."""
    message = f"Daily token limit of 1000000 tokens reached for your plan. Resets on {reset}."
    return error(429, message, code="quota_exceeded")


def balance_spent() -> Fault:
    """Respond with 402: no credits are left."""
    return error(402, "Insufficient balance. Add credits to continue.")


def nonsense(body: bytes = b"\x00\xff{not json") -> Fault:
    """Respond with 200 and bytes that are not JSON."""
    return Fault(json_response(200, body))


def delay(seconds: float) -> Fault:
    """Respond as usual, `seconds` later."""
    return Fault(delay=seconds)


def drop(*, delay: float = 0.0) -> Fault:
    """Close the connection before any byte, after `delay` seconds."""
    return Fault(manner=Manner.DROPPED, delay=delay)


def reset(*, delay: float = 0.0) -> Fault:
    """Reset the connection (TCP RST) before any byte, after `delay` seconds."""
    return Fault(manner=Manner.RESET, delay=delay)


def truncate(*, reset: bool = False) -> Fault:
    """Close the connection, or `reset` it (TCP RST), after half of the body, short of its announced end."""
    return Fault(manner=Manner.BROKEN if reset else Manner.TRUNCATED)


def wrong_length(by: int) -> Fault:
    """Send the whole body with a Content-Length that is `by` bytes too large (below 0: too small), and close."""
    return Fault(manner=Manner.MISCOUNTED, miscount=by)


def stall(seconds: float) -> Fault:
    """Send half of the body, pause for `seconds`, then send the rest."""
    return Fault(manner=Manner.STALLED, pause=seconds)


def trickle(seconds: float, *, head: bool = False) -> Fault:
    """Send the body, with `head` the status line and headers, too, in small chunks, over `seconds` in total."""
    return Fault(manner=Manner.TRICKLED_HEAD if head else Manner.TRICKLED, pause=seconds)


def edit(change: BodyEdit) -> Fault:
    """Send the result of `change`, applied to the body of the successful response: a dict, or raw bytes.

    A streamed chat answer is edited chunk by chunk.
    """
    return Fault(edit=change)


def shuffled(seed: int = 0) -> Fault:
    """Send the rows in another order, each with its correct `index`: valid, because no order is promised."""

    def shuffle(body: _Body) -> _Body:
        rows = list(body["data"])
        random.Random(seed).shuffle(rows)  # noqa: S311 - not a secret
        if rows == body["data"]:
            rows.reverse()
        return {**body, "data": rows}

    return Fault(edit=shuffle, rows_only=True)


def short(missing: int = 1) -> Fault:
    """Leave out the last `missing` rows."""
    return Fault(edit=lambda body: {**body, "data": body["data"][: len(body["data"]) - missing]}, rows_only=True)


def extra() -> Fault:
    """Send one more row than the request has inputs, with the next index."""

    def add(body: _Body) -> _Body:
        rows = body["data"]
        return {**body, "data": [*rows, {**rows[-1], "index": len(rows)}]}

    return Fault(edit=add, rows_only=True)


def duplicate_index() -> Fault:
    """Give the last row the index of the first (a single row stays as it is)."""
    return _edit_row(-1, lambda row, body: {**row, "index": body["data"][0]["index"]})


def missing_index(row: int = 0) -> Fault:
    """Leave out the `index` of one row."""
    return _edit_row(row, lambda row, _: {key: row[key] for key in row if key != "index"})


def negative_index(row: int = 0) -> Fault:
    """Send -1 as the index of one row."""
    return _edit_row(row, lambda row, _: {**row, "index": -1})


def not_a_number(row: int = 0) -> Fault:
    """Put NaN into one vector; JSON gets the bare word that Python's own encoder writes."""
    return _edit_number(row, float("nan"))


def infinite(row: int = 0) -> Fault:
    """Put infinity into one vector; JSON gets the bare word that Python's own encoder writes."""
    return _edit_number(row, float("inf"))


def null(row: int = 0) -> Fault:
    """Send null in place of one vector."""
    return _edit_row(row, lambda row, _: {**row, "embedding": None})


def integers(row: int = 0) -> Fault:
    """Send one vector as JSON integers (-127 to 127), whatever encoding was requested."""
    return _edit_vector(row, lambda vector: np.rint(vector * 127).astype(int).tolist())


def wrong_dimension(row: int = 0) -> Fault:
    """Send one vector without its last number."""
    return _edit_row(row, lambda row, _: _with_vector(row, decode_vector(row["embedding"])[:-1]))


def odd_base64(row: int = 0) -> Fault:
    """Send one vector as base64 without its last byte, whatever encoding was requested."""
    return _edit_vector(row, lambda vector: pybase64.b64encode(vector.tobytes()[:-1]).decode("ascii"))


def invalid_base64(row: int = 0) -> Fault:
    """Send text that is not base64 in place of one vector, whatever encoding was requested."""
    return _edit_row(row, lambda row, _: {**row, "embedding": "!not base64!"})


def without_usage() -> Fault:
    """Leave out `usage`, which the service may omit."""
    return Fault(edit=lambda body: {key: body[key] for key in body if key != "usage"})


def _edit_row(position: int, change: _RowEdit) -> Fault:
    def apply(body: _Body) -> _Body:
        rows = list(body["data"])
        rows[position] = change(rows[position], body)
        return {**body, "data": rows}

    return Fault(edit=apply, rows_only=True)


def _edit_vector(position: int, change: Callable[[Any], Any]) -> Fault:
    return _edit_row(position, lambda row, _: {**row, "embedding": change(decode_vector(row["embedding"]))})


def _edit_number(position: int, number: float) -> Fault:
    def apply(body: _Body) -> bytes:
        rows = list(body["data"])
        vector = decode_vector(rows[position]["embedding"])
        vector[0] = number
        rows[position] = _with_vector(rows[position], vector)
        # Not msgspec, which writes null for NaN and infinity.
        return json.dumps({**body, "data": rows}).encode()

    return Fault(edit=apply, rows_only=True)


def _with_vector(row: _Row, vector: Any) -> _Row:
    return {**row, "embedding": encode_vector(vector, base64=isinstance(row["embedding"], str))}
