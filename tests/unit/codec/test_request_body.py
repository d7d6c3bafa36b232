"""The body of a request: what was asked, to the byte, and nothing else."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from electronhub_embeddings._codec.request_body import write_request
from support.unusual_characters import CHARACTERS

NASTY = "a\nb\tc\r\nd  \0 \x7f \N{BOM}\U0001f600\N{WOMAN}\N{ZERO WIDTH JOINER}\N{GIRL} e\N{COMBINING ACUTE ACCENT}"


@given(st.lists(st.text(CHARACTERS, min_size=1), min_size=1, max_size=4))
@example([NASTY, " ", "\n"])
def test_texts_travel_to_the_byte(texts):
    """Texts are sent unchanged, including newlines, tabs, emoji and spaces, and one text is sent as a list."""
    assert texts == json.loads(write_request(texts, model="m", encoding_format="base64"))["input"]


def test_a_body_is_utf_8():
    """Characters are sent as UTF-8, not as escapes."""
    assert NASTY.encode()[-10:] in write_request([NASTY], model="m", encoding_format=None)


@pytest.mark.parametrize(
    "asked",
    [
        {"encoding_format": "base64"},
        {"encoding_format": "float"},
        {"encoding_format": None},
        {"encoding_format": "base64", "dimensions": 256},
        {"encoding_format": "base64", "user": "u-1"},
        {"encoding_format": "float", "dimensions": 1, "user": ""},
    ],
)
def test_no_field_is_sent_that_was_not_asked_for(asked):
    """The body contains only the model, the texts, and the options that were set."""
    expected = {"model": "m", "input": ["a"], **{name: value for name, value in asked.items() if value is not None}}
    assert expected == json.loads(write_request(["a"], model="m", **asked))
