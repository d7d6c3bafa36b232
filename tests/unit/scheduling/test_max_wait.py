"""Waiting for the limit: what the log says of it, and what a progress bar shows."""

import logging

import pytest

from electronhub_embeddings._rate_limit.sliding_window import Pause
from electronhub_embeddings._scheduling.actions import AcquireSlot
from electronhub_embeddings._scheduling.max_wait import (
    LOGGED_WAIT,
    RECHECK_INTERVAL,
    WARNED_WAIT,
    LimitWait,
    too_long_a_wait,
)
from electronhub_embeddings._scheduling.progress import ExpectedWait
from electronhub_embeddings.errors import (
    RateLimitError,
)
from support.scheduler_driver import Config, Driver, make_call


@pytest.fixture
def lines(caplog):
    """Return a function that returns the level and text of the lines logged so far."""
    caplog.set_level(logging.INFO, "electronhub_embeddings")
    return lambda: [(record.levelname, record.getMessage().partition(" (")[0]) for record in caplog.records]


def deny(driver, seconds, reason="rate limit"):
    """Let the limiter deny a slot."""
    driver.action()
    driver.scheduler.slot_denied(Pause(seconds, reason), None, driver.now)


def test_the_first_long_wait_of_a_call_is_a_warning(lines):
    """Python prints warnings even where no logging is configured."""
    driver = Driver()
    driver.submit()
    deny(driver, WARNED_WAIT)
    driver.now += 1.0
    deny(driver, WARNED_WAIT - 1.0)
    assert lines() == [("WARNING", "rate limit: next request in 10 s")]


def test_the_warning_says_how_to_see_more(caplog):
    """It names the line that shows every wait, and the progress bar."""
    driver = Driver()
    driver.submit()
    deny(driver, 57.0)
    (record,) = caplog.records
    assert "logging.basicConfig(level=logging.INFO)" in record.getMessage()
    assert "show_progress=True" in record.getMessage()


def test_a_bar_warns_of_a_long_wait_itself(lines):
    """A warning would be printed into the line of the bar, and say nothing more."""
    driver = Driver()
    driver.submit(is_shown=True)
    deny(driver, WARNED_WAIT)
    assert lines() == [("INFO", "rate limit: next request in 10 s")]
    driver.submit()
    deny(driver, WARNED_WAIT)
    assert lines()[1:] == [("WARNING", "rate limit: next request in 10 s")]


def test_later_waits_of_a_call_are_at_info(lines):
    """A job that waits every minute warns once."""
    driver = Driver()
    driver.submit(30)
    deny(driver, 57.0)
    driver.grant(linger=0.0)
    deny(driver, 48.0, "cooldown after a refused request")
    assert lines()[1:] == [("INFO", "cooldown after a refused request: next request in 48 s")]


def test_a_call_after_a_refused_one_asks_at_once():
    """Nobody waits for a check that was due for another call: where the wait is too long, the error comes at once."""
    driver = Driver()
    refused = driver.submit(max_wait=0.0)
    driver.scheduler.slot_denied(Pause(57.0, "rate limit"), None, driver.now)
    assert not isinstance(driver.action(), AcquireSlot)
    assert refused.error is not None
    driver.submit()
    assert isinstance(driver.action(), AcquireSlot)


def test_a_call_that_would_wait_too_long_says_for_how_many_requests():
    """At once, by the forecast for its last batch."""
    driver = Driver(Config(batch_size=1))
    call = driver.submit(3, max_wait=5.0)
    driver.action()
    driver.scheduler.max_wait_checked([61.4], driver.now)
    assert str(call.error) == (
        "The call would have to wait for 62 s (rate limit, 3 requests), longer than its max_wait of 5 s. "
        "Try again in 62 s, or allow a longer max_wait."
    )
    assert (type(call.error), call.error.retry_after, call.error.status_code) == (RateLimitError, 61.4, 0)


def test_a_call_of_one_request_is_said_to_be_one():
    """Of one request, not of "1 requests"."""
    driver = Driver(Config(batch_size=1))
    call = driver.submit(1, max_wait=5.0)
    driver.action()
    driver.scheduler.max_wait_checked([61.0], driver.now)
    assert "(rate limit, 1 request)" in call.error.message


