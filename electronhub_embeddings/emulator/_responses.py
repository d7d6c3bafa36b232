"""The response bodies: embeddings, and each documented error.

An error body is `{"error": {"message", "type", "param", "code"}}`. Errors of the service itself have the type
"error" and the status as code. Errors of the models behind it are passed on as `invalid_request_error`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.responses import Response

from electronhub_embeddings.emulator._embeddings import encode_vector

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from electronhub_embeddings.emulator._request_rules import EmbeddingsRequest

_INVALID_REQUEST: Final = "invalid_request_error"


class ErrorResponse(Exception):  # noqa: N818 - a response of the service, not an error of this program
    """A response with an error status, raised where the request is rejected."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "error",  # noqa: A002 - the field's name in JSON
        param: str | None = None,
        code: int | str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = error_body(message, type=type, param=param, code=code)

    def response(self) -> Response:
        """Return the HTTP response."""
        return json_response(self.status, self.body)


def json_response(status: int, body: Any, headers: Mapping[str, str] | None = None) -> Response:
    """Return a response with `body` as JSON; bytes are sent as they are."""
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return Response(content, status, headers, media_type="application/json")


def embeddings_body(request: EmbeddingsRequest, vectors: NDArray[np.float32]) -> dict[str, Any]:
    """Return the body of a successful response: one row for each input, whose vectors are the rows of `vectors`."""
    return {
        "object": "list",
        "data": [
            {
                "object": "embedding",
                "embedding": encode_vector(vector, base64=request.base64),
                "index": index,
            }
            for index, vector in enumerate(vectors)
        ],
        "model": request.model.id,
        "usage": {"prompt_tokens": request.prompt_tokens, "total_tokens": request.prompt_tokens},
    }


def error_body(
    message: str,
    *,
    type: str = "error",  # noqa: A002 - the field's name in JSON
    param: str | None = None,
    code: int | str | None = None,
) -> dict[str, Any]:
    """Return the error body that the service sends today."""
    return {"error": {"message": message, "type": type, "param": param, "code": code}}


def unknown_key() -> ErrorResponse:
    """401: the key is wrong or missing."""
    return ErrorResponse(401, "Invalid API key.", code=401)


def coding_plan_key() -> ErrorResponse:
    """403: `ek-dev-` keys cannot do embeddings."""
    return ErrorResponse(403, "Coding plan keys (ek-dev-) cannot be used for embeddings.", code=403)


def unknown_path(path: str) -> ErrorResponse:
    """404: there is no such endpoint."""
    return ErrorResponse(404, f"Unknown endpoint: {path}", code=404)


def wrong_method(method: str) -> ErrorResponse:
    """405: the endpoint exists, but not for this method."""
    return ErrorResponse(405, f"Method {method} not allowed.", code=405)


def rate_limited(seconds: float) -> ErrorResponse:
    """429: the call is over the limit; the message names the cooldown in whole seconds, rounded up."""
    return ErrorResponse(429, f"Rate limit exceeded. Try again in {math.ceil(seconds)} seconds.", code=429)


def unknown_model(model: str) -> ErrorResponse:
    """404: there is no model of that name."""
    message = f"The model '{model}' does not exist."
    return ErrorResponse(404, message, type=_INVALID_REQUEST, param="model", code="model_not_found")


def not_an_embedding_model(model: str) -> ErrorResponse:
    """400: the model is a chat model."""
    return ErrorResponse(400, f"The model '{model}' does not support embeddings.", type=_INVALID_REQUEST, param="model")


def not_a_chat_model(model: str) -> ErrorResponse:
    """400: the model is an embedding model."""
    message = f"The model '{model}' does not support chat completions."
    return ErrorResponse(400, message, type=_INVALID_REQUEST, param="model")


def invalid_field(field: str) -> ErrorResponse:
    """400: a field is missing, of the wrong type or out of range; "$" is the body itself."""
    path = "$" if field == "$" else f"$.{field}"
    return ErrorResponse(
        400,
        f"'{path}' is invalid. Please check the API reference.",
        type=_INVALID_REQUEST,
        param=None if field == "$" else field,
    )


def too_many_inputs(limit: int, count: int) -> ErrorResponse:
    """400: the request has more inputs than `limit`."""
    return ErrorResponse(
        400,
        f"Invalid 'input': array too long. Expected an array with maximum length {limit}, "
        f"but got an array with length {count} instead.",
        type=_INVALID_REQUEST,
        param="input",
        code="array_above_max_length",
    )


def input_too_long(param: str | None, limit: int, tokens: int) -> ErrorResponse:
    """400: one input is over `limit` tokens; without `param` the older message, which does not name the input."""
    message = (
        f"Invalid '{param}': maximum input length is {limit} tokens."
        if param
        else f"This model's maximum context length is {limit} tokens, however you requested {tokens} tokens "
        f"({tokens} in your prompt; 0 for the completion). Please reduce your prompt."
    )
    return ErrorResponse(400, message, type=_INVALID_REQUEST, param=param)


def request_too_long(limit: int, tokens: int, *, older_message: bool) -> ErrorResponse:
    """400: all inputs together are over `limit` tokens."""
    code = "max_tokens_per_request"
    if older_message:
        return ErrorResponse(400, f"Requested {tokens} tokens, max {limit} tokens per request", type=code, code=code)
    message = f"Invalid 'input': maximum request size is {limit} tokens per request."
    return ErrorResponse(400, message, type=_INVALID_REQUEST, param="input", code=code)


def content_policy(param: str | None) -> ErrorResponse:
    """400: an input violates the content policy; `param` names the input, or is None."""
    message = (
        f"Invalid '{param}': refused by the content policy."
        if param
        else "The request was refused by the content policy."
    )
    return ErrorResponse(400, message, type=_INVALID_REQUEST, param=param, code="content_policy_violation")


def dimensions_not_supported() -> ErrorResponse:
    """400: `dimensions` is set for a model with vectors of one length."""
    message = "This model does not support specifying dimensions."
    return ErrorResponse(400, message, type=_INVALID_REQUEST, param="dimensions")


def base64_not_supported() -> ErrorResponse:
    """400: the service sends floats only."""
    message = "Only 'float' is supported for 'encoding_format'."
    return ErrorResponse(400, message, type=_INVALID_REQUEST, param="encoding_format")
