"""The caller's texts: validated, prefixed, measured and de-duplicated."""

from io import StringIO
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from electronhub_embeddings._codec.text_preparation import check_query, prepare_texts
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


class Document:
    """Like a document of LangChain."""

    page_content = "a text"


class Node:
    """Like a node of LlamaIndex."""

    def get_content(self):
        """Return the text."""
        return "a text"


NO_TEXTS = [
    (None, "None", "Leave it out."),
    (float("nan"), "float", "Leave it out."),
    (0.5, "float", "Pass str(text)."),
    (5, "int", "Pass str(text)."),
    (b"a", "bytes", "Pass text.decode()."),
    (bytearray(b"a"), "bytearray", "Pass text.decode()."),
    ({"a": 1}, "dict", "Pass the text that it holds."),
    (Document(), "Document", "Pass its .page_content."),
    (Node(), "Node", "Pass its .get_content()."),
]


@pytest.mark.parametrize(
    ("wrong", "name", "step"), [*NO_TEXTS, (["a"], "list", "Pass its items, each of them a string.")]
)
def test_what_is_no_text_is_refused_with_its_place(wrong, name, step):
    """The error says which input, what it is and what to pass; nothing is turned into a string."""
    with pytest.raises(InputError) as caught:
        prepare_texts(["a", "a", wrong, ""])
    assert (caught.value.message, caught.value.index) == (f"A text must be a string, not {name}.", 2)
    assert str(caught.value) == f"A text must be a string, not {name} (your input 2). {step}"


@pytest.mark.parametrize(
    ("wrong", "name", "step"), [*NO_TEXTS, (["a"], "list", "Lists are for the methods that embed documents.")]
)
def test_what_is_no_query_is_refused(wrong, name, step):
    """A query has no place in a list."""
    with pytest.raises(InputError) as caught:
        check_query(wrong)
    assert str(caught.value) == f"A query must be a string, not {name}. {step}"


def test_a_query_is_any_string():
    """Of a subclass, too."""
    check_query("")
    check_query(type("Loud", (str,), {})("a"))


def test_an_empty_text_is_refused_with_its_place():
    """An empty text is rejected, because the service would refuse the whole request."""
    with pytest.raises(InputError) as caught:
        prepare_texts(["a", "a", ""], "prefix: ")
    assert (caught.value.message, caught.value.index) == ("A text is empty, which the service refuses.", 2)
    assert caught.value.next_step == "Leave it out."


@pytest.mark.parametrize("number", [0xD800, 0xDC80, 0xDFFF])
def test_half_a_surrogate_pair_is_refused_with_its_place(number):
    """For a text that is not valid UTF-8, the error names input and character, and the suggested repair works."""
    text = f"ab{chr(number)}"
    with pytest.raises(InputError) as caught:
        prepare_texts(["a", "a", text])
    assert caught.value.index == 2
    assert caught.value.message == (
        f"Character 2 is {chr(number)!r}, half of a surrogate pair, and cannot be encoded as UTF-8."
    )
    assert caught.value.next_step == (
        "text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace') repairs such a text."
    )
    prepare_texts([text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")])


def test_a_prefix_that_cannot_be_sent_is_refused():
    """The error names no input."""
    with pytest.raises(InputError) as caught:
        prepare_texts(["a"], "\ud800")
    assert caught.value.index is None


class Frame:
    """Like a data frame of pandas, which iterates over the names of its columns."""

    columns = ("name", "text")

    def __iter__(self):
        return iter(self.columns)


async def later():
    """Yield a text, later."""
    yield "a"


class Future:
    """Like the result of an async call that was not awaited."""

    def __await__(self):
        yield


NO_LISTS = [
    ("text", "str", "Pass [text]."),
    ("", "str", "Pass [text]."),
    (b"text", "bytes", "Pass [text.decode()]."),
    (bytearray(b"text"), "bytearray", "Pass [text.decode()]."),
    ({"id": "text"}, "dict", "Pass list(texts.values()), or list(texts) for its keys."),
    (MappingProxyType({}), "mappingproxy", "Pass list(texts.values()), or list(texts) for its keys."),
    ({"a", "b"}, "set", "Pass a list of it, whose order says which vector belongs to which text."),
    (frozenset("ab"), "frozenset", "Pass a list of it, whose order says which vector belongs to which text."),
    (Frame(), "Frame", "Pass one of its columns."),
    (later(), "async_generator", "Only aiter_embed takes it."),
    (Future(), "Future", "Await it first."),
    (None, "None", "Pass [text], or [] for no texts."),
    (5, "int", "Pass [text], or [] for no texts."),
    (np.array("text"), "ndarray", "Pass [text], or [] for no texts."),
]


@pytest.mark.parametrize(("texts", "name", "step"), NO_LISTS)
def test_what_is_no_list_of_texts_is_refused(texts, name, step):
    """What would be embedded letter by letter, key by key or column by column is rejected, with what to pass."""
    with pytest.raises(InputError) as caught:
        prepare_texts(texts)
    assert str(caught.value) == f"texts must be an iterable of strings, such as a list, not {name}. {step}"
    assert caught.value.index is None


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
