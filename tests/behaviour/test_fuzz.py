"""Whatever arrives, bytes, status and headers, ends as the vectors that are in it or as one of our errors.

`pytest tests/behaviour/test_fuzz.py --hypothesis-profile=long` looks for longer.
"""

import itertools
import tracemalloc
from email.utils import formatdate

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from electronhub_embeddings._codec.response_parser import parse_response
from electronhub_embeddings._config.secret import Secret, redact
from electronhub_embeddings._http.api_client import new_array
from electronhub_embeddings._rate_limit.rate_limit_headers import RateLimitHeaders, read_rate_limit_headers
from electronhub_embeddings._scheduling.bad_request_cause import find_cause
from electronhub_embeddings._scheduling.batch_limits import BatchLimits
from electronhub_embeddings.errors import APIStatusError, BadRequestError, ElectronHubError, InvalidResponseError
from support.damaged_answers import ODD, answers
from support.reference_parser import parse

NOW = 1_780_000_000.0
KEY = Secret("ek-canary")
PATIENT = settings(suppress_health_check=[HealthCheck.too_slow])
"""Answers are long, and a busy machine is no fault of theirs."""


def receive(content, *, status=200, headers=None, count=1, dimensions=None):
    """Parse a response like the client does; return the rows or the error."""
    report = read_rate_limit_headers(headers or {}, NOW)
    try:
        rows = parse_response(status, content, report).vectors(count=count, dimensions=dimensions, allocate=new_array)
    except ElectronHubError as caught:
        error = caught
    else:
        return rows
    error.rewrite(lambda value: redact(value, (KEY.reveal(),)))
    assert str(error).encode()
    if isinstance(error, BadRequestError):
        index = find_cause(error, count).index
        assert index is None or 0 <= index < count
    return error


