"""Guarantees of every entry point, whatever the service does."""

import numpy as np
import pytest

from electronhub_embeddings import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ElectronHubError,
    InputError,
    InsufficientBalanceError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
)
from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow
from electronhub_embeddings.emulator import faults
from electronhub_embeddings.rate_limit_stores.memory import MemoryStore
from support.entry_points import expected_vectors, paired, same

pytestmark = pytest.mark.usefixtures("quick_retries")

TEXTS = ["Paris is in France.", "rust", "日本語のテキスト", "naïve café 🦀", " ", "a" * 3000, "Rust"]


def test_right_vector_for_right_text(entry_point, emulator):
    """Documents and queries get their own vectors, in order, and frameworks get Python floats."""
    service = emulator(rpm=0)
    model = entry_point.make(service)
    rows, row = entry_point.embed(model, TEXTS), entry_point.query(model, TEXTS[2])
    assert same(rows, expected_vectors(service, TEXTS))
    assert same(row, service.vector(TEXTS[2]))
    assert {type(vector) for vector in (*rows, row)} == {entry_point.kind.row}
    assert {type(number) for vector in (*rows, row) for number in vector} == {entry_point.kind.number}


def test_a_thousand_short_texts_are_one_request(entry_point, emulator):
    """Under a limit, texts that fit into one request are sent in one request."""
    service = emulator(rpm=5)
    texts = [f"text {number}" for number in range(1000)]
    rows = entry_point.embed(entry_point.make(service, dimensions=8), texts)
    assert [call.texts for call in service.calls] == [1000]
    assert same(rows, expected_vectors(service, texts, 8))


def test_equal_texts_are_sent_once(entry_point, emulator):
    """500 equal texts are one input, and each gets its vector."""
    service = emulator(rpm=5)
    rows = entry_point.embed(entry_point.make(service), ["same"] * 500)
    assert [call.body["input"] for call in service.calls] == [["same"]]
    assert same(rows, expected_vectors(service, ["same"] * 500))


def test_repeated_texts_among_others(entry_point, emulator):
    """Repeated texts between others get the vector of their first occurrence."""
    service = emulator(rpm=5)
    texts = ["one", "two", "one", "three", "two", "one"]
    rows = entry_point.embed(entry_point.make(service), texts)
    assert [call.body["input"] for call in service.calls] == [["one", "two", "three"]]
    assert same(rows, expected_vectors(service, texts))


def test_rows_are_placed_by_their_index(entry_point, emulator):
    """An answer in another order is valid, and its rows are sorted."""
    service = emulator(rpm=0, faults=[faults.shuffled()])
    assert same(entry_point.embed(entry_point.make(service), TEXTS), expected_vectors(service, TEXTS))


WRONG_ANSWERS = {
    "short": faults.short(),
    "extra": faults.extra(),
    "duplicate": faults.duplicate_index(),
    "missing": faults.missing_index(),
    "negative": faults.negative_index(),
    "nan": faults.not_a_number(1),
    "infinite": faults.infinite(1),
    "null": faults.null(),
    "length": faults.wrong_dimension(1),
    "odd": faults.odd_base64(),
    "invalid": faults.invalid_base64(),
    "nonsense": faults.nonsense(),
    "empty": faults.edit(lambda answer: {**answer, "data": []}),
    "nothing": faults.edit(lambda _: {}),
}


@pytest.mark.parametrize(
    ("entry_point", "fault"),
    paired({name: (fault,) for name, fault in WRONG_ANSWERS.items()}),
    indirect=["entry_point"],
)
def test_wrong_answers_are_never_returned(entry_point, emulator, fault):
    """An invalid answer is rejected every time, and no part of it is used."""
    service = emulator(rpm=0, chance=lambda _: fault)
    model = entry_point.make(service, max_retries=2)
    with pytest.raises(InvalidResponseError) as caught:
        entry_point.embed(model, ["one", "two", "three"])
    assert caught.value.partial == {}
    assert {call.status for call in service.calls} == {200}


@pytest.mark.parametrize(
    ("entry_point", "fault"),
    paired(
        {
            "short": (faults.short(),),
            "nan": (faults.not_a_number(),),
            "nonsense": (faults.nonsense(),),
            "cut": (faults.truncate(),),
        }
    ),
    indirect=["entry_point"],
)
def test_one_wrong_answer_costs_one_request(entry_point, emulator, fault):
    """A retry recovers from a single invalid answer."""
    service = emulator(rpm=0, faults=[fault])
    assert same(entry_point.embed(entry_point.make(service), TEXTS), expected_vectors(service, TEXTS))
    assert len(service.calls) == 2


