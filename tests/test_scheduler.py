"""The scheduler: what leaves when, what a call ends with, and what a client leaves behind."""

from scheduler_driver import Config, Driver, refusal, texts_of

from electronhub_embeddings._rate_limit.sliding_window import Pause
from electronhub_embeddings._scheduling.actions import AcquireSlot, Forecast, LookUp, Wait
from electronhub_embeddings.errors import APIConnectionError, InvalidResponseError, RateLimitError, ServerError


def test_a_probe_without_a_place_is_no_reason_to_look_again():
    """A probe that is due, and finds all places taken, waits for an event, and not for a time in the past."""
    driver = Driver(Config(max_concurrency=2))
    driver.submit(4)
    driver.finish(driver.send(), refusal())
    driver.submit(is_query=True)
    driver.send()
    assert driver.action() == Wait(None)


def test_an_older_query_overtakes_when_its_lookup_is_done():
    """A call that had to wait for its cache goes ahead of those that came after it."""
    driver = Driver(Config(batch_size=1))
    older = driver.submit(is_query=True, cache=object())
    driver.submit(is_query=True)
    assert isinstance(driver.action(), LookUp)
    driver.scheduler.looked_up(older, None, driver.now)
    assert texts_of(driver.send().slices) == [(older.number, 0)]


def test_a_younger_query_that_comes_back_waits_behind_an_older_one():
    """Texts return to their own place in the queue, and not to its head."""
    driver = Driver(Config(batch_size=1))
    older, younger = driver.submit(2, is_query=True), driver.submit(is_query=True)
    first, second, third = driver.send(), driver.send(), driver.send()
    driver.finish(first)
    driver.finish(third, RateLimitError("x", status_code=429))
    driver.finish(second, RateLimitError("x", status_code=429))
    assert [texts_of(driver.send().slices) for _ in range(2)] == [[(older.number, 1)], [(younger.number, 0)]]


def test_a_wrong_row_costs_its_neighbours_no_more_than_an_attempt():
    """How often asking again is worth it for the text of a wrong row says nothing about the other texts."""
    driver = Driver(Config(max_retries=4))
    tired = driver.submit()
    driver.finish(driver.send(), APIConnectionError("x"))
    driver.now += 10
    wrong = driver.submit()
    batch = driver.send(linger=0.0)
    assert texts_of(batch.slices) == [(tired.number, 0), (wrong.number, 0)]
    driver.finish(batch, InvalidResponseError("No number.", index=1, retries=1))
    assert (driver.ended, tired.failed) == ([], False)


def test_a_wrong_row_of_a_failed_call_fails_nobody_else():
    """A text of a call that has failed already is left out like any other, and its neighbours travel again."""
    driver = Driver(Config(max_retries=0))
    failed, other = driver.submit(2), driver.submit()
    driver.finish(driver.send(linger=0.0), refusal("Invalid 'input[0]': too long."))
    driver.finish(driver.send(linger=0.0), InvalidResponseError("No number.", index=0, retries=1))
    assert driver.ended == [failed]
    driver.finish(driver.send(linger=0.0))
    assert (driver.ended, other.failed) == ([failed, other], False)


def test_closing_while_a_probe_is_on_the_wire_ends_the_search():
    """Texts that were refused alone end with the search, also where its last probe comes back to a closed client."""
    driver = Driver()
    client = driver.attach()
    call = driver.submit(4, attachment=client)
    for _ in range(3):  # the batch, its half, a single text
        driver.finish(driver.send(), refusal())
    probe = driver.send()
    driver.detach(client)
    driver.finish(probe, refusal())
    assert (driver.ended, driver.unused) == ([call], [driver.config])


def test_a_closed_clients_texts_are_not_tried_again():
    """What was on the wire when its client left is not sent again, although others share the configuration."""
    driver = Driver()
    leaving, staying = driver.attach(), driver.attach()
    call = driver.submit(attachment=leaving)
    driver.submit(attachment=staying, cache=object())
    assert isinstance(driver.action(), LookUp)
    batch = driver.send()
    driver.detach(leaving)
    driver.finish(batch, ServerError("x", status_code=500))
    assert driver.ended == [call]
    assert isinstance(call.error, ServerError)


def test_a_withdrawn_call_has_no_last_chance():
    """Texts refused beside a guilty one are sent again for `.partial`, but not when the call was taken back."""
    driver = Driver()
    call = driver.submit(3)
    batch = driver.send()
    driver.withdraw(call)
    driver.finish(batch, refusal("Invalid 'input[0]': too long."))
    assert driver.ended == [call]


