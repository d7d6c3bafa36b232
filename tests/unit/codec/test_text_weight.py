"""The weight of texts: about their tokens."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from electronhub_embeddings._codec.text_weight import CLASSES, TOKENS, classes_of_bytes, weigh

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)

KNOWN = [
    ("The quick brown fox jumps over the lazy dog.", 10),
    ("def total(prices: list[float]) -> float:\n    return sum(prices)\n", 17),
    ('{"id": 1234567, "name": "Ada", "tags": ["first", "second"]}', 23),
    ("Der Wind weht, und die Kinder spielen mit dem Drachen auf dem Feld.", 17),
    ("Кошка спит на окне, а собака лежит у двери.", 23),  # noqa: RUF001 - Russian
    ("漢字は表語文字である。", 12),
]
"""Texts, and their tokens in cl100k_base."""


@pytest.mark.parametrize(("text", "tokens"), KNOWN)
def test_it_is_about_the_number_of_tokens(text, tokens):
    """For a short text within a third; the sum over many is closer."""
    assert weigh([text]) == pytest.approx(tokens, rel=0.34)


@given(st.lists(TEXTS))
def test_texts_weigh_as_much_together_as_alone(texts):
    """What a text weighs does not depend on its neighbours, and is a token at least for all in common."""
    alone = sum(_sum_of_pairs(text) for text in texts)
    assert weigh(texts) == pytest.approx(max(alone, len(texts)), rel=1e-4, abs=1e-3)


def test_no_texts_weigh_nothing():
    """As after a call whose texts were all in the cache."""
    assert weigh([]) == 0.0


def test_every_byte_has_one_class():
    """No byte is in two, and the table has a row and a column for each class."""
    members = b"".join(CLASSES.values())
    assert len(members) == len(set(members))
    assert [*map(len, TOKENS)] == [len(CLASSES)] * len(CLASSES)


def _sum_of_pairs(text):
    classes, data = classes_of_bytes(), b"\0" + text.encode()
    return sum(TOKENS[classes[before]][classes[at]] for before, at in pairwise(data))
