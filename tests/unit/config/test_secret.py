"""The key: never shown, and kept by copies."""

import copy
import json
import pickle

import msgspec
import pytest

from electronhub_embeddings._config.account import Account
from electronhub_embeddings._config.options import Options
from electronhub_embeddings._config.secret import Secret, redact

CANARY = "ek-canary-0123456789"


@pytest.mark.parametrize("show", [repr, str, format, ascii, "{!r:>50}".format, "%s".__mod__, lambda s: f"{s}"])
@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: [s], lambda s: Account("https://x", s)])
def test_a_key_shows_nowhere(show, wrap):
    """No printed form of a key or its container contains the key."""
    assert CANARY not in show(wrap(Secret(CANARY)))


@pytest.mark.parametrize("write", [json.dumps, msgspec.json.encode])
def test_a_key_does_not_become_json(write):
    """No serialiser finds the key."""
    with pytest.raises(TypeError) as caught:
        write(Secret(CANARY))
    assert CANARY not in str(caught.value)


def test_a_key_is_in_no_dict():
    """A debugger that lists variables lists none."""
    assert not hasattr(Secret(CANARY), "__dict__")


@pytest.mark.parametrize("twin", [copy.copy, copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])  # noqa: S301 - our own bytes
def test_a_key_travels_to_worker_processes(twin):
    """Copies and pickles of an account work, and are the same account."""
    account = Options(api_key=CANARY).account
    assert account == twin(account)
    assert hash(account) == hash(twin(account))
    assert twin(account).api_key.reveal() == CANARY


def test_a_key_that_is_quoted_is_removed():
    """A key quoted in an error is redacted everywhere."""
    body = {"error": [f"key {CANARY} is wrong", 7, None], CANARY: f"{CANARY}{CANARY}"}
    hidden = {"error": ["key ********** is wrong", 7, None], "**********": "********************"}
    assert redact(body, (CANARY,)) == hidden
