"""Reads the service's list of models, and the price of one of them. No I/O."""

from __future__ import annotations

import math
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


class _Pricing(msgspec.Struct):
    type: str | None = None
    input: float | str | None = None


class _PricedModel(msgspec.Struct):
    pricing: _Pricing | None = None


_decode_models = msgspec.json.Decoder(_Models).decode
_decode_price = msgspec.json.Decoder(_PricedModel).decode

PER_MILLION = "per_million_tokens"
"""The one type of price that is documented."""


def read_models(status: int, content: bytes | memoryview, headers: RateLimitHeaders) -> list[str]:
    """Return the ids of the models that make embeddings, or all ids if no model lists its endpoints.

    Raises:
        APIStatusError: The response is an error.
        InvalidResponseError: The body is not a list of models.
    """
    _check_status(status, content, headers)
    try:
        models = _decode_models(content).data
    except UNREADABLE as error:
        raise InvalidResponseError(f"The answer is not a list of models: {error}.", retries=0) from None
    has_endpoints = any(model.endpoints for model in models)
    return [model.id for model in models if EMBEDDINGS in (model.endpoints or ()) or not has_endpoints]


def read_price(status: int, content: bytes | memoryview, headers: RateLimitHeaders) -> float | None:
    """Return the price of a million tokens that a model's description names; None: none, or one of another type.

    Raises:
        APIStatusError: The response is an error.
        InvalidResponseError: The body does not describe a model.
    """
    _check_status(status, content, headers)
    try:
        pricing = _decode_price(content).pricing
        price = None if pricing is None or pricing.input is None else float(pricing.input)
    except (*UNREADABLE, ValueError) as error:
        raise InvalidResponseError(f"The answer does not describe a model: {error}.", retries=0) from None
    is_usable = price is not None and 0 <= price < math.inf
    return price if is_usable and pricing is not None and pricing.type in {None, PER_MILLION} else None


def _check_status(status: int, content: bytes | memoryview, headers: RateLimitHeaders) -> None:
    if status != HTTPStatus.OK:
        error = read_error(status, bytes(content), headers)
        if isinstance(error, (AuthenticationError, PermissionDeniedError)):
            error.next_step = NO_KEY_SENT
        raise error
