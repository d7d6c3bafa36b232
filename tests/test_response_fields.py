"""Extracting the fields of an answer without decoding its vectors gives the same result as the standard library."""

import base64
import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from electronhub_embeddings._codec import response_fields as outline
from electronhub_embeddings._codec.response_fields import MAX_GAP, MIN_CUT_LENGTH, UNREADABLE, read_fields

ONE, TWO = (
    base64.b64encode(struct.pack("<3f", *numbers) * MIN_CUT_LENGTH).decode() for numbers in ((1, 2, 3), (-4, 5e-3, 0))
)
LONG = "AAAA" * MIN_CUT_LENGTH


def rows(*vectors, **fields):
    """Return an answer with these vectors, before serialisation."""
    data = [{"object": "embedding", "embedding": vector, "index": i} for i, vector in enumerate(vectors)]
    return {"object": "list", "data": data, "usage": {"total_tokens": 3}, **fields}


def as_read(content):
    """Extract the fields of an answer, in a form that can be compared."""
    parts = read_fields(content)
    vectors = [json.loads(bytes(memoryview(vector))) for vector in parts.vectors]
    return parts.order, vectors, json.loads(bytes(memoryview(parts.usage)))


def as_meant(content):
    """Read an answer with the standard library."""
    body = json.loads(content)
    return [row["index"] for row in body["data"]], [row["embedding"] for row in body["data"]], body["usage"]


WAYS = {
    "compact": {"separators": (",", ":")},
    "spaced": {},
    "indented": {"indent": 4},
    "in alphabetical order": {"sort_keys": True},
    "spaced out": {"separators": (" , ", "\t:\n")},
}


@pytest.mark.parametrize("way", WAYS)
def test_vectors_are_not_looked_into(way, monkeypatch):
    """With any whitespace in the JSON, only the parts between the vectors are decoded."""
    monkeypatch.setattr(outline, "_decode_whole", None)
    content = json.dumps(rows(ONE, TWO), **WAYS[way]).encode()
    assert as_read(content) == as_meant(content)


@pytest.mark.parametrize("way", WAYS)
def test_short_vectors_are_not_cut_out(way, monkeypatch):
    """Short vectors are decoded together with the rest, which is faster."""
    monkeypatch.setattr(outline, "_decode_cut", None)
    content = json.dumps(rows("AAAA", "AAAB"), **WAYS[way]).encode()
    assert as_read(content) == as_meant(content)


@pytest.mark.parametrize("way", WAYS)
@given(st.lists(st.sampled_from([ONE, TWO, "", "AAAA", "\\", '"', "\n", "é", [1.5], [], "a\\"]), max_size=4))
def test_any_vectors_are_found(way, vectors):
    """Strings of all kinds and lists, in any mixture."""
    content = json.dumps(rows(*vectors), **WAYS[way]).encode()
    assert as_read(content) == as_meant(content)


ODD = {
    "a name that ends like the right one": rows(ONE) | {"data": [{'x"embedding': LONG, "embedding": ONE, "index": 0}]},
    "a name inside a text": rows(ONE, model=f'"embedding":"{LONG}"'),
    "one that is no vector's, before": {"x": {"embedding": LONG}, **rows(ONE)},
    "one that is no vector's, after": rows(ONE, x={"embedding": LONG}),
    "one in the usage": rows(ONE, usage={"embedding": LONG}),
    "one in a row": rows(ONE) | {"data": [{"x": {"embedding": LONG}, "embedding": ONE, "index": 0}]},
    "an empty one, and one in its row": rows() | {"data": [{"x": {"embedding": LONG}, "embedding": "", "index": 0}]},
    "far apart": rows(ONE, TWO) | {"data": [{"x": MAX_GAP * "x", **row} for row in rows(ONE, TWO)["data"]]},
    "far from the beginning": {"x": MAX_GAP * "x", **rows(ONE, TWO)},
    "far from the end": rows(ONE, TWO, x=MAX_GAP * "x"),
    "another order": rows(ONE, TWO) | {"data": rows(ONE, TWO)["data"][::-1]},
    "none": rows(),
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("way", WAYS)
def test_no_other_string_is_taken_for_a_vector(odd, way):
    """Text that looks like the start of a vector elsewhere does not mislead the parser."""
    content = json.dumps(ODD[odd], **WAYS[way]).encode()
    assert as_read(content) == as_meant(content)


@pytest.mark.parametrize(
    "content",
    [
        b'{"usage":{},"data":[{"index":0,"embedding":"%s"},{"index":1, "embedding": "AAAA"}]}',
        b'{"usage":{},"data":[{"index":0,"x":{"embedding":"%s"},"embedding": "AAAA"}]}',
    ],
)
def test_vectors_spaced_in_different_ways_are_found(content):
    """Rows in different JSON styles are parsed, as a gateway may combine them."""
    content %= ONE.encode()
    assert as_read(content) == as_meant(content)


LEFT = json.dumps(rows(TWO)).encode()


@pytest.mark.parametrize("left", [b"", b"}", LEFT, LEFT[LEFT.index(b'"embedding":') :]])
def test_what_stands_behind_an_answer_in_its_buffer_is_not_read(left, monkeypatch):
    """Remains of a longer answer in the buffer have no effect."""
    monkeypatch.setattr(outline, "_decode_whole", None)
    content = json.dumps(rows(ONE)).encode()
    assert as_read(memoryview(bytearray(content + left))[: len(content)]) == as_meant(content)


@given(st.data())
def test_an_answer_that_is_cut_short_is_none(data):
    """Other contents of the buffer do not extend the answer."""
    content = json.dumps(rows(ONE, TWO)).encode()
    size = data.draw(st.integers(0, len(content) - 1))
    with pytest.raises(UNREADABLE):
        read_fields(memoryview(bytearray(content))[:size])
