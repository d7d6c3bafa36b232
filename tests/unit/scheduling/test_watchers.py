"""Who is told how long it takes, and when: inquiries at once, bars after each answer, the log once."""

import logging

import pytest

from electronhub_embeddings._rate_limit.foreign_share import ForeignShare
from electronhub_embeddings._rate_limit.guessed_limit import GuessedLimit
from electronhub_embeddings._rate_limit.outlook import look_ahead
from electronhub_embeddings._rate_limit.safety_margin import SAFETY_MARGIN
from electronhub_embeddings._rate_limit.sliding_window import PERIOD, SlidingWindow
from electronhub_embeddings._scheduling.actions import AcquireSlot, LookAhead, Wait
from electronhub_embeddings._scheduling.batch_limits import MAX_TOKENS
from electronhub_embeddings._scheduling.call import Attachment
from electronhub_embeddings._scheduling.inquiry import MAX_PLANNED, Inquiry
from electronhub_embeddings._scheduling.job_forecast import ASSUMED_ROUND_TRIP
from electronhub_embeddings._scheduling.waiting_texts import WaitingTexts
from electronhub_embeddings._scheduling.watchers import LONG_JOB
from electronhub_embeddings.errors import ElectronHubError, ServerError
from electronhub_embeddings.usage import Usage
from support.scheduler_driver import Config, Driver, make_call

HOLD = PERIOD + SAFETY_MARGIN


@pytest.fixture
def driver():
    """Return a driver of a scheduler."""
    return Driver()


@pytest.fixture
def lines(caplog):
    """Return a function that lists the log's lines."""
    caplog.set_level(logging.INFO, "electronhub_embeddings")
    return lambda: [(record.levelname, record.getMessage()) for record in caplog.records]


def forecasts(call):
    """List the forecasts of a call: requests, seconds, limit."""
    return call.progress.forecasts


def answered(driver, batch, **options):
    """Finish a batch, and answer what the scheduler then asks."""
    driver.finish(batch, **options)
    driver.action()


def test_a_call_that_nobody_watches_asks_nothing(driver):
    """Without a bar, a call that fits into a request is never forecast."""
    driver.submit(8)
    assert isinstance(driver.scheduler.next_action(driver.now), AcquireSlot)
    driver.finish(driver.send())
    assert driver.scheduler.next_action(driver.now) == Wait(None)


def test_a_query_is_never_forecast(driver):
    """Queries of any number are not watched."""
    driver.submit(80, is_query=True)
    assert isinstance(driver.scheduler.next_action(driver.now), AcquireSlot)


def test_a_bar_is_told_after_each_answer(driver):
    """The first forecast is made at once, and one after each answer, of whatever kind; requests in flight count."""
    call = driver.submit(8 * 6, is_shown=True)
    first = driver.send()
    assert forecasts(call) == [(6, pytest.approx(driver.now + HOLD + 2), 5)]
    second = driver.send()
    driver.now += 2
    answered(driver, first)
    assert forecasts(call)[1:] == [(5, pytest.approx(driver.now + 2), 5)]
    answered(driver, second, error=ServerError("x", status_code=503, retry_after=40.0))
    assert forecasts(call)[2:] == [(5, pytest.approx(driver.now + 41), 5)]
    assert call.progress.requests == 1


def test_a_bar_is_told_no_more_when_it_is_done(driver):
    """A call that has ended, or has failed, is forgotten."""
    call, other = driver.submit(8, is_shown=True), driver.submit(8, is_shown=True)
    answered(driver, driver.send())
    assert [len(forecasts(each)) for each in (call, other)] == [1, 2]
    driver.withdraw(other)
    assert driver.scheduler.next_action(driver.now) == Wait(None)
    assert driver.scheduler._watchers.calls == []


def test_a_call_that_ends_meanwhile_is_told_nothing(driver):
    """A call that has ended since the question was asked gets no forecast."""
    call = driver.submit(8, is_shown=True)
    assert driver.scheduler.next_action(driver.now) == LookAhead(None)
    driver.withdraw(call)
    driver.scheduler.looked_ahead(look_ahead(driver.window, driver.now, None), driver.now)
    assert forecasts(call) == []


def test_a_batch_counts_once_for_a_call(driver):
    """Two slices of a call in one batch are one request."""
    call, other = driver.submit(2, is_shown=True), driver.submit(2, is_shown=True)
    driver.finish(driver.send(), error=ServerError("x", status_code=503))
    driver.now += 60
    driver.finish(driver.send())
    assert (call.progress.requests, other.progress.requests) == (1, 1)
    assert call.requests_in_flight == 0


