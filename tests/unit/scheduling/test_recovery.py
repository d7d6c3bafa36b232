"""Recovery: the text at fault is found, all other texts get vectors, and every path ends."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from electronhub_embeddings._scheduling.batch import Batch, Slice
from electronhub_embeddings._scheduling.batch_limits import ESTIMATE_MARGIN, BatchLimits
from electronhub_embeddings._scheduling.recovery import MAX_REFUSALS, Learned, recover
from electronhub_embeddings._scheduling.retry_policy import RetryPolicy
from electronhub_embeddings.errors import (
    APIConnectionError,
    APITimeoutError,
    AuthenticationError,
    ElectronHubError,
    InsufficientBalanceError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
)
from support.scheduler_driver import Config, Driver, make_call, refusal, texts_of, whole_slice

UNCLEAR = "Bad Request"
POLICY = "The request was refused by the content policy."


def large(**options):
    """Return a driver with batches that hold all texts."""
    return Driver(Config(batch_size=2048, **options))


def refusing(guilty, message=POLICY, *, named=False):
    """Return a service that refuses every request with a text at fault, and optionally names the first one."""

    def service(sent, _encoding):
        for position, text in enumerate(sent):
            if text in guilty:
                return refusal(f"Invalid 'input[{position}]': refused.") if named else refusal(message)
        return None

    return service


def recovered(slices, error, *, max_retries=2, learned=None):
    """Return the recovery of a failed batch."""
    batch = Batch(Config(), slices, "slot", "base64")
    return recover(batch, error, RetryPolicy(max_retries), learned or Learned(BatchLimits(2048), "base64"))


@st.composite
def companies(draw):
    """Draw the sizes of calls, and which of their texts are at fault: (call, position)."""
    counts = draw(st.lists(st.integers(1, 12), min_size=1, max_size=6))
    texts = [(call, i) for call, count in enumerate(counts) for i in range(count)]
    return counts, draw(st.sets(st.sampled_from(texts), max_size=5))


@given(companies(), st.booleans(), st.integers(1, 60))
def test_innocent_calls_get_all_their_vectors(company, named, batch_size):
    """A call fails only because of its own texts, whatever else is in the batch, and whether or not texts are named."""
    counts, guilty = company
    driver = Driver(Config(batch_size=batch_size))
    calls = [driver.submit(count) for count in counts]
    at_fault = {(calls[call].number, i) for call, i in guilty}
    driver.drive(refusing(at_fault, named=named))
    blamed = {call for call, _ in guilty}
    assert {i for i, call in enumerate(calls) if call.error is not None} == blamed
    innocent = {(calls[c].number, i) for c, count in enumerate(counts) if c not in blamed for i in range(count)}
    assert innocent <= set(driver.accepted)
    assert len(set(driver.accepted)) == len(driver.accepted)
    assert all((call.number, call.error.index) in at_fault for call in calls if call.error is not None)
    assert sorted(call.number for call in driver.ended) == [call.number for call in calls]


@pytest.mark.parametrize("position", [0, 1, 255, 256, 300, 511])
@pytest.mark.parametrize("message", [POLICY, UNCLEAR])
def test_one_text_at_fault_is_found_by_halving(position, message):
    """Of 512 texts one is found with log2(512) + 3 more requests, also by a client that has had no answer yet."""
    driver = large()
    call = driver.submit(512)
    driver.drive(refusing({(call.number, position)}, message))
    assert len(driver.requests) <= 1 + math.log2(512) + 3
    assert (call.error.index, len(driver.accepted)) == (position, 511)


@pytest.mark.parametrize("position", [0, 77, 511])
def test_one_named_text_costs_one_more_request(position):
    """A text that the message names is removed at once; the texts before and after it are resent together."""
    driver = large()
    call = driver.submit(512)
    driver.drive(refusing({(call.number, position)}, named=True))
    assert (len(driver.requests), call.error.index, len(driver.accepted)) == (2, position, 511)


def test_a_named_text_costs_other_calls_one_request():
    """The other texts of the batch are resent together, without a pause."""
    driver = large()
    calls = [driver.submit(3) for _ in range(3)]
    driver.drive(refusing({(calls[1].number, 1)}, named=True))
    assert (len(driver.requests), len(driver.accepted), driver.pauses) == (2, 8, [])
    assert [call.error and call.error.index for call in calls] == [None, 1, None]


ERRORS_OF_THE_REQUEST = [
    refusal("The model 'x' does not support embeddings.", "model"),
    refusal("This model does not support specifying dimensions.", "dimensions"),
    refusal("This model does not support specifying dimensions."),
    refusal("'$.user' is invalid. Please check the API reference.", "user"),
    NotFoundError("The model 'x' does not exist.", status_code=404),
    AuthenticationError("No.", status_code=401),
    InsufficientBalanceError("No.", status_code=402),
    PermissionDeniedError("No.", status_code=403),
    QuotaExceededError("No.", status_code=429),
    InvalidResponseError("No.", retries=0),
    ElectronHubError("No."),
]


@pytest.mark.parametrize("error", ERRORS_OF_THE_REQUEST, ids=str)
def test_an_error_of_the_request_costs_one_request(error):
    """A refusal of the request itself is not retried, and fails all calls in the batch."""
    driver = large()
    calls = [driver.submit(30), driver.submit(30)]
    driver.drive(lambda *_: error)
    assert len(driver.requests) == 1
    assert [(type(call.error), call.error.index) for call in calls] == [(type(error), None)] * 2


@pytest.mark.parametrize(
    "error", [APIConnectionError("x"), APITimeoutError("x"), RateLimitError("x"), ServerError("x")], ids=repr
)
@pytest.mark.parametrize("max_retries", [0, 1, 4])
def test_a_failure_that_can_pass_is_tried_max_retries_more_times(error, max_retries):
    """A batch that always fails is sent max_retries + 1 times."""
    driver = large(max_retries=max_retries)
    call = driver.submit(30)
    driver.drive(lambda *_: error)
    assert (len(driver.requests), driver.ended) == (max_retries + 1, [call])


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ServerError("Upstream.", status_code=503), "the service answered 503: attempt 2 of 5"),
        (APITimeoutError("Late.", sent=True), "the service did not answer in time: attempt 2 of 5"),
        (APIConnectionError("Reset.", sent=True), "the connection failed: attempt 2 of 5"),
        (InvalidResponseError("Odd."), "the answer was unusable: attempt 2 of 5"),
        (InvalidResponseError("Odd.", retries=1), "the answer was unusable: attempt 2 of 2"),
        (InvalidResponseError("Odd.", retries=9), "the answer was unusable: attempt 2 of 5"),
    ],
    ids=["503", "time-out", "connection", "answer", "fewer attempts", "more attempts"],
)
def test_a_retry_is_logged_and_shown(caplog, error, words):
    """The line says what happened, which attempt is next, and when; the progress bar says the same."""
    caplog.set_level("DEBUG", "electronhub_embeddings")
    driver, shown = large(max_retries=4), []
    call = driver.submit(30)
    call.progress.wait_to_retry = lambda what, until: shown.append((what, until - driver.now))
    driver.finish(driver.send(), error)
    ((what, pause),) = shown
    assert what == words
    assert caplog.messages == [f"attempt failed: {type(error).__name__}", f"{words} in {pause:.0f} s"]
    assert [record.levelname for record in caplog.records] == ["DEBUG", "INFO"]


def test_a_wait_for_the_limit_is_announced_as_such(caplog):
    """After a refusal for the limit, the limiter says how long it takes: a line of the retry would say "0 s"."""
    caplog.set_level("INFO", "electronhub_embeddings")
    driver = large(max_retries=4)
    driver.submit(30)
    driver.finish(driver.send(), RateLimitError("x", status_code=429))
    assert caplog.messages == []


def test_texts_that_join_a_retry_have_their_own_attempts():
    """A new text does not fail together with one that has used all its attempts."""
    exhausted, new = Slice(make_call(1), 0, 1, attempts=2), whole_slice(1)
    recovery = recovered([exhausted, new], ServerError("x", status_code=500))
    assert [part for part, _ in recovery.failed] == [exhausted]
    assert [(part.call, part.attempts) for _, part in recovery.again] == [(new.call, 1)]


def test_an_exhausted_text_fails_beside_a_wrong_row_that_is_asked_for_again():
    """An unusable answer fails a text without attempts left, and the error names no other call's row."""
    exhausted, new = Slice(make_call(1), 0, 1, attempts=2), whole_slice(2)
    recovery = recovered([exhausted, new], InvalidResponseError("No number.", index=1))
    assert [(part, error.index) for part, error in recovery.failed] == [(exhausted, None)]
    assert texts_of([part for _, part in recovery.again]) == texts_of([new])


