"""The options: declared once, checked by name, resolved from the environment."""

import inspect
import os

import pytest

from electronhub_embeddings import EmbeddingsClient
from electronhub_embeddings._config.account import Account
from electronhub_embeddings._config.options import DECLARED, Options
from electronhub_embeddings._config.secret import Secret
from support.class_docstrings import arguments

CANARY = "ek-canary-0123456789"


def account(api_key, base_url):
    """Resolve a key and a URL."""
    return Options(api_key=api_key, base_url=base_url).account


def config(options):
    """Make the configuration of requests."""
    return Options(api_key="ek-test", **options).request_config


# Declared once.


def test_the_client_takes_what_is_declared():
    """The signature has the declared names and defaults, in this order; the model alone may be positional."""
    parameters = inspect.signature(EmbeddingsClient).parameters
    assert {name: it.default for name, it in parameters.items()} == {name: it.default for name, it in DECLARED.items()}
    assert list(parameters) == list(DECLARED)
    keyword_only = [name for name, it in parameters.items() if it.kind is inspect.Parameter.KEYWORD_ONLY]
    assert keyword_only == list(DECLARED)[1:]


def test_the_client_describes_what_is_declared():
    """The docstring, which editors and the site show, has each option once, in the words of its declaration."""
    assert arguments(EmbeddingsClient) == [(name, it.metadata["description"]) for name, it in DECLARED.items()]


def test_each_option_is_described_in_sentences():
    """Every option has a description."""
    assert [name for name, it in DECLARED.items() if not it.metadata["description"].endswith(".")] == []


def test_options_do_not_show_what_is_confidential():
    """The repr contains neither the key nor any value that may contain a password."""
    options = Options(
        api_key=CANARY,
        default_headers={"X-Token": CANARY},
        cache=f"{CANARY}.db",
        rate_limit_store=f"redis://:{CANARY}@localhost",
    )
    assert CANARY not in repr(options)
    assert CANARY not in repr(vars(options)["api_key"])


# Checked and resolved.


def test_two_keys_are_two_accounts():
    """Requests are counted separately for each key."""
    assert account("ek-a", None) != account("ek-b", None)
    assert Secret("ek-a") != "ek-a"


def test_arguments_win_over_the_environment(monkeypatch):
    """Arguments take precedence over the environment, and the environment over the defaults."""
    assert account("ek-a", None) == Account("https://api.electronhub.ai/v1", Secret("ek-a"))
    monkeypatch.setenv("ELECTRONHUB_API_KEY", "ek-env")
    monkeypatch.setenv("ELECTRONHUB_BASE_URL", "https://env.example/v1")
    assert account(None, None) == Account("https://env.example/v1", Secret("ek-env"))
    assert account("", "") == Account("https://env.example/v1", Secret("ek-env"))
    assert account("ek-a", "https://a.example") == Account("https://a.example", Secret("ek-a"))


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
    """OPENAI_API_KEY and OPENAI_BASE_URL belong to another service and are ignored."""
    watched = Watched({"OPENAI_API_KEY": CANARY, "OPENAI_BASE_URL": "https://openai.example", "OPENAI_API_BASE": "x"})
    monkeypatch.setattr(os, "environ", watched)
    with pytest.raises(ValueError, match="ELECTRONHUB_API_KEY") as caught:
        account(None, None)
    assert CANARY not in str(caught.value)
    assert account("ek-a", None).base_url == "https://api.electronhub.ai/v1"
    assert {"ELECTRONHUB_API_KEY", "ELECTRONHUB_BASE_URL"} == watched.read


@pytest.mark.parametrize("junk", ["\n", " ", "\t", "\r", "\0", "é", "\N{ZERO WIDTH SPACE}"])
@pytest.mark.parametrize("place", ["{0}{1}", "{1}{0}"])
def test_a_key_that_cannot_stand_in_a_header_is_refused(junk, place):
    """A key with a newline is rejected before it is sent, and not quoted."""
    key = place.format(CANARY, junk)
    with pytest.raises(ValueError, match="api_key") as caught:
        account(key, None)
    assert CANARY not in str(caught.value)


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
    """The message names the argument."""
    with pytest.raises(ValueError, match=name):
        config({name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dimensions", 1),
        ("encoding_format", "float"),
        ("batch_size", 1),
        ("batch_size", 2047),
        ("max_retries", 0),
        ("timeout", 0.001),
        ("timeout", 5),
        ("requests_per_minute", 1),
        ("max_concurrency", 1),
    ],
)
def test_the_edges_of_the_ranges_are_allowed(name, value):
    """The smallest and the largest value of each argument are accepted."""
    assert config({}) != config({name: value})


def test_changed_options_are_a_checked_copy():
    """Some options have other values, and all others stay; the original is left as it is."""
    options = Options(api_key="ek-test", dimensions=8, rate_limit_store="memory")
    changed = options.changed(max_retries=0, dimensions=None)
    assert (changed.max_retries, changed.dimensions) == (0, None)
    assert (options.max_retries, options.dimensions) == (6, 8)
    same = [name for name in DECLARED if name not in {"max_retries", "dimensions"}]
    assert [name for name in same if getattr(changed, name) is not getattr(options, name)] == []
    with pytest.raises(ValueError, match="max_retries must be"):
        options.changed(max_retries=-1)
