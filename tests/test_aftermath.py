"""After a failure: the guilty text is found, everybody else gets vectors, and every path ends."""

import math
from collections import deque
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pieces import Call, call, texts

from electronhub_embeddings.aftermath import HOPELESS, LAST_CHANCES, Experience, sort_out
from electronhub_embeddings.errors import (
    APIConnectionError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ElectronHubError,
    InsufficientBalanceError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
)
from electronhub_embeddings.packing import Capacity, Piece, take, take_one
from electronhub_embeddings.retrying import RetryPolicy


def bad(message, param=None, code=None, status=400):
    """Return the error of a refused request."""
    return BadRequestError(message, status_code=status, param=param, code=code)


def fresh(batch=2048, **learned):
    """Return the experience of a new client, or of one that has learned something."""
    return Experience(Capacity(batch), "base64", **learned)


@dataclass
class Desk:
    """Sends what waits, request by request, as a line does, and keeps book of what becomes of each text."""

    service: object
    """From (texts of the request, encoding format) to None for vectors, or to the error."""
    experience: Experience = field(default_factory=fresh)
    max_retries: int = 2
    requests: list = field(default_factory=list)
    accepted: list = field(default_factory=list)
    failed: dict = field(default_factory=dict)
    pauses: set = field(default_factory=set)

    def embed(self, *calls):
        """Send all texts of some calls."""
        waiting = deque(one.whole() for one in calls)
        apart, policy = [], RetryPolicy(self.max_retries)
        capacity = self.experience.capacity
        while apart or waiting:
            assert len(self.requests) < 20_000
            pieces = apart.pop() if apart else take(waiting, capacity.max_inputs, capacity.max_bytes)
            pieces = pieces or take_one(waiting)
            self.requests.append(texts(pieces))
            encoding = self.experience.encoding_format
            error = self.service(texts(pieces), encoding)
            if error is None:
                self.experience.proven = True
                self.accepted += texts(pieces)
                continue
            aftermath = sort_out(pieces, error, encoding, policy, self.experience)
            again = [piece for _, piece in aftermath.again]
            self.pauses |= {pause for pause, _ in aftermath.again}
            self._check(pieces, again, aftermath)
            for piece, reason in aftermath.failed:
                piece.job.failed = True
                self.failed.update(dict.fromkeys(texts([piece]), reason))
            apart += reversed(aftermath.apart)
            waiting.extendleft(piece for piece in reversed(again))
        return self

    @staticmethod
    def _check(pieces, again, aftermath):
        """Check that each text of the failed request went exactly one way."""
        parts = [*again, *(piece for part in aftermath.apart for piece in part)]
        parts += [piece for piece, _ in aftermath.failed]
        assert sorted(texts(pieces)) == sorted(texts(parts))
        assert all(pause >= 0 for pause, _ in aftermath.again)
        assert all(len(piece) for piece in parts)


def refusing(guilty, message="The request was refused by the content policy.", *, named=False):
    """Return a service that refuses every request with one of the guilty texts, and maybe names the first of them."""

    def service(sent, _encoding):
        for place, text in enumerate(sent):
            if text in guilty:
                return bad(f"Invalid 'input[{place}]': refused." if named else message)
        return None

    return service


UNCLEAR = "Bad Request"


@st.composite
def companies(draw):
    """Draw calls, and which of their texts are guilty."""
    counts = draw(st.lists(st.integers(1, 12), min_size=1, max_size=6))
    calls = [call(count, str(name)) for name, count in enumerate(counts)]
    everything = [(one.name, i) for one in calls for i in range(len(one.sizes))]
    return calls, draw(st.sets(st.sampled_from(everything), max_size=5))


