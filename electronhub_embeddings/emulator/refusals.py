"""The documented refusals, one function each.

The envelope is `{"error": {"message", "type", "param", "code"}}`. The service's own refusals have the type
"error" and the status as code; those of the models behind it are `invalid_request_error`, passed on.
"""

from __future__ import annotations

import math
from typing import Any

from electronhub_embeddings.emulator.replies import Reply, json_reply

_INVALID = "invalid_request_error"


class Refusal(Exception):  # noqa: N818 - it is the answer, not an error of ours
    """An answer that is not 200."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "error",  # noqa: A002 - the name on the wire
        param: str | None = None,
        code: int | str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = envelope(message, type=type, param=param, code=code)

    def reply(self) -> Reply:
        """Return it as it is sent."""
        return json_reply(self.status, self.body)


def envelope(
    message: str,
    *,
    type: str = "error",  # noqa: A002 - the name on the wire
    param: str | None = None,
    code: int | str | None = None,
) -> dict[str, Any]:
    """Return the error body of today's service."""
    return {"error": {"message": message, "type": type, "param": param, "code": code}}


def unknown_key() -> Refusal:
    """401: the key is wrong or missing."""
    return Refusal(401, "Invalid API key.", code=401)


def coding_plan_key() -> Refusal:
    """403: `ek-dev-` keys cannot do embeddings."""
    return Refusal(403, "Coding plan keys (ek-dev-) cannot be used for embeddings.", code=403)


def unknown_path(path: str) -> Refusal:
    """404: no such endpoint."""
    return Refusal(404, f"Unknown endpoint: {path}", code=404)


def wrong_method(method: str) -> Refusal:
    """405: the endpoint exists, for another method."""
    return Refusal(405, f"Method {method} not allowed.", code=405)


def rate_limited(seconds: float) -> Refusal:
    """429: one call too many; `seconds` of cooldown, told in whole seconds, rounded up."""
    return Refusal(429, f"Rate limit exceeded. Try again in {math.ceil(seconds)} seconds.", code=429)


def unknown_model(model: str) -> Refusal:
    """404: no model of that name."""
    return Refusal(404, f"The model '{model}' does not exist.", type=_INVALID, param="model", code="model_not_found")


def not_an_embedding_model(model: str) -> Refusal:
    """400: a model that only chats."""
    return Refusal(400, f"The model '{model}' does not support embeddings.", type=_INVALID, param="model")


def invalid(field: str) -> Refusal:
    """400: a field is missing, of the wrong type or out of range; "$" names the body itself."""
    path = "$" if field == "$" else f"$.{field}"
    return Refusal(
        400,
        f"'{path}' is invalid. Please check the API reference.",
        type=_INVALID,
        param=None if field == "$" else field,
    )


def too_many_inputs(limit: int, count: int) -> Refusal:
    """400: more inputs than `limit`."""
    return Refusal(
        400,
        f"Invalid 'input': array too long. Expected an array with maximum length {limit}, "
        f"but got an array with length {count} instead.",
        type=_INVALID,
        param="input",
        code="array_above_max_length",
    )


def input_too_long(where: str | None, limit: int, tokens: int) -> Refusal:
    """400: one input over `limit` tokens; `where` names it, None gives the older text, which does not."""
    message = (
        f"Invalid '{where}': maximum input length is {limit} tokens."
        if where
        else f"This model's maximum context length is {limit} tokens, however you requested {tokens} tokens "
        f"({tokens} in your prompt; 0 for the completion). Please reduce your prompt."
    )
    return Refusal(400, message, type=_INVALID, param=where)


def request_too_long(limit: int, tokens: int, *, older: bool) -> Refusal:
    """400: all inputs together over `limit` tokens."""
    if older:
        kind = "max_tokens_per_request"
        return Refusal(400, f"Requested {tokens} tokens, max {limit} tokens per request", type=kind, code=kind)
    return Refusal(
        400,
        f"Invalid 'input': maximum request size is {limit} tokens per request.",
        type=_INVALID,
        param="input",
        code="max_tokens_per_request",
    )


def against_policy(where: str | None) -> Refusal:
    """400: the content policy; `where` names the input, or None."""
    message = (
        f"Invalid '{where}': refused by the content policy."
        if where
        else "The request was refused by the content policy."
    )
    return Refusal(400, message, type=_INVALID, param=where, code="content_policy_violation")


def no_dimensions() -> Refusal:
    """400: `dimensions` for a model that has one length only."""
    return Refusal(400, "This model does not support specifying dimensions.", type=_INVALID, param="dimensions")


def no_base64() -> Refusal:
    """400: a service that answers floats only."""
    return Refusal(400, "Only 'float' is supported for 'encoding_format'.", type=_INVALID, param="encoding_format")