def test_a_call_that_has_ended_stays_as_it_is():
    """Whoever takes a call back, or closes its client, just after it has ended does not take its vectors away."""
    driver = Driver()
    client = driver.attach()
    call, other = driver.submit(attachment=client), driver.submit(attachment=client)
    driver.finish(driver.send(linger=0.0))
    driver.withdraw(call)
    driver.detach(client)
    assert (driver.ended, call.error, other.error) == ([call, other], None, None)


def test_nobody_searches_among_texts_that_were_taken_back():
    """The others of the batch may have been refused for their company: they are sent again as they are."""
    driver = Driver()
    gone, other = driver.submit(2), driver.submit(2)
    batch = driver.send(linger=0.0)
    driver.withdraw(gone)
    driver.finish(batch, refusal())
    assert driver.ended == [gone]
    again = driver.send(linger=0.0)
    assert (texts_of(again.slices), again.is_probe) == ([(other.number, 0), (other.number, 1)], False)


def test_max_wait_does_not_run_while_all_texts_are_on_the_wire():
    """Seconds in which others wait for the limit are not spent by a call that waits for its answer."""
    driver = Driver(Config(max_retries=4))
    call = driver.submit(is_query=True, max_wait=5.0)
    assert isinstance(driver.action(), Forecast)
    driver.scheduler.forecast([0.0], driver.now)
    batch = driver.send(linger=0.0)
    driver.submit(is_query=True)
    assert isinstance(driver.action(), AcquireSlot)
    driver.scheduler.slot_denied(Pause(50.0, "rate limit"), None, driver.now)
    driver.now += 49.0
    driver.finish(batch, RateLimitError("x", status_code=429))
    driver.scheduler.slot_denied(Pause(1.0, "rate limit"), None, driver.now)
    assert not call.failed
    driver.scheduler.slot_denied(Pause(6.0, "rate limit"), None, driver.now)
    assert isinstance(call.error, RateLimitError)


def test_max_wait_runs_while_any_text_waits():
    """A call with texts on the wire, and others that the limit holds back, spends its seconds."""
    driver = Driver(Config(batch_size=1))
    call = driver.submit(2, max_wait=5.0)
    driver.action()
    driver.scheduler.forecast([0.0], driver.now)
    driver.send(linger=0.0)
    driver.scheduler.slot_denied(Pause(4.0, "rate limit"), None, driver.now)
    driver.now += 4.0
    driver.scheduler.slot_denied(Pause(2.0, "rate limit"), None, driver.now)
    assert isinstance(call.error, RateLimitError)


def test_a_call_that_comes_during_a_forecast_is_asked_about_next():
    """A lookup can end while the limiter is asked about others."""
    driver = Driver()
    late = driver.submit(max_wait=5.0, cache=object())
    assert isinstance(driver.action(), LookUp)
    driver.submit(max_wait=5.0)
    assert isinstance(driver.action(), Forecast)
    driver.scheduler.looked_up(late, None, driver.now)
    driver.scheduler.forecast([0.0], driver.now)
    assert driver.action() == Forecast([1], None)


def test_nobody_asks_about_a_call_that_has_ended():
    """A client that left before the limiter was asked takes its calls along, and no queue is made for them again."""
    driver = Driver()
    leaving, other = driver.attach(Config("a")), driver.attach(Config("b"))
    driver.submit(max_wait=5.0, attachment=leaving)
    driver.detach(leaving)
    driver.submit(attachment=other)
    assert isinstance(driver.action(), AcquireSlot)
    driver.detach(other)
    assert driver.unused == [Config("a"), Config("b")]
    assert not driver.scheduler.has_clients


def test_a_probe_keeps_its_pause_when_one_of_its_calls_is_taken_back():
    """The rest of the probe still waits for the end of the pause, and the search goes on with it."""
    driver = Driver()
    gone, other = driver.submit(1), driver.submit(3)
    driver.finish(driver.send(linger=0.0), refusal())
    driver.finish(driver.send(linger=0.0), ServerError("x", status_code=503, retry_after=40.0))
    driver.withdraw(gone)
    assert (driver.ended, driver.action()) == ([gone], Wait(driver.now + 40.0))
    driver.now += 40.0
    again = driver.send(linger=0.0)
    assert (texts_of(again.slices), again.is_probe) == ([(other.number, 0)], True)
