"""The emulator's token count."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from electronhub_embeddings.emulator.tokens import count_tokens

ENGLISH = "The quick brown fox jumps over the lazy dog. It was a bright cold day in April, and the clocks struck."


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
def test_known_counts(text, tokens):
    """Words, digits, blanks and CJK count as the module says."""
    assert count_tokens(text) == tokens


def test_english_has_about_four_characters_a_token():
    """Ordinary prose lies between three and a half and five."""
    assert 3.5 < len(ENGLISH) / count_tokens(ENGLISH) < 5.0


@given(st.text(min_size=1))
def test_between_one_and_the_bytes(text):
    """No text has less than one token or more tokens than UTF-8 bytes."""
    assert 1 <= count_tokens(text) <= len(text.encode())
