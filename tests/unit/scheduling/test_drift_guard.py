"""The reference text: when it travels, what it costs, and what a refusal of it leads to."""

import contextlib
import warnings

import pytest

from electronhub_embeddings._codec.reference_vector import REFERENCE_BYTES, REFERENCE_TEXT
from electronhub_embeddings._scheduling.call import Attachment
from electronhub_embeddings._scheduling.drift_guard import CHECK_INTERVAL, DriftGuard, ModelChange
from electronhub_embeddings.errors import InvalidResponseError, ServerError
from electronhub_embeddings.usage import Usage
from support.scheduler_driver import Config, Driver, make_call, refusal, texts_of

CONFIG = Config(max_retries=2)
ROOM = Config(batch_size=1000)


class Output:
    """Forgets vectors, and remembers that it did."""

    forgotten = 0

    def forget_known(self):
        """Count."""
        self.forgotten += 1


@pytest.fixture
def guard():
    """Return a guard whose check is due."""
    return DriftGuard()


@pytest.fixture
def driver():
    """Return a driver."""
    return Driver(CONFIG)


def guarded(guard, config=CONFIG, **options):
    """Return a client with a guard."""
    return Attachment(config, Usage(), guard, **options)


def test_a_check_is_due_at_first_and_once_an_hour(guard):
    """After a check none is due for an hour."""
    assert guard.is_due(0.0)
    guard.confirm(100.0)
    assert not guard.is_due(100.0 + CHECK_INTERVAL - 1)
    assert guard.is_due(100.0 + CHECK_INTERVAL)


def test_no_check_is_due_after_a_change_or_a_refusal(guard):
    """What is known for good is not checked again, until the cache is another one."""
    guard.give_up()
    assert not guard.is_due(1e12)
    guard.reset()
    assert guard.is_due(0.0)
    change = ModelChange("changed", b"")
    guard.report(change)
    assert (guard.change, guard.is_due(1e12)) == (change, False)
    guard.reset()
    assert (guard.change, guard.is_due(0.0)) == (None, True)


def test_it_travels_last_until_the_model_is_confirmed(driver, guard):
    """Each batch that is formed before the first answer carries it, beside the texts of others."""
    driver.submit(2)
    driver.submit(1, attachment=guarded(guard))
    batch = driver.send(linger=0.0)
    assert batch.texts == ["t0", "t1", "t0", REFERENCE_TEXT]
    assert (batch.inputs, batch.size) == (4, 3 + REFERENCE_BYTES)
    assert [batch.is_reference(position) for position in (None, 2, 3)] == [False, False, True]
    driver.submit(1, attachment=guarded(guard))
    assert driver.send(linger=0.0).reference_for is not None
    guard.confirm(driver.now)
    driver.submit(1, attachment=guarded(guard))
    batch = driver.send(linger=0.0)
    assert (batch.texts, batch.inputs, batch.is_reference(1)) == (["t0"], 1, False)


def test_it_does_not_travel_without_its_client(driver, guard):
    """Batches of other clients do not carry it, although the client is there."""
    driver.submit(1, attachment=guarded(guard), is_query=True)
    driver.submit(8)
    query, documents = driver.send(), driver.send()
    assert query.texts == ["t0", REFERENCE_TEXT]
    assert (documents.inputs, documents.is_unchecked) == (8, False)


def test_limits_hold_with_it(driver, guard):
    """It takes the place of a text, and the bytes of some."""
    driver.submit(8, attachment=guarded(guard))
    assert [driver.send(linger=0.0).inputs, driver.send(linger=0.0).inputs] == [8, 2]
    other, tight = Driver(ROOM), DriftGuard()
    other.submit([1] * 200, attachment=guarded(tight, ROOM))
    queue = next(iter(other.scheduler._queues))
    queue.learned.limits.max_tokens = 100
    batch = other.send(linger=0.0)
    assert (batch.inputs, batch.size) == (100 - REFERENCE_BYTES + 1, 100)


