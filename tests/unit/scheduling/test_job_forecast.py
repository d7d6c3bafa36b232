"""The forecast for a call: what the scheduler then does."""

from dataclasses import replace
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from electronhub_embeddings._rate_limit.outlook import look_ahead
from electronhub_embeddings._rate_limit.rate_limit_headers import RateLimitHeaders
from electronhub_embeddings._rate_limit.safety_margin import SAFETY_MARGIN
from electronhub_embeddings._rate_limit.sliding_window import PERIOD, SlidingWindow
from electronhub_embeddings._scheduling import job_forecast
from electronhub_embeddings._scheduling.call import Attachment
from electronhub_embeddings._scheduling.drift_guard import DriftGuard
from electronhub_embeddings._scheduling.job_forecast import ASSUMED_ROUND_TRIP, forecast_job
from electronhub_embeddings.errors import ServerError
from electronhub_embeddings.usage import Usage
from support.scheduler_driver import Config, Driver, make_call, texts_of

HOLD = PERIOD + SAFETY_MARGIN
SIZES = st.lists(st.integers(1, 50), min_size=1, max_size=60)


def told(limit=None, **state):
    """Return a window after its first good answer."""
    return SlidingWindow(limit=limit, probing=False, **state)


def ask(driver, call, window=None, **options):
    """Forecast what a call needs."""
    outlook = look_ahead(window or told(5), driver.now, call.attachment.config.requests_per_minute)
    return forecast_job(driver.scheduler._queues, call, outlook, driver.now, **options)


def run(driver, call, tokens_per_byte=None):
    """Send all that waits, and count the requests with texts of the call."""
    sent = 0
    for _ in count():
        batch = driver.grant(linger=0.0)
        if batch is None:
            return sent
        sent += any(number == call.number for number, _ in texts_of(batch.slices))
        driver.finish(batch, tokens=0 if tokens_per_byte is None else round(batch.size * tokens_per_byte))
    return None


@given(st.lists(SIZES, max_size=3), SIZES, SIZES, st.integers(1, 9), st.integers(20, 200))
def test_requests_are_those_that_are_then_sent(before, sizes, after, batch_size, max_tokens):
    """For any calls before and after it, a call needs as many requests as the scheduler then sends."""
    driver = Driver(Config(batch_size=batch_size))
    calls = [driver.submit(some) for some in (*before, sizes, after)]
    call, limits = calls[-2], driver.scheduler._queues.of(calls[-2]).learned.limits
    limits.max_tokens, limits.observed = max_tokens, True
    forecast = ask(driver, call)
    assert forecast.requests == run(driver, call)


@given(SIZES, SIZES, st.integers(1, 9))
def test_a_new_call_is_forecast_as_if_it_was_made(before, sizes, batch_size):
    """A call that is not made counts behind all that waits, and nothing is changed."""
    driver = Driver(Config(batch_size=batch_size))
    driver.submit(before)
    forecast = ask(driver, make_call(sizes, config=driver.config), weight=0.25 * sum(sizes))
    assert replace(forecast, tokens=(0, 0, 0)) == ask(driver, driver.submit(sizes))


def test_a_configuration_that_nobody_uses_is_forecast_as_well():
    """Before the first text, everything is as in a new queue, and behind the texts of other configurations."""
    driver = Driver()
    assert ask(driver, make_call(20, config=Config("other")), weight=40.0).requests == 3
    driver.submit(40)
    forecast = ask(driver, make_call(20, config=Config("other")), weight=40.0)
    assert (forecast.requests, forecast.seconds) == (3, pytest.approx(HOLD + 2 * ASSUMED_ROUND_TRIP))


def test_no_texts_need_no_request():
    """A call whose texts are all in the cache is forecast as well."""
    forecast = ask(Driver(), make_call([]), weight=0.0)
    assert (forecast.requests, forecast.tokens) == (0, (0, 0, 0))


def test_younger_calls_of_other_configurations_come_later():
    """Only older calls, and queries, leave before a call."""
    driver = Driver()
    call = driver.submit(8)
    driver.submit(80, config=Config("other"))
    assert ask(driver, call).seconds == ASSUMED_ROUND_TRIP
    for _ in range(5):
        driver.submit(8, config=Config("other"), is_query=True)
    assert ask(driver, call).seconds == pytest.approx(HOLD + 2 * ASSUMED_ROUND_TRIP)


