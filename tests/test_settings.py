"""The arguments: resolved from the environment, checked by name, and the key shown to nobody."""

import copy
import json
import os
import pickle
from types import MappingProxyType

import msgspec
import pytest

from electronhub_embeddings.settings import Account, Recipe, Secret, freeze_headers

CANARY = "ek-canary-0123456789"
RECIPE = MappingProxyType(
    {
        "model": "m",
        "dimensions": None,
        "user": None,
        "encoding_format": "base64",
        "batch_size": 100,
        "max_retries": 6,
        "timeout": 60.0,
        "requests_per_minute": None,
        "max_concurrency": 8,
        "default_headers": (),
        "http_client": None,
    }
)


@pytest.mark.parametrize("show", [repr, str, format, ascii, "{!r:>50}".format, "%s".__mod__, lambda s: f"{s}"])
@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: [s], lambda s: Account("https://x", s)])
def test_a_key_shows_nowhere(show, wrap):
    """No way to print a key, or what holds it, has the key in it."""
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
    account = Account.resolve(CANARY, None)
    assert account == twin(account)
    assert hash(account) == hash(twin(account))
    assert twin(account).api_key.reveal() == CANARY


def test_two_keys_are_two_accounts():
    """Requests are counted for each key apart."""
    assert Account.resolve("ek-a", None) != Account.resolve("ek-b", None)
    assert Secret("ek-a") != "ek-a"


def test_a_key_that_is_quoted_is_removed():
    """A refusal that repeats the key loses it, wherever it stands."""
    body = {"error": [f"key {CANARY} is wrong", 7, None], CANARY: f"{CANARY}{CANARY}"}
    hidden = {"error": ["key ********** is wrong", 7, None], "**********": "********************"}
    assert Secret(CANARY).hide_in(body) == hidden


def test_arguments_win_over_the_environment(monkeypatch):
    """What is passed counts; what is not comes from the environment, then from the default."""
    assert Account.resolve("ek-a", None) == Account("https://api.electronhub.ai/v1", Secret("ek-a"))
    monkeypatch.setenv("ELECTRONHUB_API_KEY", "ek-env")
    monkeypatch.setenv("ELECTRONHUB_BASE_URL", "https://env.example/v1")
    assert Account.resolve(None, None) == Account("https://env.example/v1", Secret("ek-env"))
    assert Account.resolve("", "") == Account("https://env.example/v1", Secret("ek-env"))
    assert Account.resolve("ek-a", "https://a.example") == Account("https://a.example", Secret("ek-a"))


class Watched(dict):
    """An environment that notes which variables are read."""

    def __init__(self, values):
        super().__init__(values)
        self.read = set()

    def get(self, name, default=None):
        """Read a variable."""
        self.read.add(name)
        return super().get(name, default)

    def __getitem__(self, name):
        self.read.add(name)
        return super().__getitem__(name)


def test_no_other_variable_is_ever_read(monkeypatch):
    """OPENAI_API_KEY and OPENAI_BASE_URL are another service's; without a key of this one there is none."""
    watched = Watched({"OPENAI_API_KEY": CANARY, "OPENAI_BASE_URL": "https://openai.example", "OPENAI_API_BASE": "x"})
    monkeypatch.setattr(os, "environ", watched)
    with pytest.raises(ValueError, match="ELECTRONHUB_API_KEY") as caught:
        Account.resolve(None, None)
    assert CANARY not in str(caught.value)
    assert Account.resolve("ek-a", None).base_url == "https://api.electronhub.ai/v1"
    assert {"ELECTRONHUB_API_KEY", "ELECTRONHUB_BASE_URL"} == watched.read