@given(companies(), st.sampled_from(["named", "policy", "unclear"]), st.integers(1, 60), st.booleans())
def test_innocent_calls_get_all_their_vectors(company, kind, batch, proven):
    """Whoever else is in the request, and whether the guilty texts are named or not: a call fails by its own only."""
    calls, guilty = company
    if kind == "unclear" and not proven:
        guilty = guilty - {("0", 0)}  # else nothing is ever accepted, and the request as such may be at fault
    service = refusing(guilty, UNCLEAR if kind == "unclear" else "Refused by policy.", named=kind == "named")
    desk = Desk(service, fresh(batch, proven=proven)).embed(*calls)
    blamed = {name for name, _ in guilty}
    innocent = {(one.name, i) for one in calls if one.name not in blamed for i in range(len(one.sizes))}
    assert innocent <= set(desk.accepted)
    assert len(set(desk.accepted)) == len(desk.accepted)
    assert {one.name for one in calls if one.failed} == blamed


@given(companies(), st.booleans())
def test_a_guilty_text_is_named_in_its_own_call(company, named):
    """The index in an error is a position among the texts of the call that gets it."""
    calls, guilty = company
    desk = Desk(refusing(guilty, named=named)).embed(*calls)
    by_index = {text: error.index for text, error in desk.failed.items() if error.index is not None}
    assert all(index == text[1] for text, index in by_index.items())
    assert {name for name, _ in guilty} == {name for name, _ in by_index}


@pytest.mark.parametrize("position", [0, 1, 255, 256, 300, 511])
@pytest.mark.parametrize("message", ["Refused by policy.", UNCLEAR], ids=["about a text", "unclear"])
def test_one_guilty_text_is_found_by_halving(position, message):
    """Of 512 texts one is found with 2·log2(512) more requests, also by a client that has had no answer yet."""
    desk = Desk(refusing({("a", position)}, message)).embed(call(512))
    assert len(desk.requests) <= 1 + 2 * math.log2(512)
    assert [("a", position)] == list(desk.failed)
    assert position == desk.failed["a", position].index
    assert len(desk.accepted) == 511


@pytest.mark.parametrize("position", [0, 77, 511])
def test_one_named_text_costs_one_more_request(position):
    """A text that the message names is left out at once; what stood before and after it goes together."""
    desk = Desk(refusing({("a", position)}, named=True)).embed(call(512))
    assert len(desk.requests) == 2
    assert (position, 511) == (desk.failed["a", position].index, len(desk.accepted))


def test_a_named_text_costs_other_calls_one_request():
    """The others of the request travel together again."""
    desk = Desk(refusing({("b", 1)}, named=True)).embed(call(3, "a"), call(3, "b"), call(3, "c"))
    assert len(desk.requests) <= 3
    assert len(desk.accepted) == 8
    assert desk.pauses == {0.0}
    assert {text: error.index for text, error in desk.failed.items()} == {("b", 1): 1}


REQUEST_ERRORS = [
    bad("The model 'x' does not support embeddings.", "model"),
    bad("This model does not support specifying dimensions.", "dimensions"),
    bad("This model does not support specifying dimensions."),
    bad("'$.user' is invalid. Please check the API reference.", "user"),
    NotFoundError("The model 'x' does not exist.", status_code=404),
    AuthenticationError("No.", status_code=401),
    InsufficientBalanceError("No.", status_code=402),
    PermissionDeniedError("No.", status_code=403),
    QuotaExceededError("No.", status_code=429),
    InvalidResponseError("No.", retries=0),
    ElectronHubError("No."),
]


@pytest.mark.parametrize("error", REQUEST_ERRORS, ids=str)
def test_an_error_of_the_request_costs_one_request(error):
    """What no text can cure is not tried again, and everybody in the request hears of it."""
    desk = Desk(lambda *_: error).embed(call(30, "a"), call(30, "b"))
    assert (len(desk.requests), len(desk.failed)) == (1, 60)
    assert {None} == {reason.index for reason in desk.failed.values()}


@pytest.mark.parametrize(
    "error", [APIConnectionError("x"), APITimeoutError("x"), RateLimitError("x"), ServerError("x")], ids=repr
)
@pytest.mark.parametrize("max_retries", [0, 1, 4])
def test_a_failure_that_can_pass_is_tried_max_retries_more_times(error, max_retries):
    """A request that always fails is sent max_retries + 1 times."""
    desk = Desk(lambda *_: error, max_retries=max_retries).embed(call(30))
    assert max_retries + 1 == len(desk.requests)
    assert len(desk.failed) == 30


