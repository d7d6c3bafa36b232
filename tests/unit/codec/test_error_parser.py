"""The error parser: every status with every body shape becomes its exception, with the message and the named field."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from electronhub_embeddings._codec.error_parser import read_error
from electronhub_embeddings._rate_limit.rate_limit_headers import RateLimitHeaders
from electronhub_embeddings._scheduling.bad_request_cause import BadRequestCause, Cause, find_cause
from electronhub_embeddings.errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    InsufficientBalanceError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
)
from support.error_bodies import content, envelope
from support.unusual_characters import CHARACTERS

STATUSES = {
    400: BadRequestError,
    401: AuthenticationError,
    402: InsufficientBalanceError,
    403: PermissionDeniedError,
    404: NotFoundError,
    405: APIStatusError,
    413: BadRequestError,
    418: APIStatusError,
    422: BadRequestError,
    429: RateLimitError,
    500: ServerError,
    502: ServerError,
    503: ServerError,
    504: ServerError,
    520: ServerError,
    524: ServerError,
    529: ServerError,
}
WORDS = "Something is wrong."
ENVELOPE = {"error": {"message": WORDS, "type": "error", "param": "user", "code": 777}}
PAGE = "<!DOCTYPE html><html><head><title> Bad gateway </title></head><body>long</body></html>"
SHAPES = {
    "envelope": (ENVELOPE, WORDS, "user", 777),
    "envelope in detail": ({"detail": ENVELOPE}, WORDS, "user", 777),
    "error in detail": ({"detail": ENVELOPE["error"]}, WORDS, "user", 777),
    "detail of text": ({"detail": WORDS}, WORDS, None, None),
    "error of text": ({"error": WORDS}, WORDS, None, None),
    "nulls": ({"error": {"message": WORDS, "type": None, "param": None, "code": None}}, WORDS, None, None),
    "only a type": ({"error": {"message": WORDS, "type": "odd"}}, WORDS, None, "odd"),
    "code of text": ({"error": {"message": WORDS, "type": "odd", "code": "odder"}}, WORDS, None, "odder"),
    "list in detail": ({"detail": [{"msg": "x"}]}, "x", None, None),
    "list of others in detail": ({"detail": [{"text": "x"}, 5]}, '[{"text":"x"},5]', None, None),
    "FastAPI": ({"detail": [{"loc": ["body", "user"], "msg": WORDS, "type": "x"}]}, f"user: {WORDS}", "user", None),
    "FastAPI, odd": ({"detail": [{"loc": {"a": 1}, "msg": 5}]}, "5", None, None),
    "FastAPI, broken JSON": ({"detail": [{"loc": ["body", 17], "msg": WORDS}]}, WORDS, None, None),
    "FastAPI, a header": ({"detail": [{"loc": ["header", "x-a"], "msg": WORDS}]}, f"x-a: {WORDS}", "x-a", None),
    "FastAPI, a query parameter": ({"detail": [{"loc": ["query", "x-a"], "msg": WORDS}]}, f"x-a: {WORDS}", "x-a", None),
    "FastAPI, a part of the path": ({"detail": [{"loc": ["path", "x-a"], "msg": WORDS}]}, f"x-a: {WORDS}", "x-a", None),
    "FastAPI, only the field": ({"detail": [{"loc": ["user"], "msg": WORDS}]}, f"user: {WORDS}", "user", None),
    "FastAPI, a model of it": ({"detail": [{"loc": ["body", "R", "user"], "msg": "x"}]}, "R.user: x", "R.user", None),
    "vLLM": (
        {"object": "error", "message": WORDS, "type": "BadRequestError", "param": None, "code": 400},
        *(WORDS, None, 400),
    ),
    "Cohere": ({"id": "0ae5", "message": WORDS}, WORDS, None, None),
    "Google": ({"error": {"code": 400, "message": WORDS, "status": "INVALID_ARGUMENT"}}, WORDS, None, 400),
    "Google, a field": (
        {
            "error": {
                "code": 400,
                "message": WORDS,
                "details": [{"@type": "x"}, {"fieldViolations": [{"field": "a.b"}]}],
            }
        },
        *(WORDS, "a.b", 400),
    ),
    "Google, odd details": (
        {"error": {"message": WORDS, "details": [7, {"fieldViolations": 7}, {"fieldViolations": [7, {"field": ""}]}]}},
        *(WORDS, None, None),
    ),
    "Google, in a list": ([{"error": {"code": 400, "message": WORDS}}], WORDS, None, 400),
    "Mistral": (
        {
            "object": "error",
            "message": {"detail": [{"loc": ["body", "user"], "msg": WORDS}]},
            "type": "x",
            "code": None,
        },
        *(f"user: {WORDS}", "user", "x"),
    ),
    "Mistral, in a text": (
        {"message": json.dumps({"detail": [{"loc": ["body", "user"], "msg": WORDS}]}), "code": "1000"},
        *(f"user: {WORDS}", "user", "1000"),
    ),
    "Mistral, in an indented text": (
        {"message": " " + json.dumps({"message": WORDS, "code": 7}), "code": None},
        *(WORDS, None, 7),
    ),
    "OpenRouter": (
        {
            "error": {
                "message": "Provider returned error",
                "code": 400,
                "metadata": {"raw": WORDS, "provider_name": "x"},
            }
        },
        *(WORDS, None, 400),
    ),
    "OpenRouter, JSON": (
        {"error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": json.dumps(ENVELOPE)}}},
        *(WORDS, "user", 400),
    ),
    "OpenRouter, from Google": (
        {"error": {"message": "Provider returned error", "metadata": {"raw": json.dumps([ENVELOPE])}}},
        *(WORDS, "user", 777),
    ),
    "OpenRouter, without": ({"error": {"message": WORDS, "code": 400, "metadata": {"raw": ""}}}, WORDS, None, 400),
    "Voyage": ({"detail": WORDS}, WORDS, None, None),
    "a text that begins as JSON": ({"message": "{odd"}, "{odd", None, None),
    "odd fields": ({"error": {"message": WORDS, "param": 5, "code": [7], "type": {}}}, WORDS, None, None),
    "no message": ({"error": {"code": 777}}, '{"code":777}', None, 777),
    "message at the top": ({"message": WORDS, "code": 777}, WORDS, None, 777),
    "plain text": (WORDS.encode(), WORDS, None, None),
    "text in quotes": (WORDS, WORDS, None, None),
    "html": (PAGE.encode(), "an HTML page titled 'Bad gateway'", None, None),
    "html without title": (b"\n<html><body>no</body></html>", "an HTML page", None, None),
    "html in a message": ({"error": {"message": "\n<html>no</html>"}}, "an HTML page", None, None),
    "broken json": (b'{"error": {"mess', '{"error": {"mess', None, None),
    "not utf-8": (b"caf\xe9", "caf\N{REPLACEMENT CHARACTER}", None, None),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_status_in_every_shape(shape):
    """The status determines the class; message, param and code are found anywhere in the body."""
    body, *parts = SHAPES[shape]
    for status, kind in STATUSES.items():
        error = read_error(status, content(body), RateLimitHeaders())
        assert (type(error), error.status_code, error.message, error.param, error.code) == (kind, status, *parts)


@pytest.mark.parametrize("status", [200, *STATUSES])
def test_json_that_is_not_utf_8_is_read_all_the_same(status):
    """An invalid byte in the message hides neither the status nor the words around it."""
    error = read_error(status, b'{"error": {"message": "caf\xe9 closed", "code": 7}}', RateLimitHeaders())
    assert STATUSES.get(status, APIStatusError) is type(error) or status == 200
    assert "closed" in error.message


@pytest.mark.parametrize("body", [b"", b"   ", b"null", b"{}", b'{"error": {}}', b'{"detail": ""}'])
def test_an_empty_body_has_words_too(body):
    """If the service sends no message, the error at least names the status."""
    for status, kind in STATUSES.items():
        error = read_error(status, body, RateLimitHeaders())
        assert (type(error), error.message) == (kind, f"no message (status {status})")


@pytest.mark.parametrize(
    ("code", "kind", "status"),
    [
        (401, AuthenticationError, 401),
        ("402", InsufficientBalanceError, 402),
        (429, RateLimitError, 429),
        (503, ServerError, 503),
        (418, APIStatusError, 418),
        (None, ServerError, 500),
        ("server_error", ServerError, 500),
        (200, ServerError, 500),
        (7, ServerError, 500),
        ("rate_limit_exceeded", RateLimitError, 429),
        ("\N{SUPERSCRIPT TWO}", ServerError, 500),
        ("4" * 5000, ServerError, 500),
    ],
)
def test_an_error_inside_a_200_is_typed_by_its_code(code, kind, status):
    """A gateway's 200 with an error is classified by its code; without a code, it is a server error."""
    error = read_error(200, envelope("No.", code, error_type=None), RateLimitHeaders())
    assert (kind, status) == (type(error), error.status_code)


