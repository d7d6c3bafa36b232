"""Reads the service's list of models. No I/O."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec

from electronhub_embeddings._codec.error_parser import read_error
from electronhub_embeddings._codec.response_parser import UNREADABLE
from electronhub_embeddings.errors import AuthenticationError, InvalidResponseError, PermissionDeniedError

if TYPE_CHECKING:
    from electronhub_embeddings._rate_limit.rate_limit_headers import RateLimitHeaders

EMBEDDINGS = "/v1/embeddings"
"""The endpoint listed by models that make embeddings."""

NO_KEY_SENT = (
    "No key was sent, because the service's own list is public. This address wants one for it: take the id of a model "
    "from its documents; texts are sent with api_key all the same."
)
"""The next step if a gateway refuses to send the list; the user's key may still be valid."""


class _Model(msgspec.Struct):
    id: str
    endpoints: list[str] | None = None


class _Models(msgspec.Struct):
    data: list[_Model]


_decode_models = msgspec.json.Decoder(_Models).decode


def read_models(status: int, content: bytes | memoryview, headers: RateLimitHeaders) -> list[str]:
    """Return the ids of the models that make embeddings, or all ids if no model lists its endpoints.

    Raises:
        APIStatusError: The response is an error.
        InvalidResponseError: The body is not a list of models.
    """
    if status != HTTPStatus.OK:
        error = read_error(status, bytes(content), headers)
        if isinstance(error, (AuthenticationError, PermissionDeniedError)):
            error.next_step = NO_KEY_SENT
        raise error
    try:
        models = _decode_models(content).data
    except UNREADABLE as error:
        raise InvalidResponseError(f"The answer is not a list of models: {error}.", retries=0) from None
    has_endpoints = any(model.endpoints for model in models)
    return [model.id for model in models if EMBEDDINGS in (model.endpoints or ()) or not has_endpoints]