def test_texts_that_join_a_retry_have_their_own_attempts():
    """A fresh text beside a tired one is not given up with it."""
    tired, new = Piece(call(1, "a"), 0, 1, attempts=2), call(1, "b").whole()
    aftermath = sort_out([tired, new], ServerError("x", status_code=500), "base64", RetryPolicy(2), fresh())
    assert texts([piece for piece, _ in aftermath.failed]) == [("a", 0)]
    assert [(texts([piece])[0], piece.attempts) for _, piece in aftermath.again] == [(("b", 0), 1)]


def test_a_wrong_row_is_asked_for_again_as_long_as_its_own_attempts_last():
    """That a neighbour in the request is given up does not take a fresh text's next attempt."""
    tired, new = Piece(call(1, "a"), 0, 1, attempts=2), call(2, "b").whole()
    error = InvalidResponseError("No number.", index=1)
    aftermath = sort_out([tired, new], error, "base64", RetryPolicy(2), fresh())
    assert [(texts([piece]), reason.index) for piece, reason in aftermath.failed] == [([("a", 0)], None)]
    assert texts([piece for _, piece in aftermath.again]) == [("b", 0), ("b", 1)]


def test_a_failed_call_is_not_tried_again():
    """A retry is not spent on texts for which nobody waits."""
    gone, waits = Call("a", [1, 1], failed=True).whole(), call(2, "b").whole()
    aftermath = sort_out([gone, waits], ServerError("x", status_code=500), "base64", RetryPolicy(2), fresh())
    assert [gone] == [piece for piece, _ in aftermath.failed]
    assert texts([piece for _, piece in aftermath.again]) == [("b", 0), ("b", 1)]


def test_nobody_searches_for_calls_that_have_failed():
    """Halving stops where no call of the request is waited for."""
    gone = Call("a", [1] * 8, failed=True).whole()
    aftermath = sort_out([gone], bad(UNCLEAR), "base64", RetryPolicy(2), fresh(proven=True))
    assert (aftermath.again, aftermath.apart, len(texts([piece for piece, _ in aftermath.failed]))) == ([], [], 8)


@pytest.mark.parametrize("wrong", [("a", 0), ("a", 2), ("b", 0), ("b", 1), ("b", 2), ("c", 0), ("c", 2)])
def test_a_wrong_row_is_left_out_when_asking_again_does_not_help(wrong):
    """A text whose vector never is a number fails alone, after one more request for all, and two for the others."""

    def service(sent, _encoding):
        return InvalidResponseError("No number.", index=sent.index(wrong), retries=1) if wrong in sent else None

    desk = Desk(service).embed(call(3, "a"), call(3, "b"), call(3, "c"))
    assert {text: error.index for text, error in desk.failed.items()} == {wrong: wrong[1]}
    assert (len(desk.requests), len(desk.accepted)) == (4, 8)


def test_base64_that_is_refused_becomes_float():
    """A service that only knows numbers is asked for numbers, from then on."""
    formats = []

    def service(_sent, encoding):
        formats.append(encoding)
        return bad("Only 'float' is supported.", "encoding_format") if encoding == "base64" else None

    desk = Desk(service).embed(call(30))
    assert (formats, desk.pauses) == (["base64", "float"], {0.0})
    assert len(desk.accepted) == 30
    desk.embed(call(1, "b"))
    assert formats[-1] == "float"


def test_float_that_is_refused_is_the_end():
    """There is no third encoding to try."""
    desk = Desk(lambda *_: bad("'encoding_format' is invalid.", "encoding_format")).embed(call(30))
    assert (len(desk.requests), len(desk.failed)) == (2, 30)


def test_requests_that_were_under_way_with_base64_are_sent_again_too():
    """What had asked for base64 before the first refusal was heard deserves the other encoding as well."""
    experience = fresh()
    for name in ("a", "b"):
        error = bad("Only 'float' is supported.", "encoding_format")
        aftermath = sort_out([call(3, name).whole()], error, "base64", RetryPolicy(0), experience)
        assert [(name, 0), (name, 1), (name, 2)] == texts([piece for _, piece in aftermath.again])
    assert experience.encoding_format == "float"


