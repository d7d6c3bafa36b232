"""The emulator's token counts, and its encodings of vectors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from electronhub_embeddings.emulator._embeddings import count_tokens, decode_vector, encode_vector

ENGLISH = "The quick brown fox jumps over the lazy dog. It was a bright cold day in April, and the clocks struck."


@pytest.mark.parametrize("base64", [True, False])
def test_a_decoded_vector_is_the_one_that_was_encoded(base64):
    """Both encodings keep every bit, and a decoded vector can be changed."""
    vector = np.random.default_rng(0).standard_normal(1536).astype(np.float32)
    decoded = decode_vector(encode_vector(vector, base64=base64))
    np.testing.assert_array_equal(decoded, vector)
    decoded[0] = 0.0


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("a", 1),
        ("hello", 1),
        ("hello world", 2),
        ("internationalisation", 3),
        ("1234567", 3),
        (" ", 1),
        ("日本語", 3),
    ],
)
def test_known_token_counts(text, tokens):
    """Words, digits, spaces and CJK count as the module says."""
    assert count_tokens(text) == tokens


def test_english_has_about_four_characters_a_token():
    """Ordinary prose lies between three and a half and five."""
    assert 3.5 < len(ENGLISH) / count_tokens(ENGLISH) < 5.0


@given(st.text(min_size=1))
def test_tokens_are_between_one_and_the_bytes(text):
    """A text has at least one token and at most as many as UTF-8 bytes."""
    assert 1 <= count_tokens(text) <= len(text.encode())
