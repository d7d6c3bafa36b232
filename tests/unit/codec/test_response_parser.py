"""The response parser: answers are valid or rejected, however they are written."""

import base64
import json
import struct

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from electronhub_embeddings._codec.response_parser import TokenUsage, parse_response
from electronhub_embeddings._http.api_client import new_array
from electronhub_embeddings._rate_limit.rate_limit_headers import RateLimitHeaders
from electronhub_embeddings.errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ElectronHubError,
    InvalidResponseError,
    RateLimitError,
    ServerError,
)
from support.unusual_characters import CHARACTERS

FLOAT32 = st.floats(width=32, allow_nan=False, allow_infinity=False)


def encode(vector):
    """Return a vector as the service writes it in base64."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def row(index, embedding):
    """Return one row of an answer."""
    return {"object": "embedding", "index": index, "embedding": embedding}


def answer(*rows, **fields):
    """Return the bytes of an answer."""
    return json.dumps({"object": "list", "data": list(rows), "model": "m", **fields}).encode()


def read(content, count=2, dimensions=None, status=200):
    """Read an answer to `count` texts."""
    contents = parse_response(status, content, RateLimitHeaders())
    return contents.vectors(count=count, dimensions=dimensions, allocate=new_array), contents.tokens


def refused(content, **expected):
    """Parse an answer that must be rejected; return the error."""
    with pytest.raises(InvalidResponseError) as caught:
        read(content, **expected)
    return caught.value


@st.composite
def matrices(draw):
    """Draw vectors of one length, an order of the rows, and an encoding for each."""
    width = draw(st.integers(1, 5))
    vectors = draw(st.lists(st.lists(FLOAT32, min_size=width, max_size=width), min_size=1, max_size=6))
    order = draw(st.permutations(range(len(vectors))))
    forms = draw(st.lists(st.sampled_from([list, encode]), min_size=len(vectors), max_size=len(vectors)))
    return vectors, order, forms


@given(matrices(), st.booleans())
def test_rows_in_any_order_and_form_come_back_exactly(matrix, told):
    """Each vector is at its index, bit for bit, whether sent as base64 or as numbers."""
    vectors, order, forms = matrix
    content = answer(*(row(i, forms[i](vectors[i])) for i in order))
    rows, _ = read(content, count=len(vectors), dimensions=len(vectors[0]) if told else None)
    assert (np.float32, (len(vectors), len(vectors[0]))) == (rows.dtype, rows.shape)
    assert np.array(vectors, np.float32).tobytes() == rows.tobytes()


def test_slashes_in_base64_may_be_escaped():
    """Escaped slashes in base64 are accepted; JSON allows them, and some gateways send them."""
    vector = np.frombuffer(b"\xff\xf0\x00\x3f" * 3, np.float32)
    text = encode(vector)
    assert "/" in text
    content = answer(row(0, text)).replace(b"/", b"\\/")
    rows, _ = read(content, count=1)
    assert vector.tobytes() == rows.tobytes()


def test_rows_can_be_written_to():
    """The returned array belongs to the caller."""
    rows, _ = read(answer(row(0, [1.0]), row(1, encode([2.0]))))
    rows[0] = 5
    assert rows.tolist() == [[5.0], [2.0]]


def test_whole_numbers_are_numbers():
    """A vector written with integers is valid."""
    rows, _ = read(answer(row(0, [1, 0]), row(1, [0.5, -3])))
    assert rows.tolist() == [[1.0, 0.0], [0.5, -3.0]]


GOOD = [0.5, -1.0]
NAN, INF = float("nan"), float("inf")
DEFECTS = {
    "no rows": answer(),
    "a row is missing": answer(row(0, GOOD)),
    "a row too many": answer(row(0, GOOD), row(1, GOOD), row(2, GOOD)),
    "a row twice": answer(row(0, GOOD), row(0, GOOD)),
    "the same row too often": answer(row(0, GOOD), row(1, GOOD), row(1, GOOD)),
    "a negative index": answer(row(0, GOOD), row(-1, GOOD)),
    "an index one too large": answer(row(0, GOOD), row(2, GOOD)),
    "indices from 1 on": answer(row(1, GOOD), row(2, GOOD)),
    "a huge index": answer(row(0, GOOD), row(10**30, GOOD)),
    "an index of text": answer(row(0, GOOD), row("1", GOOD)),
    "a broken index": answer(row(0, GOOD), row(1.5, GOOD)),
    "a true index": answer(row(0, GOOD), row(True, GOOD)),
    "no index": answer({"embedding": GOOD}, {"embedding": GOOD}),
    "no embedding": answer({"index": 0}, {"index": 1}),
    "a null row": answer(row(0, GOOD), None),
    "a null vector": answer(row(0, GOOD), row(1, None)),
    "a null in a vector": answer(row(0, GOOD), row(1, [0.5, None])),
    "text in a vector": answer(row(0, GOOD), row(1, [0.5, "1"])),
    "a bool in a vector": answer(row(0, GOOD), row(1, [0.5, True])),
    "a nested vector": answer(row(0, GOOD), row(1, [GOOD])),
    "a vector as an object": answer(row(0, GOOD), row(1, {"values": GOOD})),
    "NaN in JSON": answer(row(0, GOOD), row(1, [0.5, NAN])),
    "Infinity in JSON": answer(row(0, GOOD), row(1, [0.5, INF])),
    "a number too large for float64": answer(row(0, GOOD), row(1, [0.5, 1])).replace(b"[0.5, 1]", b"[0.5, 1e999]"),
    "a number too large for float32": answer(row(0, GOOD), row(1, [0.5, 1e39])),
    "a whole number too large": answer(row(0, GOOD), row(1, [0.5, 10**400])),
    "NaN in base64": answer(row(0, encode(GOOD)), row(1, encode([0.5, NAN]))),
    "an infinity in base64": answer(row(0, encode(GOOD)), row(1, encode([0.5, INF]))),
    "a negative infinity in base64": answer(row(0, encode(GOOD)), row(1, encode([0.5, -INF]))),
    "a longer vector": answer(row(0, GOOD), row(1, [0.5, 1.0, 2.0])),
    "a shorter vector": answer(row(0, encode(GOOD)), row(1, encode([0.5]))),
    "an empty vector": answer(row(0, GOOD), row(1, [])),
    "empty base64": answer(row(0, encode(GOOD)), row(1, "")),
    "only empty vectors": answer(row(0, []), row(1, [])),
    "an empty vector first": answer(row(0, []), row(1, GOOD)),
    "bytes that are no float32s": answer(row(0, encode(GOOD)), row(1, base64.b64encode(b"1234567").decode())),
    "base64 with foreign characters": answer(row(0, encode(GOOD)), row(1, "AAAA!AAAAAAA=")),
    "base64 with a newline": answer(row(0, encode(GOOD)), row(1, encode(GOOD)[:4] + "\n" + encode(GOOD)[4:])),
    "base64 for URLs": answer(row(0, encode(GOOD)), row(1, "__-_AACAvw==")),
    "base64 without its end": answer(row(0, encode(GOOD)), row(1, encode(GOOD)[:-2])),
    "base64 with a character too many in front": answer(row(0, encode(GOOD)), row(1, "A" + encode(GOOD))),
    "base64 with a character too many at the end": answer(row(0, encode(GOOD)), row(1, encode(GOOD) + "A")),
    "base64 that is not ASCII": answer(row(0, encode(GOOD)), row(1, "ééé=")),
    "an answer cut off": answer(row(0, GOOD), row(1, GOOD))[:-10],
    "text that is not UTF-8": answer(row(0, GOOD), row(1, "AAAA")).replace(b"AAAA", b"AA\xe9A"),
    "nothing": b"",
    "not JSON": b"upstream connect error",
    "an HTML page": b"<!DOCTYPE html><title>OK</title>",
    "another object": b'{"object":"list"}',
    "null data": b'{"data":null}',
    "a list": b"[]",
    "null": b"null",
    "deep nesting": b'{"data":' + b"[" * 100_000,
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_every_defect_is_refused(defect):
    """No part of a defective answer is used."""
    assert refused(DEFECTS[defect]).message


@pytest.mark.parametrize("form", [list, encode])
@pytest.mark.parametrize("dimensions", [1, 3, 1536])
def test_another_length_than_asked_is_refused_for_good(dimensions, form):
    """If all vectors have a wrong length, the request is not retried."""
    error = refused(answer(row(0, form(GOOD)), row(1, form(GOOD))), dimensions=dimensions)
    assert error.retries == 0
    assert f"2 dimensions, {dimensions} expected" in error.message
    assert error.next_step.startswith("If you set dimensions, leave it out")


@pytest.mark.parametrize(
    ("defect", "index", "retries"),
    [
        ("a row is missing", None, 1),
        ("a row twice", None, 1),
        ("NaN in base64", 1, 1),
        ("base64 with foreign characters", 1, 1),
        ("bytes that are no float32s", 1, 1),
        ("a shorter vector", None, 0),
        ("an answer cut off", None, None),
        ("not JSON", None, None),
    ],
)
def test_a_defect_says_where_it_is_and_whether_to_ask_again(defect, index, retries):
    """The error names a single wrong row; a wrong list is retried once, a truncated one as often as any failure."""
    error = refused(DEFECTS[defect])
    assert (index, retries) == (error.index, error.retries)


@pytest.mark.parametrize(
    ("defect", "words"),
    [
        ("a row is missing", "2 texts were sent, 1 vectors came back."),
        ("a row twice", "The answer has index 0 twice."),
        ("a negative index", "The answer has index -1 outside 0..1."),
        ("an index one too large", "The answer has index 2 outside 0..1."),
        ("NaN in base64", "A vector has a number that is not finite."),
        ("bytes that are no float32s", "A vector is not readable: 7 bytes are no whole float32s."),
        ("only empty vectors", "A vector has 0 dimensions, at least 1 expected."),
        ("an empty vector first", "A vector has 0 dimensions, at least 1 expected."),
    ],
)
def test_a_defect_is_told_in_plain_words(defect, words):
    """The message describes the defect well enough for a report to the service."""
    assert words == refused(DEFECTS[defect]).message


def test_a_page_is_asked_for_once_more():
    """An HTML page with status 200 is retried only once: a gateway recovers, but a wrong base_url does not."""
    assert refused(b"<html><title>Sign in</title></html>").retries == 1


def test_several_wrong_rows_blame_no_text():
    """If more than one vector is not finite, no text is named."""
    for wrong in (encode([NAN]), "no base64"):
        assert refused(answer(row(0, wrong), row(1, wrong), row(2, encode([1.0]))), count=3).index is None


@pytest.mark.filterwarnings("error")
def test_the_check_of_numbers_warns_nobody():
    """Finite numbers with an infinite sum are accepted; non-finite numbers that cancel out are rejected."""
    huge = [3e38, 3e38]
    stacked, _ = read(answer(row(0, encode(huge)), row(1, encode(huge))))
    assert np.isfinite(stacked).all()
    assert refused(answer(row(0, encode([INF, 1.0])), row(1, encode([-INF, 1.0])))).index is None


def test_an_index_of_many_digits_is_not_quoted():
    """An index with many digits is not quoted in the message."""
    error = refused(answer(row(0, encode([1.0])), row(10**30, encode([1.0]))))
    assert "index of many digits outside 0..1" in error.message


def test_a_wrong_row_is_named_by_its_index():
    """The error names the position among the texts, not in the answer."""
    error = refused(answer(row(2, encode([NAN])), row(0, [1.0]), row(1, [1.0])), count=3)
    assert error.index == 2


ANSWERS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 3)
    | st.floats()
    | st.text(CHARACTERS, max_size=8)
    | st.just(encode(GOOD)),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["data", "index", "embedding", "usage", "error", "detail", "code"]), inner)
    ),
    max_leaves=12,
)
STATUSES = st.sampled_from([200, 200, 200, 201, 204, 302, 400, 429, 500])


@given(STATUSES, st.binary() | ANSWERS.map(lambda body: json.dumps(body).encode()), st.integers(1, 3))
@example(200, b'{"data":[{"index":0,"embedding":"\\ud800"}]}', 1)
@example(200, b"\xef\xbb\xbf{}", 1)
def test_arbitrary_bytes_raise_only_our_errors(status, content, count):
    """Any answer yields rows of the right shape or an error of this package."""
    try:
        rows, _ = read(content, count=count, status=status)
    except ElectronHubError:
        return
    assert count == len(rows)
    assert np.isfinite(rows).all()


@given(st.lists(FLOAT32, min_size=2, max_size=2), st.data())
def test_an_answer_with_one_byte_changed_is_refused_or_of_the_right_shape(vector, data):
    """A changed byte never yields rows of another shape or non-finite numbers."""
    content = bytearray(answer(row(0, encode(vector)), row(1, vector)))
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        rows, _ = read(bytes(content), dimensions=2)
    except ElectronHubError:
        return
    assert rows.shape == (2, 2)
    assert np.isfinite(rows).all()


def test_unknown_fields_are_ignored():
    """New fields at any level change nothing."""
    rows, charge = read(
        answer(
            {**row(0, GOOD), "new": {"a": 1}},
            {**row(1, GOOD), "object": 5},
            usage={"prompt_tokens": 3, "new": []},
            id=7,
        )
    )
    assert ([GOOD, GOOD], TokenUsage(3, 0)) == (rows.tolist(), charge)


@pytest.mark.parametrize(
    ("usage", "charge"),
    [
        ({"prompt_tokens": 5, "total_tokens": 7}, TokenUsage(5, 7)),
        ({"prompt_tokens": 1, "total_tokens": 1}, TokenUsage(1, 1)),
        ({"prompt_tokens": 5}, TokenUsage(5, 0)),
        ({"total_tokens": 7}, TokenUsage(0, 7)),
        ({}, TokenUsage()),
        (None, TokenUsage()),
        ([], TokenUsage()),
        ("5", TokenUsage()),
        (5, TokenUsage()),
        ({"prompt_tokens": "5", "total_tokens": 7}, TokenUsage(0, 7)),
        ({"prompt_tokens": None, "total_tokens": None}, TokenUsage()),
        ({"prompt_tokens": True, "total_tokens": -1}, TokenUsage()),
        ({"prompt_tokens": 5.5, "total_tokens": [7]}, TokenUsage()),
    ],
)
def test_any_part_of_usage_can_be_missing_or_odd(usage, charge):
    """Missing usage counts as 0 and is never an error."""
    assert charge == read(answer(row(0, GOOD), row(1, GOOD), usage=usage))[1]


def test_an_answer_without_usage():
    """The field itself can be missing as well."""
    assert TokenUsage(0, 0) == read(answer(row(0, GOOD), row(1, GOOD)))[1]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b'{"error":{"message":"No.","code":401}}', AuthenticationError),
        (b'{"error":{"message":"No.","code":"400"}}', BadRequestError),
        (b'{"error":{"message":"Rate limit exceeded. Try again in 180 seconds.","code":429}}', RateLimitError),
        (b'{"error":"upstream"}', ServerError),
        (b'{"detail":"upstream"}', ServerError),
        (b'{"detail":{"error":{"message":"No.","code":400}}}', BadRequestError),
        (answer(row(0, GOOD), row(1, GOOD), error={"message": "No.", "code": 401}), AuthenticationError),
        (answer(error={"message": "No."}), ServerError),
    ],
)
def test_a_200_that_is_an_error_is_typed_by_its_code(content, kind):
    """A response with status 200 can be an error."""
    with pytest.raises(APIStatusError) as caught:
        read(content)
    assert kind is type(caught.value)


@pytest.mark.parametrize("error", [b'"\xff"', b"1e999"])
def test_an_error_that_cannot_be_decoded_is_not_an_empty_one(error):
    """An `error` field with invalid UTF-8, or a number out of range, is an error like any other."""
    with pytest.raises(APIStatusError):
        read(b'{"error":' + error + b"}")


@pytest.mark.parametrize("error", [None, {}, "", False])
def test_an_empty_error_is_none(error):
    """An empty `error` field, which some gateways always send, is not an error."""
    assert read(answer(row(0, GOOD), row(1, GOOD), error=error))[0].tolist() == [GOOD, GOOD]


@pytest.mark.parametrize("status", [201, 204, 301, 400, 500])
def test_only_a_200_is_an_answer(status):
    """Vectors in a response with another status are ignored."""
    with pytest.raises(APIStatusError) as caught:
        read(answer(row(0, GOOD), row(1, GOOD)), status=status)
    assert status == caught.value.status_code


def test_vectors_are_decoded_to_where_they_belong():
    """The caller's array is filled and returned, without another copy."""
    array = np.full((2, 3), 7, np.float32)
    asked = []
    contents = parse_response(200, answer(row(1, [4, 5, 6]), row(0, encode([1, 2, 3]))), RateLimitHeaders())
    rows = contents.vectors(count=2, dimensions=None, allocate=lambda *shape: asked.append(shape) or array)
    assert rows is array
    assert set(asked) == {(2, 3)}
    assert array.tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize("dimensions", [None, 100_000])
