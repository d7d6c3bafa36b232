"""The list of models: those that embed, and what one of them costs."""

import json

import pytest

from electronhub_embeddings._codec.models_list import NO_KEY_SENT, read_models, read_price
from electronhub_embeddings._rate_limit.rate_limit_headers import RateLimitHeaders
from electronhub_embeddings.errors import (
    AuthenticationError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    ServerError,
)

MODELS = [
    {"id": "embeds", "endpoints": ["/v1/embeddings"]},
    {"id": "chats", "endpoints": ["/v1/chat/completions"], "price": 1},
    {"id": "does both", "endpoints": ["/v1/chat/completions", "/v1/embeddings"]},
    {"id": "says nothing"},
]


@pytest.mark.parametrize(
    ("rows", "ids"),
    [
        (MODELS, ["embeds", "does both"]),
        ([{"id": "a"}, {"id": "b", "endpoints": None}], ["a", "b"]),
        ([{"id": "chats", "endpoints": ["/v1/chat/completions"]}], []),
        ([], []),
    ],
)
def test_models_are_those_that_embed(rows, ids):
    """Every field except the id is optional; if no model names an endpoint, all models are listed."""
    assert read_models(200, json.dumps({"object": "list", "data": rows}).encode(), RateLimitHeaders()) == ids


def test_a_list_of_models_that_is_none_is_refused():
    """An invalid list raises an error of this package, with the service's message if there is one."""
    with pytest.raises(InvalidResponseError, match="not a list of models") as caught:
        read_models(200, b"<html>", RateLimitHeaders())
    assert caught.value.retries == 0
    with pytest.raises(NotFoundError, match="no such page"):
        read_models(404, b'{"error":{"message":"no such page"}}', RateLimitHeaders())


@pytest.mark.parametrize(
    ("pricing", "price"),
    [
        ({"type": "per_million_tokens", "input": 0.02}, 0.02),
        ({"type": "per_million_tokens", "input": "0.02", "output": 0}, 0.02),
        ({"input": 0}, 0.0),
        ({"type": "per_request", "input": 0.02}, None),
        ({"type": "per_million_tokens"}, None),
        ({"type": "per_million_tokens", "input": -1}, None),
        ({"type": "per_million_tokens", "input": "inf"}, None),
        ({}, None),
        (None, None),
    ],
)
def test_a_price_is_one_for_a_million_tokens(pricing, price):
    """Every field is optional, and a price of another type or without a value is none."""
    body = json.dumps({"id": "a", "pricing": pricing, "tokens": 8192}).encode()
    assert read_price(200, body, RateLimitHeaders()) == price


@pytest.mark.parametrize("body", [b"<html>", b'{"pricing": 5}', b'{"pricing": {"input": "cheap"}}'])
def test_a_description_that_is_none_is_refused(body):
    """An invalid description raises an error of this package."""
    with pytest.raises(InvalidResponseError, match="does not describe a model") as caught:
        read_price(200, body, RateLimitHeaders())
    assert caught.value.retries == 0


@pytest.mark.parametrize("read", [read_models, read_price])
@pytest.mark.parametrize(
    ("status", "error", "is_about_the_key"),
    [(401, AuthenticationError, True), (403, PermissionDeniedError, True), (500, ServerError, False)],
)
def test_a_gateway_that_wants_a_key(read, status, error, is_about_the_key):
    """No key was sent, so the error does not ask for another one."""
    with pytest.raises(error) as caught:
        read(status, b"{}", RateLimitHeaders())
    assert (NO_KEY_SENT in str(caught.value)) == is_about_the_key