TOO_MANY = "Invalid 'input': array too long. Expected an array with maximum length {}, but got an array with length {}."


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("limit", [1, 100, 2047])
def test_a_refusal_of_many_inputs_is_learned(limit, named):
    """The service's number of inputs is found, once for the life of the client, and every text gets its vector."""

    def service(sent, _encoding):
        too_many = TOO_MANY.format(limit, len(sent)) if named else "Too many inputs."
        return bad(too_many, "input") if len(sent) > limit else None

    desk = Desk(service).embed(call(4096))
    refused = sum(len(request) > limit for request in desk.requests)
    assert refused <= (1 if named else math.ceil(math.log2(2048 / limit)))
    assert 4096 == len(set(desk.accepted)) == len(desk.accepted)
    assert all(len(request) <= limit for request in desk.requests[refused:])


MESSAGES = {
    "limit and sum": "Requested {sent} tokens, max {limit} tokens per request",
    "limit": "Invalid 'input': maximum request size is {limit} tokens per request.",
    "nothing": "Request too large.",
}


@pytest.mark.parametrize("words", MESSAGES)
@pytest.mark.parametrize("limit", [20_000, 100_000, 250_000])
def test_a_refusal_of_many_tokens_is_learned(words, limit):
    """The service's size of a request is found in a few refusals, and every text gets its vector."""
    size = 1000

    def service(sent, _encoding):
        tokens = sum(size if name == "a" else 1 for name, _ in sent)
        return bad(MESSAGES[words].format(sent=tokens, limit=limit)) if tokens > limit else None

    desk = Desk(service).embed(call(2000, size=size))
    refused = sum(size * len(request) > limit for request in desk.requests)
    assert refused <= {"limit and sum": 1, "limit": 4, "nothing": 6}[words]
    assert 2000 == len(set(desk.accepted)) == len(desk.accepted)
    if words != "nothing":  # without a number it may have been too many inputs
        before = len(desk.requests)
        desk.embed(call(2000, "short"))
        assert len(desk.requests) == before + 1


def test_a_refusal_that_tells_its_tokens_tells_their_price():
    """With what the request had and what it may have, the next ones are as full as they may be."""

    def service(sent, _encoding):
        tokens = 400 * len(sent)
        return bad(MESSAGES["limit and sum"].format(sent=tokens, limit=100_000)) if tokens > 100_000 else None

    experience = fresh()
    experience.capacity.learn_price(1000, 230)
    desk = Desk(service, experience).embed(call(1200, size=1000))
    assert [len(request) > 250 for request in desk.requests] == [True] + [False] * 6


def test_a_413_without_words_is_learned():
    """An error page that only says "too large" makes the requests smaller for good."""

    def service(sent, _encoding):
        return bad("an HTML page", status=413) if len(sent) > 70 else None

    desk = Desk(service).embed(call(2000))
    assert sum(len(request) > 70 for request in desk.requests) <= 5
    assert len(desk.accepted) == 2000


def test_one_text_that_is_too_large_fails_alone():
    """Nothing is smaller than one text: it fails, with its place, and the others do not."""

    def service(sent, _encoding):
        return bad("Request too large.", status=413) if ("a", 5) in sent else None

    desk = Desk(service).embed(call(8, "a"), call(8, "b"))
    assert {text: error.index for text, error in desk.failed.items()} == {("a", 5): 5}
    assert len(desk.accepted) == 15


def test_a_request_that_nobody_can_cure_is_given_up():
    """When nothing was ever accepted, not every text is tried alone against an unclear message."""
    desk = Desk(lambda *_: bad(UNCLEAR)).embed(call(2048))
    assert len(desk.requests) <= math.log2(2048) + 3 * HOPELESS + math.log2(2048)
    assert len(desk.failed) == 2048


def test_many_calls_that_nobody_can_cure_are_given_up():
    """Also with many calls in the request only a few texts are tried alone."""
    calls = [call(8, str(number)) for number in range(64)]
    alone = [request for request in Desk(lambda *_: bad(UNCLEAR)).embed(*calls).requests if len(request) == 1]
    assert HOPELESS <= len(alone) <= HOPELESS + 1  # texts go alone in twos
    assert all(one.failed for one in calls)