@pytest.mark.parametrize("junk", ["\n", " ", "\t", "\r", "\0", "é", "\N{ZERO WIDTH SPACE}"])
@pytest.mark.parametrize("place", ["{0}{1}", "{1}{0}"])
def test_a_key_that_cannot_stand_in_a_header_is_refused(junk, place):
    """A key that was copied with a newline is found before it is sent, and not quoted."""
    key = place.format(CANARY, junk)
    with pytest.raises(ValueError, match="api_key") as caught:
        Account.resolve(key, None)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://a.example/v1", "https://a.example/v1"),
        ("https://a.example/v1/", "https://a.example/v1"),
        ("https://a.example:8443/v1//", "https://a.example:8443/v1"),
        ("HTTPS://a.example", "HTTPS://a.example"),
        ("http://localhost:8787/v1", "http://localhost:8787/v1"),
        ("http://127.0.0.1:8787", "http://127.0.0.1:8787"),
        ("http://[::1]:8787", "http://[::1]:8787"),
    ],
)
def test_good_urls(url, kept):
    """Use https anywhere, http on loopback; slashes at the end are cut off."""
    assert kept == Account.resolve("ek-a", url).base_url


@pytest.mark.parametrize(
    "url",
    [
        "http://a.example/v1",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "http://[::1].evil.example",
        "http://[::1]evil.example/v1",
        "http://localhost:80:80",
        "http://0.0.0.0:8787",
        "ftp://a.example",
        "a.example/v1",
        "//a.example",
        "https://",
        "https:///v1",
        "/v1",
        "https://user@a.example",
        "https://user:word@a.example",
        "https://a.example?x=1",
        "https://a.example/v1#top",
    ],
)
def test_urls_that_would_betray_or_mislead_the_key_are_refused(url):
    """A key never travels in the clear, and to no host that is hidden behind a user name."""
    with pytest.raises(ValueError, match="base_url") as caught:
        Account.resolve(CANARY, url)
    assert "word" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", ""),
        ("model", None),
        ("model", 5),
        ("dimensions", 0),
        ("dimensions", -1),
        ("dimensions", 1.5),
        ("dimensions", True),
        ("dimensions", "256"),
        ("encoding_format", "hex"),
        ("encoding_format", None),
        ("encoding_format", ""),
        ("batch_size", 0),
        ("batch_size", 2049),
        ("batch_size", None),
        ("batch_size", 1.0),
        ("max_retries", -1),
        ("max_retries", None),
        ("max_retries", True),
        ("timeout", 0),
        ("timeout", -1.0),
        ("timeout", float("nan")),
        ("timeout", float("inf")),
        ("timeout", None),
        ("timeout", "60"),
        ("requests_per_minute", 0),
        ("requests_per_minute", 2.5),
        ("max_concurrency", 0),
        ("max_concurrency", None),
        ("max_concurrency", float("inf")),
    ],
)
def test_an_argument_out_of_range_is_refused_by_name(name, value):
    """The message names the argument, so that a wrong setting is found where it was made."""
    with pytest.raises(ValueError, match=name):
        Recipe(**{**RECIPE, name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dimensions", 1),
        ("encoding_format", "float"),
        ("batch_size", 1),
        ("batch_size", 2048),
        ("max_retries", 0),
        ("timeout", 0.001),
        ("timeout", 5),
        ("requests_per_minute", 1),
        ("max_concurrency", 1),
    ],
)
def test_the_edges_of_the_ranges_are_allowed(name, value):
    """The smallest and the largest value of each argument make a recipe of their own."""
    assert Recipe(**RECIPE) != Recipe(**{**RECIPE, name: value})


def test_equal_recipes_travel_together():
    """Two clients made alike share their requests: headers in another order and case are the same."""
    one, two = freeze_headers({"X-A": "1", "x-b": "2"}), freeze_headers({"X-B": "2", "x-a": "1"})
    assert Recipe(**{**RECIPE, "default_headers": one}) == Recipe(**{**RECIPE, "default_headers": two})
    assert len({Recipe(**{**RECIPE, "default_headers": headers}) for headers in (one, two)}) == 1


@pytest.mark.parametrize("headers", [None, {}])
def test_no_headers_are_no_headers(headers):
    """None and an empty mapping mean the same."""
    assert freeze_headers(headers) == ()


@pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION"])
def test_the_key_has_its_own_way(name):
    """A key among the headers would be shown by whoever shows headers."""
    with pytest.raises(ValueError, match="api_key") as caught:
        freeze_headers({name: f"Bearer {CANARY}"})
    assert CANARY not in str(caught.value)


def test_headers_do_not_show():
    """A header can hold a secret as well."""
    assert CANARY not in repr(Recipe(**{**RECIPE, "default_headers": freeze_headers({"X-Token": CANARY})}))
