"""Errors say what to do next, in every entry point."""

import pytest

from electronhub_embeddings import (
    AuthenticationError,
    BadRequestError,
    CacheError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
)
from support.recording_server import Answer


@pytest.fixture
def told(entry_point):
    """Return a function that embeds texts with options, and returns what the error says."""

    def tell(service, expected, texts=("a text",), **options):
        with pytest.raises(expected) as caught:
            entry_point.embed(entry_point.make(service, **options), list(texts))
        return str(caught.value)

    return tell


def test_a_text_is_too_long(told, emulator):
    """The error names the text, its length and the longest one possible, where the service tells."""
    service = emulator(rpm=0, max_input_tokens=5, names_offender=False)
    said = told(service, BadRequestError, ["a text", "word " * 10])
    assert said.endswith("(your input 1). Split the text: it has 10 tokens, and at most 5 are possible.")


def test_a_coding_plan_key(told, emulator):
    """The wrong kind of key is named, and the key itself is not."""
    said = told(emulator(rpm=0), PermissionDeniedError, api_key="ek-dev-canary")
    assert said.endswith(
        "This is a key of the coding plan, which cannot do embeddings. Use another key of the account."
    )
    assert "canary" not in said


def test_a_key_of_another_service(told, emulator):
    """What keys look like."""
    said = told(emulator(rpm=0), AuthenticationError, api_key="sk-canary")
    assert said.endswith("Keys of Electron Hub begin with ek-, and this one does not.")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(404, body=b"Not Found"), NotFoundError),
        (Answer(200, {"content-type": "text/html"}, b"<!doctype html>\n<title>Welcome</title>"), InvalidResponseError),
    ],
    ids=["404", "a web page"],
)
@pytest.mark.usefixtures("quick_retries")
def test_a_base_url_without_its_path(told, recording_server, answer, expected):
    """The path that is missing is named."""
    server = recording_server(lambda _: answer)
    said = told(server, expected, base_url=server.base_url.removesuffix("/v1"), max_retries=0)
    assert said.endswith("does not end with /v1: it should look like https://api.electronhub.ai/v1.")


def test_a_cache_in_a_folder_that_does_not_exist(told, emulator, tmp_path):
    """Nothing is sent, and no folder is made for a name that was perhaps misspelt."""
    service, folder = emulator(rpm=0), tmp_path / "nowhere"
    said = told(service, CacheError, cache=folder / "vectors.sqlite")
    assert said.endswith(f"there is no folder {folder}. Make the folder, or name a file in another one.")
    assert (service.calls, folder.exists()) == ([], False)


def test_a_wait_longer_than_max_wait(told, emulator, entry_point):
    """The error speaks of the wait, not of a 429 that never came."""
    service = emulator(rpm=1)
    entry_point.embed(entry_point.make(service, rate_limit_store="memory"), ["the only one in this minute"])
    said = told(service, RateLimitError, rate_limit_store="memory", max_wait=2)
    assert said.startswith("The call would have to wait for ")
    assert "longer than its max_wait of 2 s. Try again in " in said
    assert said.endswith(" s, or allow a longer max_wait.")