def test_hope_ends_with_the_third_text():
    """Three single texts refused without a reason before anything was accepted: the request is taken to be at fault."""
    experience = fresh()
    for number in range(HOPELESS):
        left = sort_out([call(8).whole()], bad(UNCLEAR), "base64", RetryPolicy(2), experience)
        assert [len(texts(part)) for part in left.apart] == [4, 4]
        sort_out([call(1, str(number)).whole()], bad(UNCLEAR), "base64", RetryPolicy(2), experience)
    left = sort_out([call(8).whole()], bad(UNCLEAR), "base64", RetryPolicy(2), experience)
    assert (left.again, left.apart, len(left.failed)) == ([], [], 1)


def test_a_call_with_many_guilty_texts_is_given_up():
    """A few requests are spent on the rest of a call that has failed already, then it goes as a whole."""
    desk = Desk(refusing({("a", i) for i in range(100)}, named=True)).embed(call(100, "a"), call(5, "b"))
    assert len(desk.requests) == 1 + LAST_CHANCES + 1
    assert (len(desk.failed), len(desk.accepted)) == (100, 5)


def test_texts_that_were_named_take_no_hope():
    """Refusals that say which text they mean do not make the request as such suspect."""
    experience = fresh()
    for number in range(HOPELESS + 1):
        sort_out([call(5).whole()], bad(f"Invalid 'input[{number}]': no."), "base64", RetryPolicy(2), experience)
    aftermath = sort_out([call(8).whole()], bad(UNCLEAR), "base64", RetryPolicy(2), experience)
    assert [len(texts(part)) for part in aftermath.apart] == [4, 4]


def test_one_answer_is_hope():
    """Once anything was accepted, unclear refusals are the fault of texts, however many were refused before."""
    guilty = {("a", 0), ("a", 1), ("a", 2), ("c", 0)}
    desk = Desk(refusing(guilty, UNCLEAR)).embed(call(4, "a"), call(8, "b"), call(8, "c"))
    assert {("b", i) for i in range(8)} <= set(desk.accepted)
    assert {"a", "c"} == {name for name, _ in desk.failed}


VERDICTS = [
    None,
    *REQUEST_ERRORS,
    bad(UNCLEAR),
    bad("Refused by policy."),
    bad("Invalid 'input[0]': maximum input length is 8192 tokens."),
    bad("Invalid 'input[3]': maximum input length is 8192 tokens."),
    bad("Too many inputs."),
    bad(TOO_MANY.format(2, 9)),
    bad(TOO_MANY.format(2048, 2048)),
    bad("Requested 416735 tokens, max 300000 tokens per request"),
    bad("Requested 5000 tokens, max 5000 tokens per request"),
    bad("Invalid 'input': maximum request size is 300000 tokens per request."),
    bad("Request too large.", status=413),
    bad("Only 'float' is supported.", "encoding_format"),
    APIConnectionError("x"),
    RateLimitError("x", status_code=429, retry_after=180.0),
    ServerError("x", status_code=500),
    InvalidResponseError("x"),
    InvalidResponseError("x", index=0, retries=1),
    InvalidResponseError("x", index=0, retries=0),
]


@given(
    st.lists(st.sampled_from(VERDICTS), min_size=1, max_size=12),
    st.lists(st.lists(st.integers(1, 400_000), min_size=1, max_size=12), min_size=1, max_size=4),
    st.integers(1, 20),
)
def test_every_path_ends(verdicts, lengths, batch):
    """Whatever a service answers, each text ends accepted or failed, in a bounded number of tries."""
    count = 0

    def service(_sent, _encoding):
        nonlocal count
        count += 1
        return verdicts[count % len(verdicts)]

    calls = [Call(str(name), sizes) for name, sizes in enumerate(lengths)]
    desk = Desk(service, fresh(batch)).embed(*calls)
    everything = sorted((one.name, i) for one in calls for i in range(len(one.sizes)))
    assert everything == sorted([*desk.accepted, *desk.failed])
    assert len(desk.requests) <= 100 + 10 * len(everything)