def test_no_room_is_made_for_vectors_that_cannot_have_come(dimensions):
    """One huge vector among small ones is rejected before memory is allocated for 2,000 of its size."""
    content = answer(row(0, encode([1.0] * 100_000)), *(row(i, encode([1.0, 2.0])) for i in range(1, 2000)))
    contents = parse_response(200, content, RateLimitHeaders())
    with pytest.raises(InvalidResponseError, match="2 dimensions, 100000 expected"):
        contents.vectors(count=2000, dimensions=dimensions, allocate=lambda *_: pytest.fail("room was made for 800 MB"))


def test_the_densest_answer_is_read():
    """One-digit numbers are the shortest: two bytes each in the body, four in memory."""
    content = answer(*(row(i, [1] * 5000) for i in range(3))).replace(b" ", b"")
    rows = parse_response(200, content, RateLimitHeaders()).vectors(count=3, dimensions=None, allocate=new_array)
    assert rows.shape == (3, 5000)


def test_what_is_charged_is_known_whatever_the_vectors_are():
    """The usage of an answer with one vector too few is counted."""
    contents = parse_response(
        200, answer(row(0, [1.0]), usage={"prompt_tokens": 7, "total_tokens": 8}), RateLimitHeaders()
    )
    with pytest.raises(InvalidResponseError):
        contents.vectors(count=2, dimensions=None, allocate=new_array)
    assert contents.tokens == TokenUsage(7, 8)