def test_a_long_job_is_announced_once(driver, lines):
    """A call of more than one request that takes ten seconds or more is one line, when its time is known first."""
    driver.window = SlidingWindow()
    call = driver.submit(8 * 11)
    batch = driver.send()
    assert lines() == []
    driver.window = SlidingWindow(limit=5, probing=False)
    answered(driver, batch)
    assert lines() == [("INFO", "80 texts in 10 requests: about 63 s (5 requests a minute)")]
    answered(driver, driver.send())
    assert len(lines()) == 1
    assert len(forecasts(call)) == 2  # one that knew nothing, and one that was announced
    assert driver.scheduler._watchers.calls == []


@pytest.mark.parametrize(("seconds", "announced"), [(LONG_JOB - 0.1, 0), (LONG_JOB, 1)])
def test_ten_seconds_are_long(driver, lines, seconds, announced):
    """Until then nobody wonders."""
    driver.window = SlidingWindow(limit=5, probing=False, unknown_until=driver.now + seconds - ASSUMED_ROUND_TRIP)
    driver.submit(8 * 2)
    driver.action()
    assert len(lines()) == announced


@pytest.mark.parametrize(
    ("window", "words"),
    [
        (SlidingWindow(guess=GuessedLimit(value=5), probing=False), "a guess after a refused request"),
        (SlidingWindow(limit=10, probing=False, foreign=ForeignShare([(1e9, 5)])), "5 more are left to others"),
    ],
    ids=["guess", "others"],
)
def test_a_long_job_says_what_the_limit_is(driver, lines, window, words):
    """Who says so, and what is left to others, explain why it takes so long."""
    driver.window = window
    driver.submit(8 * 11)
    driver.action()
    ((_, line),) = lines()
    assert words in line


def test_a_long_job_with_a_bar_is_announced_as_well(driver, lines):
    """The log says it once, the bar again and again."""
    call = driver.submit(8 * 11, is_shown=True)
    for _ in range(3):
        answered(driver, driver.send())
    assert len(lines()) == 1
    assert (len(forecasts(call)), call.progress.requests) == (4, 3)


def test_a_batch_of_a_stream_is_no_job(driver, lines):
    """A stream submits a call for each request; with a bar, each is forecast, and none is announced."""
    driver.window.cooldown.until = driver.now + 50
    call = driver.submit(8, is_shown=True)
    driver.action()
    assert len(forecasts(call)) == 1
    assert lines() == []


def test_a_short_job_is_not_worth_a_line(driver, lines):
    """Less than ten seconds are not announced, later neither."""
    driver.submit(8 * 5)
    for _ in range(5):
        answered(driver, driver.send(linger=0.0))
    assert lines() == []


@pytest.mark.parametrize(("size", "action"), [(MAX_TOKENS, AcquireSlot), (MAX_TOKENS + 1, LookAhead)])
def test_large_texts_make_a_job_long(driver, size, action):
    """Bytes count as well as texts, if they are more than fit into a request."""
    driver.submit([size])
    assert isinstance(driver.scheduler.next_action(driver.now), action)


def test_the_lowest_limit_is_asked_for(driver):
    """The limit of a client counts for a bar and for whoever inquires."""
    driver.submit(8, is_shown=True, config=Config(requests_per_minute=7))
    assert driver.scheduler.next_action(driver.now) == LookAhead(7)
    driver.scheduler.inquire(inquire(requests_per_minute=9), driver.now)
    assert driver.scheduler.next_action(driver.now) == LookAhead(7)


def test_a_lower_limit_of_an_inquiry_is_its_own(driver):
    """A bar never shows the limit of somebody who only inquires; each limit is a question, one after the other."""
    call = driver.submit(8, is_shown=True)
    inquiries = [inquire(requests_per_minute=limit) for limit in (3, 2, 3, None)]
    for inquiry in inquiries:
        driver.scheduler.inquire(inquiry, driver.now)
    told = []
    while isinstance(question := driver.scheduler.next_action(driver.now), LookAhead):
        outlook = look_ahead(driver.window, driver.now, question.cap)
        driver.scheduler.looked_ahead(outlook, driver.now)
        told.append((question.cap, driver.scheduler.take_effects().answered))
    first, second, third, fourth = inquiries
    assert told == [(3, [first, third]), (2, [second]), (None, [fourth])]
    assert [inquiry.result().requests_per_minute for inquiry in inquiries] == [3, 2, 3, 5]
    assert [forecast[2] for forecast in forecasts(call)] == [5]


