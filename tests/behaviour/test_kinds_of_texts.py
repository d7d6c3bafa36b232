"""What is no list of texts is refused by every entry point before anything is sent, and what is one is embedded."""

import asyncio
from io import StringIO

import numpy as np
import pytest

from electronhub_embeddings import InputError
from support.entry_points import expected_vectors, same


class Frame:
    """Like a data frame of pandas, which iterates over the names of its columns."""

    columns = ("name", "text")

    def __iter__(self):
        return iter(self.columns)


NO_LISTS = {
    "None": (None, r"not None. Pass \[text\]"),
    "a string": ("text", r"not str. Pass \[text\]"),
    "bytes": (b"text", r"not bytes. Pass \[text.decode\(\)\]"),
    "a mapping": ({"id": "text"}, r"not dict. Pass list\(texts.values\(\)\)"),
    "a set": ({"text"}, "not set. Pass a list"),
    "a data frame": (Frame(), "not Frame. Pass one of its columns"),
    "a number": (5, "not int"),
    "a missing text": (["text", None], r"not None \(your input 1\). Leave it out"),
    "bytes among texts": (["text", b"text"], r"not bytes \(your input 1\). Pass text.decode"),
    "a list of lists": ([["text"]], r"not list \(your input 0\). Pass its items"),
}


@pytest.mark.parametrize(("texts", "words"), NO_LISTS.values(), ids=NO_LISTS)
def test_what_is_no_list_of_texts_is_refused(entry_point, emulator, texts, words):
    """The error is one of the input, says what to pass, and costs nothing."""
    service = emulator(rpm=0)
    model = entry_point.make(service)
    with pytest.raises(InputError, match=words):
        entry_point.embed(model, texts)
    with pytest.raises(InputError, match=words):
        entry_point.estimate(model, texts)
    assert service.calls == []


@pytest.mark.parametrize(("query", "words"), [(None, "not None"), (["a"], "not list. Lists are for"), (b"a", "decode")])
def test_what_is_no_query_is_refused(entry_point, emulator, query, words):
    """A list is none."""
    service = emulator(rpm=0)
    with pytest.raises(InputError, match=f"^A query must be a string, .*{words}"):
        entry_point.query(entry_point.make(service), query)
    assert service.calls == []


@pytest.mark.parametrize(
    "make",
    [iter, tuple, np.array, lambda texts: map(str, texts), lambda texts: StringIO("".join(texts))],
    ids=["generator", "tuple", "array", "map", "file"],
)
def test_any_iterable_of_texts_is_embedded(entry_point, emulator, make):
    """A generator, `map` or open file is read once."""
    service, texts = emulator(rpm=0), ["one\n", "two\n"]
    rows = entry_point.embed(entry_point.make(service, dimensions=8), make(texts))
    assert same(rows, expected_vectors(service, texts, 8))


@pytest.mark.parametrize(("texts", "words"), NO_LISTS.values(), ids=NO_LISTS)
def test_a_stream_refuses_the_same(emulator, client, texts, words):
    """At the first vector."""
    service = emulator(rpm=0)

    async def first(vectors):
        return await anext(vectors)

    with pytest.raises(InputError, match=words):
        next(client(service).iter_embed(texts))
    with pytest.raises(InputError, match=words):
        asyncio.run(first(client(service).aiter_embed(texts)))
    assert service.calls == []


@pytest.mark.parametrize(
    "options", [{"max_wait": "2"}, {"max_wait": True}, {"timeout": "2"}, {"timeout": True}, {"timeout": 0}]
)
def test_a_call_refuses_bounds_that_cannot_be_meant(emulator, client, options):
    """As the constructor does."""
    service = emulator(rpm=0)
    asking = client(service)
    (name,) = options
    for ask in (
        lambda: asking.embed(["text"], **options),
        lambda: asking.embed_query("text", **options),
        lambda: asyncio.run(asking.aembed(["text"], **options)),
        lambda: asyncio.run(asking.aembed_query("text", **options)),
        lambda: next(asking.iter_embed(["text"], **options)),
    ):
        with pytest.raises(ValueError, match=f"^{name} must be"):
            ask()
    assert service.calls == []