def test_a_rate_limit_inside_a_200_is_known_by_its_words():
    """Without a code the documented words are enough."""
    error = read_error(200, envelope("Rate limit exceeded. Try again in 180 seconds."), RateLimitHeaders())
    assert (RateLimitError, 180.0) == (type(error), error.retry_after)


@pytest.mark.parametrize(
    ("message", "report", "seconds"),
    [
        ("Rate limit exceeded. Try again in 180 seconds.", RateLimitHeaders(), 180.0),
        ("Rate limit exceeded. Try again in 1 second.", RateLimitHeaders(), 1.0),
        ("Please try again in 2.5s.", RateLimitHeaders(), 2.5),
        ("Please try again in 250ms.", RateLimitHeaders(), 0.25),
        ("Please retry after 3 minutes.", RateLimitHeaders(), 180.0),
        ("please TRY AGAIN IN 2m", RateLimitHeaders(), 120.0),
        ("Please try again in 1 hour.", RateLimitHeaders(), 3600.0),
        ("Rate limit exceeded.", RateLimitHeaders(), 180.0),
        ("", RateLimitHeaders(), 180.0),
        ("Rate limit exceeded.", RateLimitHeaders(retry_after=20.0), 20.0),
        ("Rate limit exceeded.", RateLimitHeaders(reset=30.0), 30.0),
        ("Rate limit exceeded.", RateLimitHeaders(reset=30.0, retry_after=20.0), 30.0),
        ("Try again in 10 seconds.", RateLimitHeaders(reset=30.0, retry_after=20.0), 30.0),
        ("Try again in 40 seconds.", RateLimitHeaders(reset=30.0, retry_after=20.0), 40.0),
        ("Try again in 40 seconds.", RateLimitHeaders(reset=30.0, retry_after=50.0), 50.0),
        ("Rate limit exceeded.", RateLimitHeaders(reset=0.0, retry_after=0.0), 180.0),
        ("Your daily limit is near. Try again in 9 seconds.", RateLimitHeaders(), 9.0),
    ],
)
def test_a_wait_is_the_longest_that_anything_says(message, report, seconds):
    """Message, Retry-After and reset header are all considered; without any of them, the documented 180 s apply."""
    error = read_error(429, envelope(message, 429), report)
    assert (RateLimitError, seconds) == (type(error), error.retry_after)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("Daily token limit of 1000000 reached. Resets on 2026-07-01.", 429),
        ("You exceeded your current quota, please check your plan and billing details.", "insufficient_quota"),
        ("Model budget spent: 50 requests per day.", 429),
        ("Monthly limit reached.", None),
        ("Limit reached.", "insufficient_quota"),
        ("Plan limit of 5 reached, resets at 00:00 UTC.", None),
    ],
)
def test_a_spent_budget_is_no_wait(message, code):
    """A 429 about a plan's or a day's budget is not retried after seconds, whatever the headers say."""
    error = read_error(429, envelope(message, code), RateLimitHeaders(reset=30.0))
    assert QuotaExceededError is type(error)
    assert error.retry_after is None