def inquire(texts=20, **options):
    """Return an inquiry about so many texts."""
    return Inquiry(make_call(texts).inputs, 30.0, Attachment(Config("other", **options), Usage()), lambda: None)


def test_an_inquiry_is_answered_at_once(driver):
    """Without a client or a text that waits, an inquiry is answered, and nothing is sent."""
    inquiry = inquire()
    driver.scheduler.inquire(inquiry, driver.now)
    assert driver.scheduler.is_waiting
    assert driver.action() == Wait(None)
    assert (inquiry.result().requests, inquiry.result().requests_per_minute) == (3, 5)
    assert not driver.scheduler.is_waiting


def test_an_inquiry_forms_many_batches_but_not_all(driver, monkeypatch):
    """Whoever asks waits 20 ms for exact numbers; beyond that the others are taken to be like those before."""
    formed, take = [], WaitingTexts.take

    def count(*arguments, **options):
        formed.append(True)
        return take(*arguments, **options)

    monkeypatch.setattr(WaitingTexts, "take", count)
    inquiry = inquire(MAX_PLANNED + 500, batch_size=1)
    driver.scheduler.inquire(inquiry, driver.now)
    driver.action()
    assert (inquiry.result().requests, len(formed)) == (MAX_PLANNED + 500, MAX_PLANNED)


def test_an_inquiry_that_nobody_answers_says_so():
    """Then the workers have ended without a result."""
    with pytest.raises(ElectronHubError, match=r"^The workers have ended\."):
        inquire().result()


def test_an_answer_that_comes_with_an_inquiry_does_not_hide_it(driver):
    """Events are taken in together: an answer before the next action leaves the inquiry to be answered."""
    driver.submit()
    batch = driver.send()
    driver.scheduler.inquire(inquire(), driver.now)
    driver.finish(batch)
    assert isinstance(driver.scheduler.next_action(driver.now), LookAhead)


def test_an_inquiry_fails_with_the_store(driver):
    """If the limiter cannot be asked, whoever inquires receives the error."""
    inquiry = inquire()
    driver.scheduler.inquire(inquiry, driver.now)
    driver.scheduler.next_action(driver.now)
    driver.scheduler.limiter_failed(OSError("gone"), driver.now)
    assert driver.scheduler.take_effects().answered == [inquiry]
    with pytest.raises(ElectronHubError, match="The rate limit store failed: gone"):
        inquiry.result()


def test_an_inquiry_that_fails_does_not_hide_one_that_was_answered(driver):
    """All callers are woken, although the limiter fails before anybody has looked at the answers."""
    inquiries = [inquire(), inquire(requests_per_minute=2), inquire(requests_per_minute=3)]
    for inquiry in inquiries:
        driver.scheduler.inquire(inquiry, driver.now)
    for cap in (None, 2):
        assert driver.scheduler.next_action(driver.now) == LookAhead(cap)
        driver.scheduler.looked_ahead(look_ahead(driver.window, driver.now, cap), driver.now)
    driver.scheduler.limiter_failed(OSError("gone"), driver.now)
    assert driver.scheduler.take_effects().answered == inquiries


def test_the_limit_of_a_client_counts_for_whoever_inquires(driver):
    """An inquiry without a limit of its own is told what the attached clients leave it."""
    driver.submit(config=Config(requests_per_minute=2))
    inquiry = inquire()
    driver.scheduler.inquire(inquiry, driver.now)
    driver.action()
    assert inquiry.result().requests_per_minute == 2


def test_an_inquiry_is_about_documents(driver):
    """They are sent when all that waits already was sent."""
    driver.submit(40, config=Config("other"))
    inquiry = inquire(8)
    driver.scheduler.inquire(inquiry, driver.now)
    driver.action()
    assert inquiry.result().seconds > PERIOD


def test_an_inquiry_survives_a_bug(driver, monkeypatch):
    """If the forecast itself fails, the inquiry is still there to be failed."""
    inquiry = inquire()
    driver.scheduler.inquire(inquiry, driver.now)
    monkeypatch.setattr(inquiry, "answer", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        driver.action()
    driver.scheduler.fail_all(ElectronHubError("A bug."), driver.now)
    with pytest.raises(ElectronHubError, match="A bug"):
        inquiry.result()