def test_what_a_call_has_waited_counts():
    """The error says how long the wait would have been in all, and how long it still is."""
    error = too_long_a_wait("The call", "rate limit", 5.0, waited=4.0, wait=2.5)
    assert error.message == "The call would have to wait for 7 s (rate limit), longer than its max_wait of 5 s."
    assert (error.next_step, error.retry_after) == ("Try again in 3 s, or allow a longer max_wait.", 2.5)


def test_a_short_wait_is_not_logged(lines):
    """Below 5 seconds nobody wonders."""
    driver = Driver()
    driver.submit()
    deny(driver, LOGGED_WAIT - 0.1)
    assert lines() == []
    driver.now += 60.0
    driver.grant()
    driver.submit()
    deny(driver, LOGGED_WAIT)
    assert lines() == [("INFO", "rate limit: next request in 5 s")]


def test_only_a_wait_that_became_longer_is_logged_again(lines):
    """What was said once stays said, as long as the end of the wait moves by 5 seconds at most."""
    driver = Driver()
    driver.submit(is_shown=True)
    for seconds in (6.0, 6.0 + LOGGED_WAIT, 57.0):
        deny(driver, seconds)
    assert lines() == [("INFO", f"rate limit: next request in {seconds} s") for seconds in (6, 57)]


def test_calls_that_may_not_wait_are_not_told_to(lines):
    """A call that fails at once is no reason for a warning."""
    driver = Driver()
    driver.submit(max_wait=1.0)
    driver.scheduler.slot_denied(Pause(57.0, "rate limit"), None, driver.now)
    assert lines() == []


@pytest.mark.parametrize(
    ("pause", "poll", "seconds"),
    [
        (57.0, None, RECHECK_INTERVAL),
        (57.0, 0.1, RECHECK_INTERVAL),
        (0.25, None, 0.25),
        (None, 0.1, 0.1),
        (None, None, RECHECK_INTERVAL),
    ],
)
def test_when_the_limiter_is_asked_again(pause, poll, seconds):
    """At the end of the pause, and before that in case another process has changed something."""
    wait = LimitWait()
    wait.denied(Pause(pause, "rate limit"), [make_call(max_wait=100.0)], poll, 1000.0)
    assert wait.ask_again_at == 1000.0 + seconds


def test_a_bar_is_told_why_its_call_waits():
    """And until when; not while an answer is waited for, and not if the call has failed."""
    wait, call, failed = LimitWait(), make_call(max_wait=0.7), make_call()
    failed.fail(RateLimitError("x", status_code=429))
    assert wait.denied(Pause(None, "another request"), [call, failed], None, 1000.0) == {}
    assert (call.progress.limit, failed.progress.limit) == (None, None)
    assert wait.denied(Pause(0.5, "rate limit"), [call, failed], None, 1000.0) == {}
    assert (call.progress.limit, failed.progress.limit) == (ExpectedWait("rate limit", 1000.5), None)
    (error,) = wait.denied(Pause(0.8, "rate limit"), [call, failed], None, 1000.0).values()
    assert "(rate limit)" in error.message


def test_waiting_for_an_answer_is_no_wait_for_the_limit():
    """The time until a request on the wire comes back does not count."""
    wait = LimitWait()
    wait.denied(Pause(57.0, "rate limit"), [], None, 1000.0)
    wait.denied(Pause(None, "another request"), [], None, 1010.0)
    assert wait.total(1015.0) == 10.0


@pytest.mark.parametrize(
    ("max_wait", "seconds", "fails"), [(0.0, 0.5, True), (0.0, 0.0, False), (5.0, 5.0, False), (5.0, 5.1, True)]
)
def test_a_call_may_wait_for_its_max_wait(max_wait, seconds, fails):
    """For just so long, and not for longer."""
    error = LimitWait().check_wait(make_call(max_wait=max_wait), seconds, "rate limit", 1000.0)
    assert (error is not None) is fails


def test_a_call_that_has_waited_longer_may_still_be_sent_at_once():
    """Its request can start now: to fail it would save nobody anything."""
    call = make_call(max_wait=5.0)
    call.blocked_before = -6.0
    assert LimitWait().check_wait(call, 0.0, "rate limit", 1000.0) is None


def test_calls_that_wait_together_are_warned_of_together(lines):
    """A hundred queries that wait for the same slot are one line."""
    driver = Driver()
    for _ in range(100):
        driver.submit(is_query=True)
    deny(driver, 57.0)
    assert len(lines()) == 1