@settings(PATIENT, max_examples=3 * PATIENT.max_examples)
@given(answers())
def test_damaged_answers_give_what_is_in_them_or_an_error(damaged):
    """Vectors are returned only if the reference parser finds the same ones, and always if the body is unambiguous."""
    content, count, dimensions = damaged
    parsed = parse(content, count, dimensions)
    got = receive(content, count=count, dimensions=dimensions)
    if isinstance(got, ElectronHubError):
        event("refused")
        assert isinstance(got, (InvalidResponseError, APIStatusError))
        assert parsed.vectors is None or not parsed.clean
        return
    event("read")
    assert parsed.vectors is not None
    assert (np.float32, b"".join(parsed.vectors)) == (got.dtype, got.tobytes())
    assert got.shape == (count, len(parsed.vectors[0]) // 4)


HEADERS = ["date", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "retry-after"]
DATE_PARTS = st.sampled_from(
    [
        *("Mon", "Mon,", ",", "1", "31", "32", "99", "0", "Jan", "May", "Foo", "2026", "26", "1969", "0001", "99999"),
        *("00:00:00", "24:60:61", "12:", ":", "1.2.3", "GMT", "+0000", "-0000", "+9999", "-2400", "EST", "(", ")"),
        *("9" * 30, "1-1-1", "-1", "-", "+", "\\", "\0", "\xff"),
    ]
)
ODD_NUMBERS = ["1_0", "1e400", "-0", "\N{FULLWIDTH DIGIT NINE}", "9" * 5000, "1 s", "0x1"]
NUMBERS = st.floats().map(repr) | st.integers().map(str) | st.sampled_from(ODD_NUMBERS)
VALUES = (
    NUMBERS
    | st.lists(DATE_PARTS, max_size=8).map(" ".join)
    | st.floats(-6e10, 2.5e11).map(formatdate)
    | st.text("".join(map(chr, range(256))), max_size=12)
)
STATUSES = st.integers(100, 599) | st.sampled_from([200, 400, 413, 422, 429, 0, 99, 600, 999, -1])
BODIES = answers().map(lambda damaged: damaged[0]) | st.binary() | st.sampled_from(ODD)


@PATIENT
@given(STATUSES, BODIES, st.dictionaries(st.sampled_from(HEADERS), VALUES), st.integers(1, 3))
def test_anything_at_all_gives_rows_or_an_error(status, content, headers, count):
    """The same with any status and headers: only a 200 yields vectors, and a wait is never negative."""
    got = receive(content, status=status, headers=headers, count=count)
    if isinstance(got, APIStatusError):
        assert got.retry_after is None or 0 <= got.retry_after < float("inf")
        assert 0 < len(got.message) <= 501
    elif isinstance(got, InvalidResponseError):
        assert status == 200
    else:
        assert (status, count) == (200, len(got))
        assert np.isfinite(got).all()


@PATIENT
@given(VALUES, VALUES)
def test_any_date_is_a_date_or_none(date, value):
    """Broken dates are ignored, and the parsed numbers are plausible."""
    report = read_rate_limit_headers({"date": date, "retry-after": value, "x-ratelimit-reset": value}, NOW)
    assert report.retry_after is None or 0 <= report.retry_after < float("inf")
    assert report.reset is None or 0 <= report.reset <= 3600


LENGTH = 20_000
FILLINGS = {
    "arrays": b"[],",
    "nested arrays": b"[",
    "objects": b'{"a":{}},',
    "nested objects": b'{"a":',
    "numbers": b"0,",
    "long numbers": b"1e300,",
    "one number": b"7",
    "digits behind a point": b"0.1" + b"7" * 6_000,
    "words": b'"",',
    "escapes": b"\\u00e9",
    "halves of surrogate pairs": b"\\ud800",
    "no UTF-8": b"\xff",
    "repeated fields": b'"a":[],',
    "rows": b'{"index":0,"embedding":[]},',
    "rows that count up": b'{"index":%d,"embedding":"AAAA"},',
}
PLACES = {
    "everything": b"%s",
    "rows": b'{"data":[%s0]}',
    "a vector": b'{"data":[{"index":0,"embedding":[%s0]}]}',
    "base64": b'{"data":[{"index":0,"embedding":"%s"}]}',
    "usage": b'{"data":[{"index":0,"embedding":[1]}],"usage":[%s0]}',
    "an error": b'{"error":[%s0]}',
    "an error's message": b'{"error":{"message":"%s"}}',
    "an error's fields": b'{"error":{%s"code":429}}',
    "something new": b'{"x":[%s0],"data":[{"index":0,"embedding":[1]}]}',
}


@pytest.mark.parametrize("place", PLACES)
def test_memory_is_bounded_by_the_length_of_the_body(place):
    """Parsing or rejecting a body takes at most seventy times its length in memory."""
    for filling, status in itertools.product(FILLINGS.values(), (200, 400)):
        content = PLACES[place].replace(b"%s", filling.replace(b"%d", b"7") * (LENGTH // len(filling) + 1))
        tracemalloc.start()
        try:
            receive(content, status=status)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 70 * len(content) + 100_000, (filling, status)


def test_an_error_of_any_depth_is_told():
    """A refusal that is nested as deeply as this Python can parse is handled like any other."""
    for depth in (100, 500, 900, 3000, 9000):
        content = b'{"error":{"message":"No.","code":400,"details":%s}}' % (b"[" * depth + b"]" * depth)
        error = receive(content, status=400)
        assert BadRequestError is type(error)
        assert "No." in error.message


@pytest.mark.parametrize("digits", [310, 400])
def test_a_charge_of_any_size_is_learned_or_ignored(digits):
    """Invalid usage does not cost any vectors."""
    content = b'{"data":[{"index":0,"embedding":[1]}],"usage":{"prompt_tokens":1%s}}' % (b"0" * digits)
    charge = parse_response(200, content, RateLimitHeaders()).tokens
    capacity = BatchLimits(2048)
    capacity.learn_tokens_per_byte(10, charge.prompt_tokens)
    assert 0 < capacity.tokens_per_byte <= 1
