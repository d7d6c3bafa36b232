"""The caller's texts: validated, prefixed, measured and de-duplicated."""

from io import StringIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from electronhub_embeddings._codec.distinct_texts import prepare_texts
from support.unusual_characters import CHARACTERS

TEXTS = st.text(CHARACTERS, min_size=1, max_size=5)
LISTS = st.lists(TEXTS | st.sampled_from("ab"), max_size=8)
PREFIXES = st.text(CHARACTERS, max_size=3)


@given(LISTS, PREFIXES)
def test_every_input_finds_its_text(texts, prefix):
    """`places` maps each input to its own text, which has the prefix and is otherwise unchanged."""
    inputs = prepare_texts(texts, prefix)
    places = range(len(texts)) if inputs.places is None else inputs.places
    assert [prefix + text for text in texts] == [inputs.texts[place] for place in places]
    assert len(texts) == len(inputs)


@given(LISTS, PREFIXES)
def test_every_text_travels_once_in_order_of_appearance(texts, prefix):
    """Equal texts are sent once; without duplicates, there is no `places` table."""
    inputs = prepare_texts(texts, prefix)
    assert [prefix + text for text in dict.fromkeys(texts)] == list(inputs.texts)
    assert (inputs.places is None) == (len(set(texts)) == len(texts))


@given(LISTS, PREFIXES)
def test_sizes_are_bytes_on_the_wire(texts, prefix):
    """The running total counts UTF-8 bytes, including the prefix."""
    inputs = prepare_texts(texts, prefix)
    sizes = [len(text.encode()) for text in inputs.texts]
    assert [sum(sizes[: i + 1]) for i in range(len(sizes))] == list(inputs.ends)


@given(LISTS)
def test_the_first_input_of_a_text(texts):
    """A position among the distinct texts maps to the caller's first occurrence."""
    inputs = prepare_texts(texts)
    assert [texts.index(text) for text in inputs.texts] == [inputs.first_input(i) for i in range(len(inputs.texts))]


@given(LISTS, st.data())
def test_texts_in_another_order(texts, data):
    """After reordering, each input still maps to its text, and each text to its size."""
    inputs = prepare_texts(texts)
    order = data.draw(st.permutations(range(len(inputs.texts))))
    moved = inputs.reordered(order)
    assert [inputs.texts[position] for position in order] == list(moved.texts)
    assert texts == [moved.texts[place] for place in moved.places]
    sizes = [len(text.encode()) for text in moved.texts]
    assert [sum(sizes[: i + 1]) for i in range(len(sizes))] == list(moved.ends)


def test_any_iterable_is_read_once():
    """A generator works like a list."""
    inputs = prepare_texts(text for text in ["a", "b", "a"])
    assert (list(inputs.texts), list(inputs.places)) == (["a", "b"], [0, 1, 0])


@pytest.mark.parametrize("text", [" ", "\n", "\t", "\0", "\r\n", " a ", "\U0001f600", "\N{BOM}"])
def test_blanks_are_texts(text):
    """Only the empty string is rejected; nothing is stripped."""
    assert [text] == list(prepare_texts([text]).texts)


def test_texts_that_only_look_equal_are_two():
    """There is no Unicode normalisation: texts with different bytes are different texts."""
    assert len(prepare_texts(["é", "e\N{COMBINING ACUTE ACCENT}", "É", "é "]).texts) == 4


@pytest.mark.parametrize("prefix", ["", "query: "])
def test_a_subclass_of_str_travels_as_its_text(prefix):
    """A subclass of str is sent as its plain value."""

    class Loud(str):
        __slots__ = ()

        def __radd__(self, other):
            return "LOUD"

        def __add__(self, other):
            return "LOUD"

        def __str__(self):
            return "LOUD"

    (text,) = prepare_texts([Loud("a")], prefix).texts
    assert (str, f"{prefix}a") == (type(text), text)


@pytest.mark.parametrize(
    "make",
    [list, tuple, iter, dict.fromkeys, np.array, lambda texts: map(str, texts), lambda texts: StringIO("".join(texts))],
)
def test_any_iterable_in_an_order_is_a_list_of_texts(make):
    """Keys of a dict have an order, lines of a file as well; an array of strings is one of texts."""
    texts = make(["a\n", "b\n"])
    assert list(prepare_texts(texts.keys() if isinstance(texts, dict) else texts).texts) == ["a\n", "b\n"]


def test_no_texts():
    """An empty list is valid."""
    inputs = prepare_texts([])
    assert (len(inputs), list(inputs.texts), list(inputs.ends), inputs.places) == (0, [], [], None)
