"""The caller's texts: validated, prefixed, measured and de-duplicated."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from electronhub_embeddings._codec.text_preparation import prepare_texts
from electronhub_embeddings.errors import InputError
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
    ("wrong", "name"),
    [(None, "None"), (5, "int"), (b"a", "bytes"), (["a"], "list"), (float("nan"), "float"), ({"a": 1}, "dict")],
)
def test_what_is_no_text_is_refused_with_its_place(wrong, name):
    """The error says which input and what it is; nothing is turned into a string."""
    with pytest.raises(InputError) as caught:
        prepare_texts(["a", "a", wrong, ""])
    assert (caught.value.message, caught.value.index) == (f"A text must be a string, not {name}.", 2)


def test_an_empty_text_is_refused_with_its_place():
    """An empty text is rejected, because the service would refuse the whole request."""
    with pytest.raises(InputError) as caught:
        prepare_texts(["a", "a", ""], "prefix: ")
    message = "A text must not be empty: the service refuses the whole request for it."
    assert (caught.value.message, caught.value.index) == (message, 2)


@pytest.mark.parametrize("number", [0xD800, 0xDC80, 0xDFFF])
def test_half_a_surrogate_pair_is_refused_with_its_place(number):
    """For a text that is not valid UTF-8, the error names input and character, and the suggested repair works."""
    text = f"ab{chr(number)}"
    with pytest.raises(InputError) as caught:
        prepare_texts(["a", "a", text])
    assert caught.value.index == 2
    assert caught.value.message == (
        f"Character 2 is {chr(number)!r}, half of a surrogate pair, and cannot be encoded as UTF-8; "
        "text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace') repairs such a text."
    )
    prepare_texts([text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")])


def test_a_prefix_that_cannot_be_sent_is_refused():
    """The error names no input."""
    with pytest.raises(InputError) as caught:
        prepare_texts(["a"], "\ud800")
    assert caught.value.index is None


@pytest.mark.parametrize("texts", ["text", b"text", ""])
def test_one_text_is_no_list(texts):
    """A string in place of a list is rejected, because it would be embedded letter by letter."""
    with pytest.raises(InputError) as caught:
        prepare_texts(texts)
    assert str(caught.value) == "texts must be a list of strings, not one string: embed_query is for one text."


def test_no_texts():
    """An empty list is valid."""
    inputs = prepare_texts([])
    assert (len(inputs), list(inputs.texts), list(inputs.ends), inputs.places) == (0, [], [], None)
