"""The list of models: those that embed."""

import json

import pytest

from electronhub_embeddings._codec.models_list import read_models
from electronhub_embeddings._rate_limit.rate_limit_headers import RateLimitHeaders
from electronhub_embeddings.errors import (
    InvalidResponseError,
    NotFoundError,
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