@pytest.mark.parametrize(
    ("message", "report", "seconds"),
    [
        ("Try again in 2 hours.", RateLimitHeaders(), 7200.0),
        ("Try again in 2 hours.", RateLimitHeaders(retry_after=60.0), 7200.0),
        ("Daily limit reached.", RateLimitHeaders(retry_after=86_400.0), 86_400.0),
        ("Daily limit reached.", RateLimitHeaders(retry_after=60.0, reset=30.0), 60.0),
    ],
)
def test_a_spent_budget_tells_when_it_is_back(message, report, seconds):
    """A budget error is not retried, but it has the service's `retry_after`."""
    error = read_error(429, envelope(message), report)
    assert (QuotaExceededError, seconds) == (type(error), error.retry_after)


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Try again in 1 minute 30 seconds.", 90.0),
        ("Try again in 1 minute and 30 seconds.", 90.0),
        ("Try again in 2 minutes, 5 seconds.", 125.0),
        ("Try again in 1 millisecond.", 0.001),
    ],
)
def test_a_wait_of_several_words_counts_in_full(message, seconds):
    """Minutes and seconds in words are added up, because a retry that is too early prolongs the cooldown."""
    assert pytest.approx(seconds) == read_error(429, envelope(message), RateLimitHeaders()).retry_after


