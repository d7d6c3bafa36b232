"""The account: what its base URL and key have to do with an error."""

import pytest

from electronhub_embeddings._config.account import CODING_PLAN_KEY, Account
from electronhub_embeddings._config.base_url import DEFAULT_BASE_URL
from electronhub_embeddings._config.secret import Secret
from electronhub_embeddings.errors import (
    AuthenticationError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
)

NO_PATH = f"Check base_url, which does not end with /v1: it should look like {DEFAULT_BASE_URL}."
OTHER_KEY = f"{AuthenticationError.next_step} Keys of Electron Hub begin with ek-, and this one does not."


@pytest.mark.parametrize(
    ("base_url", "key", "error", "next_step"),
    [
        (DEFAULT_BASE_URL, "ek-dev-1", PermissionDeniedError("No."), CODING_PLAN_KEY),
        (DEFAULT_BASE_URL, "ek-1", PermissionDeniedError("No."), PermissionDeniedError.next_step),
        (DEFAULT_BASE_URL, "ek-1", AuthenticationError("No."), AuthenticationError.next_step),
        (DEFAULT_BASE_URL, "sk-1", AuthenticationError("No."), OTHER_KEY),
        ("https://a.example", "ek-1", NotFoundError("No."), NO_PATH),
        ("https://a.example", "ek-1", InvalidResponseError("No."), NO_PATH),
        ("https://a.example", "ek-1", RateLimitError("No."), RateLimitError.next_step),
        (DEFAULT_BASE_URL, "ek-1", NotFoundError("No."), NotFoundError.next_step),
        (DEFAULT_BASE_URL, "ek-1", InvalidResponseError("No."), InvalidResponseError.next_step),
    ],
)
def test_an_error_says_what_the_account_has_to_do_with_it(base_url, key, error, next_step):
    """The wrong kind of key, and a base URL without its path, are named in the errors that they lead to."""
    Account(base_url, Secret(key)).advise(error)
    assert error.next_step == next_step
    assert key not in error.next_step.split()
