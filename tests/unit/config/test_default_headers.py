"""The user's own headers: no key among them, and shown nowhere."""

import pytest

from electronhub_embeddings._config.options import Options
from electronhub_embeddings._config.secret import reveal

CANARY = "ek-canary-0123456789"


@pytest.mark.parametrize("headers", [None, {}])
def test_no_headers_are_no_headers(headers):
    """None and an empty mapping mean the same."""
    assert not reveal(Options(api_key="ek-test", default_headers=headers).default_headers)


@pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION"])
def test_the_key_has_its_own_way(name):
    """A key among the headers is rejected, because tools that show headers would show it."""
    with pytest.raises(ValueError, match="api_key") as caught:
        Options(api_key="ek-test", default_headers={name: f"Bearer {CANARY}"})
    assert CANARY not in str(caught.value)


def test_headers_do_not_show():
    """A header can contain a secret as well."""
    assert CANARY not in repr(Options(api_key="ek-test", default_headers={"X-Token": CANARY}).request_config)
