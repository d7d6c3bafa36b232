"""Which texts are refused before anything is sent, and what the errors say."""

from types import MappingProxyType

import numpy as np
import pytest

from electronhub_embeddings._codec.distinct_texts import prepare_texts
from electronhub_embeddings._codec.text_checks import check_query
from electronhub_embeddings.errors import InputError


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