def test_dimensions_that_the_service_ignores(entry_point, emulator):
    """Vectors of another length than requested are rejected after one request."""
    service = emulator(rpm=0, chance=lambda _: faults.wrong_dimension())
    with pytest.raises(InvalidResponseError, match="7 dimensions, 8 expected"):
        entry_point.embed(entry_point.make(service, dimensions=8), ["one"])
    assert len(service.calls) == 1


def test_another_length_than_before(entry_point, emulator):
    """Vectors of another length than an earlier answer's are rejected: one store cannot hold both."""
    service = emulator(rpm=0, faults=[None, faults.wrong_dimension()])
    model = entry_point.make(service)
    entry_point.query(model, "one")
    with pytest.raises(InvalidResponseError):
        entry_point.query(model, "two")


def test_prefixes_to_the_byte(entry_point, emulator):
    """Queries and documents are sent with their own prefix, and otherwise unchanged."""
    service = emulator(rpm=0)
    model = entry_point.make(service, query_prefix="Fráge:\n", document_prefix=" passage:  ")
    row, rows = entry_point.query(model, "\twho?"), entry_point.embed(model, ["x ", "y"])
    assert [call.body["input"] for call in service.calls] == [["Fráge:\n\twho?"], [" passage:  x ", " passage:  y"]]
    assert same([row, *rows], expected_vectors(service, ["Fráge:\n\twho?", " passage:  x ", " passage:  y"]))


def test_texts_are_not_changed(entry_point, emulator):
    """Newlines, tabs and leading and trailing spaces are sent unchanged."""
    service = emulator(rpm=0)
    texts = ["a\nb", "a\r\nb", "\ta\t", "  a  ", "\u00e9", "e\u0301", "\x00", "\ufeffa", "\n"]
    rows = entry_point.embed(entry_point.make(service), texts)
    assert [call.body["input"] for call in service.calls] == [texts]
    assert same(rows, expected_vectors(service, texts))


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({}, {"model": "text-embedding-3-small", "encoding_format": "base64"}),
        ({"dimensions": 8}, {"model": "text-embedding-3-small", "encoding_format": "base64", "dimensions": 8}),
        ({"user": "u-1"}, {"model": "text-embedding-3-small", "encoding_format": "base64", "user": "u-1"}),
        (
            {"model": "mistral-embed", "encoding_format": "float"},
            {"model": "mistral-embed", "encoding_format": "float"},
        ),
    ],
    ids=["defaults", "dimensions", "user", "float"],
)
def test_only_what_was_asked_for_is_sent(entry_point, emulator, options, fields):
    """Fields that are not set are not sent."""
    service = emulator(rpm=0)
    model = entry_point.make(service, **options)
    entry_point.embed(model, ["text"])
    entry_point.query(model, "query")
    assert [call.body for call in service.calls] == [{"input": ["text"], **fields}, {"input": ["query"], **fields}]


@pytest.mark.parametrize("bad", [None, 3, b"bytes", "", "half \ud800 pair"], ids=repr)
def test_bad_input_is_named_before_anything_is_sent(entry_point, emulator, bad):
    """A text that cannot be embedded is rejected with its position, without a request."""
    service = emulator(rpm=0)
    model = entry_point.make(service)
    with pytest.raises(InputError) as caught:
        entry_point.embed(model, ["one", "two", "three", bad, "five"])
    assert caught.value.index == 3
    assert isinstance(caught.value, ValueError)
    with pytest.raises(InputError):
        entry_point.query(model, bad)
    assert service.calls == []


def test_no_texts_no_request(entry_point, emulator):
    """An empty list returns an empty result without a request."""
    service = emulator(rpm=0)
    assert len(entry_point.embed(entry_point.make(service), [])) == 0
    assert service.calls == []


SOON = "Rate limit exceeded. Try again in 0.01 seconds."