@pytest.mark.parametrize(
    ("config", "size", "is_unchecked"),
    [(Config(batch_size=1), 1, False), (Config(batch_size=2), 300_000, True), (ROOM, 300_000, True)],
)
def test_there_may_be_no_room(guard, config, size, is_unchecked):
    """A text that leaves no room travels alone; its vector is not kept, unless no request could have had room."""
    driver = Driver(config)
    driver.submit([size], attachment=guarded(guard, config))
    batch = driver.send(linger=0.0)
    assert (batch.reference_for, batch.is_unchecked) == (None, is_unchecked)


def test_its_tokens_count_for_the_client_that_it_is_for(driver, guard):
    """Its share of the tokens is its client's, and it is no text of anybody."""
    other, checked = driver.attach(), guarded(guard)
    driver.submit([26], attachment=other)
    driver.submit([30], attachment=checked)
    batch = driver.send(linger=0.0)
    assert batch.size == 100
    driver.finish(batch, tokens=50)
    assert (other.usage.prompt_tokens, other.usage.texts) == (13, 1)
    assert (checked.usage.prompt_tokens, checked.usage.texts) == (37, 1)
    limits = next(iter(driver.scheduler._queues)).learned.limits
    assert limits.tokens_per_byte == pytest.approx(0.5 * 1.05)


def test_it_travels_again_after_a_failure(driver, guard):
    """An attempt that failed has checked nothing."""
    driver.submit(1, attachment=guarded(guard))
    batch = driver.send()
    driver.finish(batch, ServerError("x", status_code=503))
    driver.now += 60
    assert driver.send().reference_for is not None


# Refusals.


REFUSED = refusal("Invalid 'input[2]': the text is against our policy.")
UNUSABLE = InvalidResponseError("A vector has a number that is not finite.", index=2, retries=1)


@pytest.mark.parametrize("errors", [[REFUSED], [UNUSABLE, UNUSABLE]], ids=["refused", "unusable twice"])
def test_if_it_is_at_fault_it_is_not_sent_again(driver, guard, errors):
    """The texts are sent again at once without it, as if nothing had happened."""
    call = driver.submit(2, attachment=guarded(guard))
    for error in errors:
        driver.finish(driver.send(), error)
    batch = driver.send()
    assert (batch.texts, batch.slices[0].attempts, guard.is_due(1e12)) == (["t0", "t1"], 0, False)
    driver.finish(batch)
    assert (driver.ended, call.error) == ([call], None)


@pytest.mark.parametrize(
    "meanwhile", [lambda guard: guard.confirm(0.0), DriftGuard.reset], ids=["good answer", "new cache"]
)
def test_one_damaged_answer_does_not_end_the_checks(driver, guard, meanwhile):
    """If its vector is unusable once, it travels again at once; only twice in a row is no chance."""
    driver.submit(2, attachment=guarded(guard))
    driver.finish(driver.send(), UNUSABLE)
    batch = driver.send()
    assert (batch.reference_for is not None, batch.slices[0].attempts) == (True, 0)
    meanwhile(guard)
    driver.finish(batch, UNUSABLE)
    assert guard.is_due(1e12)


def test_a_text_beside_it_is_named(driver, guard):
    """The text fails, and the other travels with the reference text again."""
    call = driver.submit(2, attachment=guarded(guard))
    driver.finish(driver.send(), refusal("Invalid 'input[0]': maximum input length is 8192 tokens."))
    batch = driver.send()
    assert batch.texts == ["t1", REFERENCE_TEXT]
    driver.finish(batch)
    assert call.error.index == 0


def serve(driver, refuses, words="Bad Request", most=20):
    """Answer batches until none is left; refuse those that have an unwanted input. Return the inputs of each."""
    requests = []
    while driver.ended == [] and len(requests) < most:
        batch = driver.send(linger=0.0)
        requests.append(batch.texts)
        is_refused = any(text in refuses for text in batch.texts)
        if not is_refused and batch.reference_for is not None:
            batch.reference_for.call.guard.confirm(driver.now)
        driver.finish(batch, refusal(words) if is_refused else None)
    return requests