def test_a_failed_call_is_not_tried_again():
    """Texts that no caller waits for are not retried."""
    gone, waits = whole_slice(2), whole_slice(2)
    gone.call.abandoned = True
    recovery = recovered([gone, waits], ServerError("x", status_code=500))
    assert [part for part, _ in recovery.failed] == [gone]
    assert texts_of([part for _, part in recovery.again]) == texts_of([waits])


def test_texts_that_are_tried_again_travel_together():
    """The longest pause applies to all texts, because each request takes a slot."""
    young, old = whole_slice(1), Slice(make_call(1), 0, 1, attempts=3)
    recovery = recovered([young, old], ServerError("x", status_code=500), max_retries=5)
    assert len({pause for pause, _ in recovery.again}) == 1
    assert recovery.again[0][0] >= 8.0


def test_nobody_searches_for_calls_that_have_failed():
    """No search is started if no caller waits for any call of the batch."""
    gone = whole_slice(8)
    gone.call.fail(ElectronHubError("x"))
    recovery = recovered([gone], refusal(UNCLEAR))
    assert (recovery.again, recovery.search, [part for part, _ in recovery.failed]) == ([], None, [gone])


@pytest.mark.parametrize("wrong", range(9))
def test_a_wrong_row_is_left_out_when_asking_again_does_not_help(wrong):
    """A text whose vector is never finite fails alone, after one more request for all texts and one for the others."""
    driver = large()
    calls = [driver.submit(3) for _ in range(3)]
    text = (calls[wrong // 3].number, wrong % 3)

    def service(sent, _encoding):
        return InvalidResponseError("No number.", index=sent.index(text), retries=1) if text in sent else None

    driver.drive(service)
    assert [call.error.index for call in calls if call.error is not None] == [wrong % 3]
    assert (len(driver.requests), len(driver.accepted)) == (3, 8)


def test_base64_that_is_refused_becomes_float():
    """A service without base64 gets only float requests afterwards."""
    driver, formats = large(), []

    def service(_sent, encoding):
        formats.append(encoding)
        return refusal("Only 'float' is supported.", "encoding_format") if encoding == "base64" else None

    driver.submit(30)
    driver.drive(service)
    driver.submit(1)
    driver.drive(service)
    assert (formats, len(driver.accepted), driver.pauses) == (["base64", "float", "float"], 31, [])


def test_float_that_is_refused_is_the_end():
    """There is no third encoding to try."""
    driver = large()
    call = driver.submit(30)
    driver.drive(lambda *_: refusal("'encoding_format' is invalid.", "encoding_format"))
    assert (len(driver.requests), driver.ended) == (2, [call])


def test_batches_that_were_under_way_with_base64_are_sent_again_too():
    """Batches that were sent with base64 before the first refusal arrived are also resent as floats."""
    learned = Learned(BatchLimits(2048), "base64")
    for _ in range(2):
        part = whole_slice(3)
        error = refusal("Only 'float' is supported.", "encoding_format")
        recovery = recovered([part], error, max_retries=0, learned=learned)
        assert [again for _, again in recovery.again] == [part]
    assert learned.encoding_format == "float"


TOO_MANY = "Invalid 'input': array too long. Expected an array with maximum length {}, but got an array with length {}."


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("limit", [1, 100, 2047])
def test_a_refusal_of_many_inputs_is_learned(limit, named):
    """The service's maximum number of inputs is learned once per client, and every text gets its vector."""

    def service(sent, _encoding):
        too_many = TOO_MANY.format(limit, len(sent)) if named else "Too many inputs."
        return refusal(too_many, "input") if len(sent) > limit else None

    driver = large()
    driver.submit(4096)
    driver.drive(service)
    refused = sum(len(request) > limit for request in driver.requests)
    assert refused <= (1 if named else math.ceil(math.log2(2048 / limit)))
    assert 4096 == len(set(driver.accepted)) == len(driver.accepted)
    assert all(len(request) <= limit for request in driver.requests[refused:])


WORDS_ABOUT_TOKENS = {
    "limit and sum": "Requested {sent} tokens, max {limit} tokens per request",
    "limit": "Invalid 'input': maximum request size is {limit} tokens per request.",
    "nothing": "Request too large.",
}


@pytest.mark.parametrize("words", WORDS_ABOUT_TOKENS)
@pytest.mark.parametrize("limit", [20_000, 100_000, 250_000])
def test_a_refusal_of_many_tokens_is_learned(words, limit):
    """The service's maximum request size is learned from a few refusals, and every text gets its vector."""
    size = 1000

    def service(sent, _encoding):
        tokens = size * len(sent)
        return refusal(WORDS_ABOUT_TOKENS[words].format(sent=tokens, limit=limit)) if tokens > limit else None

    driver = large()
    driver.submit([size] * 2000)
    driver.drive(service)
    refused = sum(size * len(request) > limit for request in driver.requests)
    assert refused <= {"limit and sum": 1, "limit": 4, "nothing": 6}[words]
    assert 2000 == len(set(driver.accepted)) == len(driver.accepted)


@pytest.mark.parametrize(
    ("words", "max_bytes"),
    [
        ("Requested 100000 tokens, max 50000 tokens per request", 200_000 / ESTIMATE_MARGIN),
        ("max 50000 tokens per request", 200_000),
    ],
    ids=["limit and sum", "limit"],
)
def test_tokens_are_no_texts(words, max_bytes):
    """400,000 bytes that are too many tokens make batches smaller by bytes: by what was counted, or by half."""
    learned = Learned(BatchLimits(2048, tokens_per_byte=0.1), "base64")
    recovered([whole_slice([4000] * 100)], refusal(words), learned=learned)
    assert learned.limits.max_bytes == pytest.approx(max_bytes, rel=1e-4)
    assert learned.limits.max_inputs == 2048


def test_the_waiting_texts_of_a_failed_call_are_not_sent():
    """A text at fault fails its call: nobody wants the batches that still wait."""
    driver = Driver(Config(batch_size=4))
    call, other = driver.submit(40), driver.submit(4)
    batch = driver.send()
    driver.finish(batch, refusal("Invalid 'input[0]': refused."))
    driver.drive(lambda *_: None)
    assert (driver.ended, call.error.index) == ([call, other], 0)
    assert sorted(driver.accepted) == [*((call.number, i) for i in (1, 2, 3)), *texts_of([Slice(other, 0, 4)])]


def test_words_about_a_text_are_believed():
    """Then two texts that are refused alone are two texts at fault, and the request is not."""
    driver = large()
    calls = [driver.submit(1) for _ in range(4)]
    driver.drive(refusing({(calls[0].number, 0), (calls[3].number, 0)}))
    assert [call.error is None for call in calls] == [False, True, True, False]


def test_a_413_without_words_is_learned():
    """An error page that only says "too large" makes all later batches smaller."""
    driver = large()
    driver.submit(2000)
    driver.drive(lambda sent, _: refusal("an HTML page", status=413) if len(sent) > 70 else None)
    assert sum(len(request) > 70 for request in driver.requests) <= 5
    assert len(driver.accepted) == 2000


def test_one_text_that_is_too_large_fails_alone():
    """A single text that is too large fails its call, with its index, and no other call."""
    driver = large()
    calls = [driver.submit(8), driver.submit(8)]
    driver.drive(lambda sent, _: refusal("Too large.", status=413) if (calls[0].number, 5) in sent else None)
    assert [call.error and call.error.index for call in calls] == [5, None]
    assert sum(number == calls[1].number for number, _ in driver.accepted) == 8


@pytest.mark.parametrize("count", [2, 3, 4, 5, 6, 7, 8, 31, 2048])
@pytest.mark.parametrize("calls", [1, 2])
def test_a_request_that_nobody_can_cure_is_given_up(count, calls):
    """If nothing was ever accepted, not every text is tried alone against an unclear message."""
    driver = large()
    for number in range(calls):
        driver.submit(count // calls + (number < count % calls))
    driver.drive(lambda *_: refusal(UNCLEAR))
    assert len(driver.requests) <= max(3, 2 * math.log2(count))
    assert len(driver.ended) == calls


def test_the_refusal_of_a_request_is_remembered():
    """After a refusal of the request itself, each batch costs one request until the service accepts one."""
    driver = large()
    call = driver.submit(64)
    driver.drive(lambda *_: refusal(UNCLEAR))
    assert call.error.index is None
    before = len(driver.requests)
    driver.submit(64)
    driver.drive(lambda *_: refusal(UNCLEAR))
    assert len(driver.requests) == before + 1
    driver.submit(64)
    driver.drive(lambda *_: None)
    call = driver.submit(64)
    driver.drive(refusing({(call.number, 3)}, UNCLEAR))
    assert (call.error.index, driver.accepted.count((call.number, 4))) == (3, 1)


def test_a_call_with_many_texts_at_fault_is_given_up():
    """A few requests are spent on the rest of a call that has already failed; then the rest fails as a whole."""
    driver = large()
    many, other = driver.submit(100), driver.submit(5)
    driver.drive(refusing({(many.number, i) for i in range(100)}, named=True))
    assert len(driver.requests) == 1 + MAX_REFUSALS + 1
    assert (len(driver.accepted), many.error.index, other.error) == (5, 0, None)


def test_a_text_that_is_named_during_the_search_ends_it():
    """The service may say more about a smaller request: its other texts, and all others, are sent in one."""
    driver = large()
    named, other = driver.submit(2), driver.submit(2)
    driver.finish(driver.send(linger=0.0), refusal(UNCLEAR))
    driver.finish(driver.send(linger=0.0), refusal("Invalid 'input[1]': refused."))
    driver.drive(lambda *_: None)
    assert (named.error.index, other.error, [len(request) for request in driver.requests]) == (1, None, [3])


def test_a_size_that_is_refused_during_the_search_ends_it():
    """The request was too large, and no text was at fault: the search has learned how many may travel together."""
    driver = large()
    call = driver.submit(8)
    driver.finish(driver.send(), refusal(UNCLEAR))
    driver.finish(driver.send(), refusal("Too many inputs."))
    driver.drive(lambda *_: None)
    assert (call.error, [len(request) for request in driver.requests]) == (None, [2, 2, 2, 2])


def test_one_answer_is_hope():
    """Once a probe was accepted, refusals are the fault of texts, however many were refused before."""
    driver = Driver(Config(batch_size=16))
    calls = [driver.submit(4), driver.submit(8), driver.submit(4)]
    guilty = {(calls[0].number, 0), (calls[0].number, 1), (calls[2].number, 0)}
    driver.drive(refusing(guilty, UNCLEAR))
    assert [call.error is not None for call in calls] == [True, False, True]


ANSWERS = [
    None,
    *ERRORS_OF_THE_REQUEST,
    refusal(UNCLEAR),
    refusal(POLICY),
    refusal("Invalid 'input[0]': maximum input length is 8192 tokens."),
    refusal("Invalid 'input[3]': maximum input length is 8192 tokens."),
    refusal("Too many inputs."),
    refusal(TOO_MANY.format(2, 9)),
    refusal(TOO_MANY.format(2048, 2048)),
    refusal("Requested 416735 tokens, max 300000 tokens per request"),
    refusal("Requested 5000 tokens, max 5000 tokens per request"),
    refusal("Invalid 'input': maximum request size is 300000 tokens per request."),
    refusal("Request too large.", status=413),
    refusal("Only 'float' is supported.", "encoding_format"),
    APIConnectionError("x"),
    RateLimitError("x", status_code=429, retry_after=180.0),
    ServerError("x", status_code=500),
    InvalidResponseError("x"),
    InvalidResponseError("x", index=0, retries=1),
    InvalidResponseError("x", index=0, retries=0),
]


@given(
    st.lists(st.sampled_from(ANSWERS), min_size=1, max_size=12),
    st.lists(st.lists(st.integers(1, 400_000), min_size=1, max_size=12), min_size=1, max_size=4),
    st.integers(1, 20),
)
def test_every_path_ends(answers, sizes, batch_size):
    """Whatever a service answers, each call ends exactly once, after a bounded number of requests."""
    driver = Driver(Config(batch_size=batch_size))
    calls = [driver.submit(texts) for texts in sizes]
    driver.drive(lambda *_: answers[len(driver.requests) % len(answers)])
    assert sorted(call.number for call in driver.ended) == [call.number for call in calls]
    assert len(set(driver.accepted)) == len(driver.accepted)
    assert len(driver.requests) <= 100 + 10 * sum(map(len, sizes))


def test_an_index_beyond_the_batch_blames_no_text():
    """An unusable vector at a position that the batch does not have is nobody's: all texts are sent again."""
    part = whole_slice(2)
    recovery = recovered([part], InvalidResponseError("No number.", index=2))
    assert ([texts_of([again]) for _, again in recovery.again], recovery.failed) == ([texts_of([part])], [])