WAYS = {
    "compact": {"separators": (",", ":")},
    "spaced": {},
    "indented": {"indent": 4},
    "in alphabetical order": {"sort_keys": True},
    "spaced out": {"separators": (" , ", "\t:\n")},
}
ODD = {
    "a name that ends like the right one": {'x"embedding': "AAAA"},
    "a name inside a text": {"model": '"embedding":"AAAA"'},
    "another row's": {"x": {"embedding": "AAAA", "index": 5}},
    "a list of them": {"x": {"data": [{"embedding": "AAAA", "index": 0}]}},
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("where", ["before", "after", "in each row"])
@pytest.mark.parametrize("way", WAYS)
def test_nothing_else_is_taken_for_a_vector(way, where, odd):
    """Fields of the same name elsewhere are ignored, whatever the spacing."""
    one, two = [1.0, 2.0], [3.0, 4.0]
    more = ODD[odd]
    data = [
        {**(more if where == "in each row" else {}), **row(i, encode(vector))} for i, vector in enumerate((one, two))
    ]
    body = {**(more if where == "before" else {}), "data": data, **(more if where == "after" else {})}
    vectors, _ = read(json.dumps(body, **WAYS[way]).encode())
    assert vectors.tolist() == [one, two]


@pytest.mark.parametrize("left", [b"", b"}", answer(row(0, encode([9.0])))])
def test_what_stands_behind_an_answer_in_its_buffer_is_not_read(left):
    """Answers come in a buffer that has served longer ones: those change nothing."""
    content = answer(row(0, encode([1.0, 2.0])))
    vectors, _ = read(memoryview(bytearray(content + left))[: len(content)], count=1)
    assert vectors.tolist() == [[1.0, 2.0]]


@given(st.data())
def test_an_answer_that_is_cut_short_is_refused(data):
    """Whatever else the buffer holds makes it no longer."""
    content = answer(row(0, encode([1.0, 2.0])), row(1, encode([3.0, 4.0])))
    size = data.draw(st.integers(0, len(content) - 1))
    refused(memoryview(bytearray(content))[:size])