@pytest.mark.parametrize("words", ["Bad Request", "The request was refused by the content policy."])
@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_if_it_is_refused_without_a_name(driver, guard, count, words):
    """Texts that are accepted alone clear themselves: the reference text is at fault, and no text fails."""
    call = driver.submit(count, attachment=guarded(guard))
    requests = serve(driver, {REFERENCE_TEXT}, words)
    assert call.error is None
    assert not guard.is_due(1e12)
    assert REFERENCE_TEXT not in requests[-1]


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_if_a_text_beside_it_is_refused_without_a_name(driver, guard, count):
    """The text at fault is found as without the reference text, which goes on travelling."""
    call = driver.submit(count, attachment=guarded(guard))
    serve(driver, {f"t{count - 1}"})
    assert call.error.index == count - 1
    guard._next_check = min(guard._next_check, driver.now)
    assert guard.is_due(driver.now)


def test_a_text_alone_in_a_search_is_not_checked(driver, guard):
    """It travels without the reference text, because it would be open which of the two is refused."""
    driver.submit(1, attachment=guarded(guard))
    driver.finish(driver.send(), refusal())
    batch = driver.send()
    assert (batch.texts, batch.is_unchecked) == (["t0"], True)


def test_a_refusal_for_size_counts_it(guard):
    """If one text and the reference text are too many inputs, the text travels alone."""
    driver = Driver(CONFIG)
    call = driver.submit(1, attachment=guarded(guard))
    driver.finish(driver.send(), refusal("Invalid 'input': array too long."))
    batch = driver.send()
    assert (batch.texts, batch.is_unchecked) == (["t0"], False)
    driver.finish(batch)
    assert call.error is None


# Another model.


def submit_with_known(driver, guard, **options):
    """Submit a call of three texts, one of which is in the cache."""
    call = driver.submit(3, attachment=guarded(guard, **options), cache=object())
    driver.action()
    call.known, call.output = 1, Output()
    driver.scheduler.looked_up(call, None, driver.now)
    return call


def test_cached_vectors_of_another_model_are_replaced(driver, guard):
    """Texts that were found are sent as well, and are no hits."""
    call = submit_with_known(driver, guard)
    assert call.attachment.usage.cache_hits == call.progress.done == 1
    batch = driver.send()
    assert texts_of(batch.slices) == [(call.number, 1), (call.number, 2)]
    guard.report(ModelChange("changed", b""))
    driver.finish(batch)
    assert (call.attachment.usage.cache_hits, call.output.forgotten, driver.ended) == (0, 1, [])
    batch = driver.send()
    assert (texts_of(batch.slices), batch.texts) == ([(call.number, 0)], ["t0"])
    driver.finish(batch)
    assert (driver.ended, call.progress.done, call.attachment.usage.texts) == ([call], 3, 3)


def test_a_failed_call_keeps_its_cached_vectors(driver, guard):
    """Nothing more is sent for a call that has failed."""
    call = submit_with_known(driver, guard, raises_on_change=True)
    batch = driver.send()
    guard.report(ModelChange("changed", b""))
    call.fail(ServerError("x", status_code=500))
    driver.finish(batch)
    assert (driver.ended, call.known) == ([call], 1)


@pytest.mark.parametrize("error", [None, ServerError("x", status_code=500)], ids=["vectors", "error"])
def test_a_result_of_another_model_comes_with_a_warning(guard, error):
    """Vectors are returned with a warning; an error is raised as it is, because it has a next step of its own."""
    call = make_call(attachment=guarded(guard))
    guard.report(ModelChange("It has changed.", b""))
    call.error = error
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with contextlib.nullcontext() if error is None else pytest.raises(ServerError):
            call.result()
    assert [str(warning.message)[:15] for warning in caught] == ([] if error else ["It has changed."])


def test_a_neighbour_without_a_guard(driver, guard):
    """A refused reference text is given up for the client that it was for, and others are not concerned."""
    driver.submit(1)
    driver.submit(1, attachment=guarded(guard))
    driver.finish(driver.send(linger=0.0), refusal("Invalid 'input[2]': the text is against our policy."))
    assert not guard.is_due(1e12)
    assert driver.send(linger=0.0).texts == ["t0", "t0"]


def test_a_reference_text_that_was_accepted_is_not_at_fault(driver, guard):
    """If half of a search is accepted with it, it goes on travelling, even if no text is found to be at fault."""
    driver.submit(4, attachment=guarded(guard))
    driver.finish(driver.send(), refusal())
    driver.finish(driver.send())  # two texts and the reference text
    driver.finish(driver.send())
    driver.finish(driver.send())
    assert guard.is_due(driver.now)