FAILURES = {
    "400": (faults.error(400, "Something is odd."), BadRequestError, 1),
    "401": (faults.error(401), AuthenticationError, 1),
    "402": (faults.balance_spent(), InsufficientBalanceError, 1),
    "403": (faults.error(403), PermissionDeniedError, 1),
    "404": (faults.error(404), NotFoundError, 1),
    "413": (faults.error(413), BadRequestError, 1),
    "418": (faults.error(418), APIStatusError, 1),
    "422": (faults.error(422), BadRequestError, 1),
    "quota": (faults.budget_spent(), QuotaExceededError, 1),
    "429": (faults.error(429, SOON), RateLimitError, 3),
    "500": (faults.error(500), ServerError, 3),
    "502": (faults.html(502), ServerError, 3),
    "503": (faults.empty(503), ServerError, 3),
    "504": (faults.text(504), ServerError, 3),
    "520": (faults.wrapped_error(520), ServerError, 3),
    "529": (faults.detail(529), ServerError, 3),
    "drop": (faults.drop(), APIConnectionError, 3),
    "reset": (faults.reset(), APIConnectionError, 3),
    "truncate": (faults.truncate(), APIConnectionError, 3),
    "nonsense": (faults.nonsense(), InvalidResponseError, 3),
    "short": (faults.short(), InvalidResponseError, 2),
    "200-error": (faults.error_with_200(), ServerError, 3),
    "200-401": (faults.edit(lambda _: {"error": {"message": "No such key.", "code": 401}}), AuthenticationError, 1),
    "200-429": (faults.edit(lambda answer: {**answer, "error": {"message": SOON, "code": 429}}), RateLimitError, 3),
}


@pytest.mark.parametrize(("entry_point", "fault", "error", "attempts"), paired(FAILURES), indirect=["entry_point"])
def test_each_failure_costs_what_it_must(entry_point, emulator, fault, error, attempts):
    """The exception matches the failure; transient failures are attempted max_retries + 1 times, others once."""
    service = emulator(rpm=0, chance=lambda _: fault)
    store = MemoryStore(SlidingWindow(period=0.01, margin=0.001))
    model = entry_point.make(service, max_retries=2, rate_limit_store=store)
    with pytest.raises(ElectronHubError) as caught:
        entry_point.embed(model, ["one"])
    assert type(caught.value) is error
    assert len(service.calls) == attempts


def test_late_answers_time_out(entry_point, emulator):
    """An answer that stalls half-way times out, in every allowed attempt."""
    service = emulator(rpm=0, chance=lambda _: faults.stall(30))
    with pytest.raises(APITimeoutError):
        entry_point.embed(entry_point.make(service, timeout=0.1, max_retries=1), ["one"])
    assert len(service.calls) == 2


def test_no_retries(entry_point, emulator):
    """With max_retries=0, there is one attempt."""
    service = emulator(rpm=0, faults=[faults.error(503)])
    with pytest.raises(ServerError):
        entry_point.query(entry_point.make(service, max_retries=0), "one")
    assert len(service.calls) == 1


def test_failures_that_pass_are_not_seen(entry_point, emulator):
    """Every kind of transient failure that ends before the last attempt ends in vectors."""
    service = emulator(rpm=0, faults=[faults.error(503), faults.drop(), faults.nonsense(), faults.error_with_200()])
    assert same(entry_point.embed(entry_point.make(service), TEXTS), expected_vectors(service, TEXTS))
    assert len(service.calls) == 5


def test_an_error_carries_what_was_finished(entry_point, emulator):
    """If a later request of a call fails permanently, the vectors of the earlier ones are in the exception."""
    service = emulator(rpm=0, faults=[None, None, faults.balance_spent()])
    model = entry_point.make(service, batch_size=2, max_concurrency=1)
    texts = ["one", "two", "one", "three", "four", "five", "six", "seven"]
    with pytest.raises(InsufficientBalanceError) as caught:
        entry_point.embed(model, texts)
    partial = caught.value.partial
    assert sorted(partial) == [0, 1, 2, 3, 4]
    assert same([partial[i] for i in range(5)], expected_vectors(service, texts[:5]))
    assert [call.texts for call in service.calls] == [2, 2, 2]


def test_base64_refused_once(entry_point, emulator):
    """A service without base64 gets one request for base64, and only float requests afterwards."""
    service = emulator(rpm=0, base64=False)
    model = entry_point.make(service)
    assert same(entry_point.embed(model, TEXTS), expected_vectors(service, TEXTS))
    assert same(entry_point.query(model, "query"), service.vector("query"))
    assert [call.body["encoding_format"] for call in service.calls] == ["base64", "float", "float"]


@pytest.mark.parametrize("fault", [None, faults.integers(), faults.without_usage()], ids=["floats", "integers", "bare"])
def test_whatever_arrives_is_decoded(entry_point, emulator, fault):
    """Floats in place of base64, integers, and an answer without usage are all accepted."""
    service = emulator(rpm=0, base64="ignore", faults=[fault])
    expected = expected_vectors(service, ["one", "two"])
    if fault is not None and fault == faults.integers():
        expected[0] = np.rint(expected[0] * 127)
    rows = entry_point.embed(entry_point.make(service), ["one", "two"])
    np.testing.assert_allclose(rows[1], expected[1], rtol=1e-6)
    assert {type(number) for number in rows[0]} == {entry_point.kind.number}