def test_the_first_batch_is_careful_and_the_next_are_not():
    """Before the first answer a batch is small; those after it are expected to be four times as full, less a margin."""
    driver = Driver(Config(batch_size=2048, max_concurrency=8))
    sizes = [1000] * 4000
    call = driver.submit(sizes)
    assert ask(driver, call, SlidingWindow()).requests == 1 + -(-3700 // 1142)
    assert ask(driver, call, told(100)).requests == 7 + -(-(4000 - 7 * 300) // 1142)
    driver.finish(driver.grant(linger=0.0), tokens=75_000)
    assert ask(driver, call).requests == -(-3700 // 1142)


def test_no_answer_comes_before_a_request():
    """If nothing may start for half a minute, the first batches are as careful as at once."""
    driver = Driver(Config(batch_size=2048, max_concurrency=8))
    call = driver.submit([1000] * 4000)
    assert ask(driver, call, told(100, unknown_until=driver.now + 30)).requests == ask(driver, call, told(100)).requests


def test_an_answer_on_its_way_is_an_answer():
    """A batch that is in flight teaches the size of those after it."""
    driver = Driver(Config(batch_size=2048, max_concurrency=2))
    call = driver.submit([1000] * 1000)
    driver.grant(linger=0.0)
    assert ask(driver, call).requests == 1


def test_the_time_is_that_of_the_window():
    """The last request starts when the window has a slot for it, and takes a round trip."""
    driver = Driver()
    call = driver.submit(8 * 11)
    assert ask(driver, call).seconds == pytest.approx(2 * HOLD + 3 * ASSUMED_ROUND_TRIP)
    assert ask(driver, call, told(100)).seconds == pytest.approx(4 * ASSUMED_ROUND_TRIP)  # three connections


def test_a_round_trip_is_measured():
    """The time of answers with documents counts, smoothed; that of queries does not."""
    driver = Driver()
    call = driver.submit(8 * 6)
    for seconds in (2.0, 4.0):
        driver.finish(driver.grant(linger=0.0), seconds=seconds)
    assert ask(driver, call, told(100)).seconds == pytest.approx(2 * 2.5)
    driver.submit(8, is_query=True)
    driver.finish(driver.grant(linger=0.0), seconds=9.0)
    assert ask(driver, call, told(100)).seconds == pytest.approx(2 * 2.5)


def test_a_pause_before_a_retry_is_waited_for():
    """Texts that pause are not expected before their pause is over."""
    driver = Driver()
    call = driver.submit(4)
    driver.finish(driver.send(), ServerError("x", status_code=503, retry_after=40.0))
    forecast = ask(driver, call)
    assert (forecast.requests, forecast.seconds) == (1, pytest.approx(40.0 + ASSUMED_ROUND_TRIP))


def test_texts_in_flight_need_no_request():
    """If all texts are on the wire, only an answer is waited for."""
    driver = Driver()
    call = driver.submit(4)
    driver.send()
    forecast = ask(driver, call)
    assert (forecast.requests, forecast.seconds, forecast.tokens) == (0, ASSUMED_ROUND_TRIP, (0, 0, 0))


def test_without_a_limit_texts_are_divided():
    """If no limit is in force, the texts are divided among the connections, as the scheduler does it."""
    driver = Driver(Config(batch_size=2048, max_concurrency=4))
    call = driver.submit(1000)
    forecast = ask(driver, call, told())
    sent = 0
    while (batch := driver.grant()) is not None:
        sent += 1
        driver.finish(batch)
    assert (forecast.requests, forecast.requests_per_minute) == (sent, None)
    assert forecast.seconds == pytest.approx(-(-sent // 3) * ASSUMED_ROUND_TRIP)


def test_before_the_first_answer_there_is_no_time():
    """Without a limit, requests are known and seconds are not; with one of the client's own, both are."""
    driver = Driver()
    call = driver.submit(80)
    assert (ask(driver, call, SlidingWindow()).requests, ask(driver, call, SlidingWindow()).seconds) == (10, None)
    own = make_call(80, config=Config("other", requests_per_minute=5))
    forecast = ask(Driver(), own, SlidingWindow(), weight=4.0)
    alone, in_threes = ASSUMED_ROUND_TRIP, 2 * ASSUMED_ROUND_TRIP
    assert forecast.seconds == pytest.approx(alone + HOLD + alone + in_threes)
    assert forecast.source == "option"


@pytest.mark.parametrize("most", [1, 10, 100])
def test_a_long_job_is_extrapolated(monkeypatch, most):
    """Beyond a number of batches, the others are taken to be like these, and the time is that of whole windows."""
    driver = Driver(Config(batch_size=8))
    driver.submit(80)
    call = driver.submit([3, 5] * 2000)
    exact = ask(driver, call, most=10_000)
    monkeypatch.setattr(job_forecast, "MAX_PLANNED", most)
    forecast = ask(driver, call, most=most)
    assert forecast.requests == pytest.approx(exact.requests, abs=1)
    assert forecast.seconds == pytest.approx(exact.seconds, rel=0.01)


def test_an_end_in_sight_is_not_extrapolated():
    """A job of exactly as many batches as are formed one by one is exact."""
    driver = Driver(Config(batch_size=1))
    call = driver.submit(30)
    assert ask(driver, call, most=30) == ask(driver, call, most=31)


def test_many_batches_before_are_not_all_formed():
    """The texts of other configurations are formed into a bounded number of batches."""
    driver = Driver()
    driver.submit(8000, config=Config("other"))
    forecast = ask(driver, driver.submit(8), told(1))
    before = job_forecast.MAX_PLANNED * (HOLD + ASSUMED_ROUND_TRIP)
    assert (forecast.requests, forecast.seconds) == (1, pytest.approx(before + ASSUMED_ROUND_TRIP))


def test_batches_before_are_full():
    """The texts of other configurations take no more requests than they need."""
    driver = Driver()
    driver.submit(1000, config=Config("other", batch_size=1000))
    assert ask(driver, driver.submit(8), told(1)).seconds == pytest.approx(HOLD + 2 * ASSUMED_ROUND_TRIP)


def test_documents_are_expected_to_leave_spaced():
    """As long as interactive calls are expected, unless the documents may not be spread."""
    window = told(5)
    assert window.acquire(100.0, "a question", max_duration=70.0, interactive=True) is None
    window.complete(100.0, "a question", RateLimitHeaders(), counted=100.0, good=True)
    for spread, seconds in ((True, 2 * HOLD / 5), (False, 0.0)):
        driver = Driver(Config(spread_documents=spread))
        assert ask(driver, driver.submit(16), window).seconds == pytest.approx(seconds + ASSUMED_ROUND_TRIP)


def test_tokens_are_those_of_a_new_call():
    """Its texts were weighed; those of a call that waits were not."""
    driver = Driver()
    assert ask(driver, make_call([40] * 12, config=driver.config), weight=130.4).tokens == (130, 12, 480)
    assert ask(driver, driver.submit([40] * 12)).tokens == (0, 0, 0)


@pytest.mark.parametrize(("weight", "requests"), [(100.0, 2), (400.0, 4), (800.0, 4)])
def test_a_new_call_is_as_heavy_as_its_texts(weight, requests):
    """Before the first answer, what fits into a request after the first one follows from the weight."""
    driver = Driver(Config(batch_size=1000, max_concurrency=2))
    driver.scheduler._queues.of(driver.submit(1)).learned.limits.max_tokens = 120
    assert ask(driver, make_call([1] * 400, config=driver.config), weight=weight).requests == requests


@pytest.mark.parametrize(("texts", "requests"), [(7, 1), (8, 2), (15, 2), (16, 3)])
def test_the_place_of_the_reference_text_is_known(texts, requests):
    """Until a request is answered, each has a place less for texts if the model is to be checked."""
    driver, guard = Driver(Config(batch_size=8, max_concurrency=2)), DriftGuard()
    call = driver.submit(texts, attachment=Attachment(driver.config, Usage(), guard))
    assert ask(driver, call).requests == requests
    guard.confirm(driver.now)
    assert ask(driver, call).requests == -(-texts // 8)