def test_a_server_error_keeps_its_retry_after():
    """A 503 can also name a wait."""
    assert read_error(503, b"", RateLimitHeaders(retry_after=12.0)).retry_after == 12.0
    assert read_error(503, b"", RateLimitHeaders(reset=12.0)).retry_after is None


@pytest.mark.parametrize("wrap", [envelope, str.encode], ids=["envelope", "plain text"])
def test_a_long_message_is_cut(wrap):
    """Only the beginning of a very long message is kept."""
    error = read_error(500, wrap("x" * 1_000_000), RateLimitHeaders())
    assert error.message == "x" * 500 + "…"
    assert read_error(500, wrap("x" * 500), RateLimitHeaders()).message == "x" * 500


def test_a_long_text_body_is_cut():
    """An error page is truncated, because it would end up in logs and pickles."""
    assert read_error(500, b"x" * 1_000_000, RateLimitHeaders()).body == "x" * 4000


def test_a_long_json_body_is_kept_as_text():
    """Its beginning, wherever that ends: here within a character."""
    body = json.dumps({"error": {"message": WORDS, "trace": "é" * 4000}}, ensure_ascii=False, separators=(",", ":"))
    assert body.index("é") % 2 == 1
    error = read_error(500, body.encode(), RateLimitHeaders())
    assert error.message == WORDS
    assert error.body.startswith(body[:100])
    assert (len(error.body.encode()), error.body[-1]) == (4002, "\N{REPLACEMENT CHARACTER}")


def test_a_long_code_is_cut():
    """What is named is cut as the message is."""
    error = read_error(
        400, content({"error": {**ENVELOPE["error"], "param": "p" * 600, "code": "c" * 600}}), RateLimitHeaders()
    )
    assert (error.param, error.code) == ("p" * 500, "c" * 500)


def test_the_body_is_kept():
    """The error has the decoded body."""
    assert read_error(400, content(ENVELOPE), RateLimitHeaders()).body == ENVELOPE


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(CHARACTERS),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["error", "detail", "message", "code", "param", "type", "metadata", "raw", "details", "loc", "msg"]
            )
            | st.text(CHARACTERS),
            inner,
        )
    ),
    max_leaves=8,
)


NO_INTEGER = {"type": "int_type", "msg": "Input should be a valid integer"}
NO_TEXT = {"type": "string_type", "msg": "Input should be a valid string"}
MISSING = {"type": "missing", "msg": "Field required"}
FIELDS = {
    "one text, where texts or tokens would do": (
        [
            {"loc": ["body", "input", "str"], **NO_TEXT},
            {"loc": ["body", "input", "list[int]", 0], **NO_INTEGER},
            {"loc": ["body", "input", "list[str]", 3], **NO_TEXT},
            {
                "loc": ["body", "input", "list[list[int]]", 0],
                "type": "list_type",
                "msg": "Input should be a valid list",
            },
        ],
        "input.list[str].3",
    ),
    "one text, where a conversation would do": (
        [{"loc": ["body", "Chat", "messages"], **MISSING}, {"loc": ["body", "Embedding", "input", 3], **NO_TEXT}],
        "Embedding.input.3",
    ),
    "too many texts": (
        [
            {"loc": ["body", "input", "str"], **NO_TEXT},
            {"loc": ["body", "input", "list[str]"], "type": "too_long", "msg": "List should have at most 2 items"},
            {"loc": ["body", "input", "list[int]", 0], **NO_INTEGER},
        ],
        "input.list[str]",
    ),
    "an option, where a conversation would do": (
        [{"loc": ["body", "messages"], **MISSING}, {"loc": ["body", "dimensions"], "type": "extra", "msg": "No."}],
        "dimensions",
    ),
    "pydantic 1, one text": (
        [
            {"loc": ["body", "input"], "type": "type_error.str", "msg": "str type expected"},
            {"loc": ["body", "input", 0], "type": "type_error.integer", "msg": "value is not a valid integer"},
            {"loc": ["body", "input", 3], "type": "type_error.str", "msg": "str type expected"},
        ],
        "input.3",
    ),
    "pydantic 1, too many texts": (
        [
            {"loc": ["body", "input"], "type": "type_error.str", "msg": "str type expected"},
            {"loc": ["body", "inputs"], "type": "value_error.list.max_items", "msg": "at most 1024 items"},
        ],
        "inputs",
    ),
    "one text, and an option": (
        [{"loc": ["body", "dimensions"], "type": "extra", "msg": "No."}, {"loc": ["body", "input", 3], **NO_TEXT}],
        "input.3",
    ),
    "a missing field, and what was not sent": (
        [{"loc": ["body", "input", 0], **NO_INTEGER}, {"loc": ["body", "task"], **MISSING}],
        "task",
    ),
    "only a missing field": ([{"loc": ["body", "task"], **MISSING}], "task"),
    "only what was not sent": ([{"loc": ["body", "input", 0], **NO_INTEGER}], "input"),
}


@pytest.mark.parametrize("fields", FIELDS)
def test_of_several_fields_the_one_that_explains_most_is_named(fields):
    """FastAPI reports one error for each allowed form of the input; only the one that was sent is used."""
    items, param = FIELDS[fields]
    error = read_error(422, content({"detail": items}), RateLimitHeaders())
    assert (param, f"{param}: ") == (error.param, error.message[: len(param) + 2])


def test_errors_inside_errors_are_read_to_an_end():
    """The errors of a gateway, a vendor and its framework are read; what is nested even deeper is quoted."""
    body, messages = {"message": "innermost"}, []
    for _ in range(6):
        messages.append(read_error(400, content(body), RateLimitHeaders()).message)
        body = {"message": body}
    quoted = '{"message":"innermost"}'
    assert messages == ["innermost"] * 4 + [quoted, f'{{"message":{quoted}}}']


@given(st.integers(100, 599), st.binary() | JSON.map(content), st.integers(0, 3000))
def test_any_body_becomes_an_error_with_a_cause(status, body, inputs):
    """No body crashes the parser or the search for the cause."""
    error = read_error(status, body, RateLimitHeaders())
    assert isinstance(error, APIStatusError)
    assert 0 < len(error.message) <= 501
    index = find_cause(BadRequestError(error.message, param=error.param, code=error.code), inputs).index
    assert index is None or 0 <= index < inputs


def test_a_code_of_many_digits_has_an_unknown_cause():
    """A code that is not a valid number does not crash the parser."""
    error = read_error(400, envelope("No.", "9" * 5000), RateLimitHeaders())
    assert BadRequestCause(Cause.UNKNOWN) == find_cause(error, 3)


@pytest.mark.parametrize(("status", "leads"), [(299, False), (300, True), (308, True), (399, True), (400, False)])
def test_a_redirect_says_where_it_leads(status, leads):
    """The error for a base_url that has moved says so, after the service's own message."""
    error = read_error(status, envelope("Moved."), RateLimitHeaders(location="https://moved.example/v1"))
    assert "Moved." in error.message
    assert ("https://moved.example/v1" in error.message) == leads


@pytest.mark.parametrize("error", [{"code": "model_not_found"}, {"param": "model"}])
@pytest.mark.parametrize("status", [400, 404, 422])
def test_an_unknown_model_leads_to_the_list(status, error):
    """For any status of an unknown model, the error suggests listing the models."""
    assert (
        "list_models()"
        in read_error(status, content({"error": {"message": WORDS, **error}}), RateLimitHeaders()).next_step
    )


@pytest.mark.parametrize(
    ("status", "error"), [(400, {"code": "model_not_loaded", "param": "input"}), (403, {"code": "model_not_found"})]
)
def test_other_errors_keep_their_next_step(status, error):
    """If the model exists, or only this key may not use it, the error does not suggest a list."""
    found = read_error(status, content({"error": {"message": WORDS, **error}}), RateLimitHeaders())
    assert found.next_step == type(found).next_step


def test_a_refusal_for_the_limit_says_when_to_try_again():
    """Also if the service does not; an error of the service keeps its next step, although it names a time."""
    found = read_error(429, envelope("Slow down."), RateLimitHeaders(retry_after=12.0))
    assert found.next_step == "Try again in 12 s, or allow more attempts with max_retries."
    assert "Try again in 180 s," in read_error(429, envelope("Slow down."), RateLimitHeaders()).next_step
    found = read_error(503, envelope("Overloaded."), RateLimitHeaders(retry_after=12.0))
    assert (found.retry_after, found.next_step) == (12.0, type(found).next_step)
