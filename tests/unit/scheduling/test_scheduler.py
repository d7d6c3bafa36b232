"""The scheduler: which texts are sent when, how calls end, and what detached clients leave behind."""

from electronhub_embeddings._codec.result import Result
from electronhub_embeddings._rate_limit.sliding_window import Pause
from electronhub_embeddings._rate_limit.wording import AFTER_CLOSE, AFTER_STORE_FAILURE
from electronhub_embeddings._scheduling import request_queue
from electronhub_embeddings._scheduling.actions import AcquireSlot, CheckMaxWait, LookUp, Wait
from electronhub_embeddings.errors import APIConnectionError, InvalidResponseError, RateLimitError, ServerError
from electronhub_embeddings.usage import Usage, _counting
from support.scheduler_driver import Config, Driver, refusal, texts_of


def test_a_probe_without_a_place_is_no_reason_to_look_again():
    """A due probe without a free connection waits for an event, not for a time in the past."""
    driver = Driver(Config(max_concurrency=2))
    driver.submit(4)
    driver.finish(driver.send(), refusal())
    driver.submit(is_query=True)
    driver.send()
    assert driver.action() == Wait(None)


def test_an_older_query_overtakes_when_its_lookup_is_done():
    """A call that waited for its cache lookup goes ahead of later calls."""
    driver = Driver(Config(batch_size=1))
    older = driver.submit(is_query=True, cache=object())
    driver.submit(is_query=True)
    assert isinstance(driver.action(), LookUp)
    driver.scheduler.looked_up(older, None, driver.now)
    assert texts_of(driver.send().slices) == [(older.number, 0)]


def test_a_younger_query_that_comes_back_waits_behind_an_older_one():
    """Requeued texts return to their own position in the queue, not to its head."""
    driver = Driver(Config(batch_size=1))
    older, younger = driver.submit(2, is_query=True), driver.submit(is_query=True)
    first, second, third = driver.send(), driver.send(), driver.send()
    driver.finish(first)
    driver.finish(third, RateLimitError("x", status_code=429))
    driver.finish(second, RateLimitError("x", status_code=429))
    assert [texts_of(driver.send().slices) for _ in range(2)] == [[(older.number, 1)], [(younger.number, 0)]]


def test_a_wrong_row_costs_its_neighbours_no_more_than_an_attempt():
    """The lower number of retries for the text of a wrong row does not apply to the other texts."""
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
    """The text of a wrong row is removed even if its call has already failed, and the other texts are resent."""
    driver = Driver(Config(max_retries=0))
    failed, other = driver.submit(2), driver.submit()
    driver.finish(driver.send(linger=0.0), refusal("Invalid 'input[0]': too long."))
    driver.finish(driver.send(linger=0.0), InvalidResponseError("No number.", index=0, retries=1))
    assert driver.ended == [failed]
    driver.finish(driver.send(linger=0.0))
    assert (driver.ended, other.failed) == ([failed, other], False)


def test_closing_while_a_probe_is_on_the_wire_ends_the_search():
    """Texts that were refused alone are finished with the search, even if the client of its last probe was closed."""
    driver = Driver()
    client = driver.attach()
    call = driver.submit(4, attachment=client)
    for _ in range(3):  # the batch, its half, a single text
        driver.finish(driver.send(), refusal())
    probe = driver.send()
    driver.detach(client)
    driver.finish(probe, refusal())
    assert (driver.ended, driver.unused) == ([call], [driver.config])


def test_withdrawing_the_call_of_a_probe_on_the_wire_ends_the_search():
    """Its texts are not tried one by one, and the others are sent again as if nothing had been refused."""
    driver = Driver()
    gone, other = driver.submit(4), driver.submit(4)
    driver.finish(driver.send(linger=0.0), refusal())
    probe = driver.send(linger=0.0)
    driver.withdraw(gone)
    driver.finish(probe, refusal())
    assert driver.ended == [gone]
    again = driver.send(linger=0.0)
    assert (texts_of(again.slices), again.is_probe) == ([(other.number, i) for i in range(4)], False)


def test_a_closed_clients_texts_are_not_tried_again():
    """Texts in flight of a detached client are not resent, although other clients share the configuration."""
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


def test_a_closed_clients_texts_are_not_sent_in_the_other_encoding():
    """They would be sent again without having failed; the call ends with the client."""
    driver = Driver()
    call = driver.submit()
    batch = driver.send()
    driver.detach(call.attachment)
    driver.finish(batch, refusal(param="encoding_format"))
    assert driver.ended == [call]
    assert (call.error.message, call.error.next_step) == ("The client was closed.", AFTER_CLOSE)


def test_the_limiter_is_asked_again_as_often_as_others_may_change_it():
    """Another process can receive the answer that is waited for."""
    driver = Driver()
    driver.submit()
    driver.action()
    driver.scheduler.slot_denied(Pause(None, "another request"), 0.25, driver.now)
    assert driver.action() == Wait(driver.now + 0.25)


def test_a_withdrawn_call_has_no_last_chance():
    """Texts refused together with a text at fault are resent for `.partial`, unless the call was withdrawn."""
    driver = Driver()
    call = driver.submit(3)
    batch = driver.send()
    driver.withdraw(call)
    driver.finish(batch, refusal("Invalid 'input[0]': too long."))
    assert driver.ended == [call]


def test_one_answer_ends_several_calls():
    """A text at fault, and one beside it that was withdrawn meanwhile: both callers are woken."""
    driver = Driver()
    refused, gone = driver.submit(), driver.submit()
    batch = driver.send(linger=0.0)
    driver.withdraw(gone)
    driver.finish(batch, refusal("Invalid 'input[0]': too long."))
    assert driver.ended == [refused, gone]
    assert (refused.error.index, str(gone.error)) == (0, "The call was withdrawn.")


def test_a_call_that_has_ended_stays_as_it_is():
    """Withdrawing a call or closing its client just after the call has ended does not remove its vectors."""
    driver = Driver()
    client = driver.attach()
    call, other = driver.submit(attachment=client), driver.submit(attachment=client)
    driver.finish(driver.send(linger=0.0))
    driver.withdraw(call)
    driver.detach(client)
    assert (driver.ended, call.error, other.error) == ([call, other], None, None)


def test_nobody_searches_among_texts_that_were_taken_back():
    """If the refused batch contains texts of a withdrawn call, the other texts are resent unchanged."""
    driver = Driver()
    gone, other = driver.submit(2), driver.submit(2)
    batch = driver.send(linger=0.0)
    driver.withdraw(gone)
    driver.finish(batch, refusal())
    assert driver.ended == [gone]
    again = driver.send(linger=0.0)
    assert (texts_of(again.slices), again.is_probe) == ([(other.number, 0), (other.number, 1)], False)


def test_max_wait_does_not_run_while_all_texts_are_on_the_wire():
    """While a call waits for its answer, the waiting time of other calls is not deducted from its `max_wait`."""
    driver = Driver(Config(max_retries=4))
    call = driver.submit(is_query=True, max_wait=5.0)
    assert isinstance(driver.action(), CheckMaxWait)
    driver.scheduler.max_wait_checked([0.0], driver.now)
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
    """A call with texts in flight and other texts that wait for the limit does use up its `max_wait`."""
    driver = Driver(Config(batch_size=1))
    call = driver.submit(2, max_wait=5.0)
    driver.action()
    driver.scheduler.max_wait_checked([0.0], driver.now)
    driver.send(linger=0.0)
    driver.scheduler.slot_denied(Pause(4.0, "rate limit"), None, driver.now)
    driver.now += 4.0
    driver.scheduler.slot_denied(Pause(2.0, "rate limit"), None, driver.now)
    assert isinstance(call.error, RateLimitError)


def test_a_call_that_comes_during_a_forecast_is_asked_about_next():
    """A lookup can end while the limiter makes a forecast for other calls."""
    driver = Driver()
    late = driver.submit(max_wait=5.0, cache=object())
    assert isinstance(driver.action(), LookUp)
    driver.submit(max_wait=5.0)
    assert isinstance(driver.action(), CheckMaxWait)
    driver.scheduler.looked_up(late, None, driver.now)
    driver.scheduler.max_wait_checked([0.0], driver.now)
    assert driver.action() == CheckMaxWait([1], None)


def test_nobody_asks_about_a_call_that_has_ended():
    """The calls of a client that was detached before a forecast are dropped, and their queue is not recreated."""
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
    """If part of a pausing probe is withdrawn, the rest still waits for the end of the pause."""
    driver = Driver()
    gone, other = driver.submit(1), driver.submit(3)
    driver.finish(driver.send(linger=0.0), refusal())
    driver.finish(driver.send(linger=0.0), ServerError("x", status_code=503, retry_after=40.0))
    driver.withdraw(gone)
    assert (driver.ended, driver.action()) == ([gone], Wait(driver.now + 40.0))
    driver.now += 40.0
    again = driver.send(linger=0.0)
    assert (texts_of(again.slices), again.is_probe) == ([(other.number, 0)], True)


def test_the_first_query_asks_for_a_slot_at_once():
    """Documents may have to wait longer than a query; and a query that asks late would lose its place to others."""
    driver = Driver(Config())
    driver.submit(4)
    assert not driver.action().interactive
    driver.scheduler.slot_denied(Pause(50.0, "rate limit"), None, driver.now)
    assert isinstance(driver.action(), Wait)
    driver.submit(is_query=True)
    assert driver.action().interactive
    driver.scheduler.slot_denied(Pause(12.0, "rate limit"), None, driver.now)
    driver.submit(is_query=True)
    assert isinstance(driver.action(), Wait)


def test_usage_is_added_to_all_counters_of_a_call():
    """The client's and those of the blocks around the call: a request for its first text, tokens by size."""
    driver = Driver()
    outer, inner, other = Usage(), Usage(), Usage()
    first = driver.submit([3, 2], tracked=[outer, inner])
    second = driver.submit([5], tracked=[other])
    driver.finish(driver.send(), RateLimitError("x", status_code=429, retry_after=1.0))
    driver.now += 100
    driver.finish(driver.send(), tokens=10)
    expected = Usage(requests=1, attempts=2, rate_limited=1, texts=2, prompt_tokens=5)
    assert first.usages == (expected, expected, expected)
    assert [usage is tracked for usage, tracked in zip(first.usages[1:], [outer, inner], strict=True)] == [True, True]
    assert second.usages == (Usage(texts=1, prompt_tokens=5),) * 2


def test_all_tokens_are_divided_among_the_calls():
    """Those of the answer, too, where a service charges for more than the texts."""
    driver = Driver()
    calls = [driver.submit([3]), driver.submit([1])]
    driver.scheduler.finished(driver.send(), Result(prompt_tokens=8, total_tokens=12, status=200), driver.now)
    usages = [call.attachment.usage for call in calls]
    assert [(usage.prompt_tokens, usage.total_tokens) for usage in usages] == [(6, 9), (2, 3)]


def test_texts_of_the_cache_and_waits_are_added_to_all_counters():
    """A call that the limit held back for three seconds, and whose first text was known."""
    driver, tracked = Driver(), Usage()
    call = driver.submit(3, cache=object(), tracked=[tracked])
    assert isinstance(driver.action(), LookUp)
    call.known = 1
    driver.scheduler.looked_up(call, None, driver.now)
    driver.action()
    driver.scheduler.slot_denied(Pause(3.0, "rate limit"), None, driver.now)
    driver.now += 3.0
    driver.finish(driver.send())
    assert tracked == call.attachment.usage == Usage(requests=1, attempts=1, texts=2, cache_hits=1, seconds_waited=3.0)


def test_a_lookup_is_no_wait():
    """A call whose texts are all known has not waited, however long the limit has held others back meanwhile."""
    driver = Driver()
    driver.submit()
    known = driver.submit(cache=object())
    assert isinstance(driver.action(), LookUp)
    driver.action()
    driver.scheduler.slot_denied(Pause(50.0, "rate limit"), None, driver.now)
    driver.now += 30.0
    known.known = 1
    driver.scheduler.looked_up(known, None, driver.now)
    assert known.usages == (Usage(cache_hits=1),)


class GuardedUsage(Usage):
    """Counters that are only changed while the lock of `usage` is held."""

    def __init__(self):
        with _counting:
            super().__init__()

    def __setattr__(self, name, value):
        assert _counting.locked()
        super().__setattr__(name, value)


def test_counters_are_changed_with_the_lock_held():
    """Other accounts can be adding to the same counters in other threads."""
    driver, tracked = Driver(), GuardedUsage()
    call = driver.submit(2, cache=object(), tracked=[tracked])
    assert isinstance(driver.action(), LookUp)
    call.known = 1
    driver.scheduler.looked_up(call, None, driver.now)
    driver.finish(driver.send())
    assert (tracked.requests, tracked.texts, tracked.cache_hits) == (1, 1, 1)
    assert not _counting.locked()


def test_depths_count_the_texts_that_wait():
    """In the queue, in a pause before a retry and in a search, but not on the wire."""
    driver = Driver(Config(batch_size=2, max_concurrency=1))
    driver.submit(5)
    assert driver.scheduler.depths() == [("m", 5)]
    batch = driver.send()
    assert driver.scheduler.depths() == [("m", 3)]
    driver.finish(batch, ServerError("x", status_code=503))
    assert driver.scheduler.depths() == [("m", 5)]
    driver.finish(driver.send(), refusal())
    assert driver.scheduler.depths() == [("m", 5)]


def test_a_call_of_a_closed_client_is_withdrawn_as_well():
    """A call that was submitted too late has ended at once, has not waited, and withdrawing it changes nothing."""
    driver = Driver()
    driver.submit()
    driver.action()
    driver.scheduler.slot_denied(Pause(50.0, "rate limit"), None, driver.now)
    driver.now += 30.0
    client = driver.attach(Config(batch_size=2))
    client.closed = True
    call = driver.submit(attachment=client)
    driver.withdraw(call)
    assert call.usages == (Usage(),)
    assert (driver.ended, driver.unused) == ([call], [])
    assert (call.error.message, call.error.next_step) == ("The client is closed.", AFTER_CLOSE)


def test_a_search_ends_when_all_texts_of_its_next_probe_are_taken_back():
    """Without the texts that were to be tried next, the rest is sent again as if nothing had been refused."""
    driver = Driver()
    gone, other = driver.submit(2), driver.submit(2)
    driver.finish(driver.send(linger=0.0), refusal())
    driver.withdraw(gone)
    assert driver.ended == [gone]
    again = driver.send(linger=0.0)
    assert (texts_of(again.slices), again.is_probe) == ([(other.number, 0), (other.number, 1)], False)


def test_texts_that_wait_for_the_end_of_a_search_can_be_withdrawn():
    """Their call ends at once."""
    driver = Driver()
    other, gone = driver.submit(2), driver.submit(2)
    driver.finish(driver.send(linger=0.0), refusal())
    driver.withdraw(gone)
    assert driver.ended == [gone]
    driver.finish(driver.send(linger=0.0))
    assert (driver.ended, driver.action()) == ([gone, other], Wait(None))


def test_nobody_asks_about_a_call_that_was_served():
    """A forecast that comes too early is asked for again after an answer, for the calls that are left."""
    driver = Driver()
    call = driver.submit(max_wait=5.0)
    assert isinstance(driver.action(), CheckMaxWait)
    driver.scheduler.max_wait_checked(None, driver.now)
    driver.finish(driver.send(linger=0.0))
    assert (driver.ended, call.error) == ([call], None)
    driver.submit()
    assert isinstance(driver.action(), AcquireSlot)


def test_a_call_is_withdrawn_before_its_lookup_while_the_limit_blocks():
    """It has not waited for the limit: nothing of it was looked up yet."""
    driver = Driver()
    driver.submit()
    driver.action()
    driver.scheduler.slot_denied(Pause(50.0, "rate limit"), None, driver.now)
    first, second = driver.submit(cache=object()), driver.submit(cache=object())
    assert driver.action() == LookUp(first)
    driver.now += 2.0
    driver.withdraw(second)
    assert (driver.ended, second.waited) == ([second], 2.0)


def test_a_client_is_closed_while_its_call_is_looked_up():
    """A call whose lookup ends after its client was closed fails, whatever the cache had."""
    driver = Driver()
    client = driver.attach()
    call = driver.submit(attachment=client, cache=object())
    assert isinstance(driver.action(), LookUp)
    driver.detach(client)
    driver.scheduler.looked_up(call, None, driver.now)
    driver.action()
    assert driver.ended == [call]
    assert (call.error.message, call.error.next_step) == ("The client was closed.", AFTER_CLOSE)


def test_a_call_is_withdrawn_before_its_lookup():
    """It ends at once, and its client's other calls stay."""
    driver = Driver()
    first, second = driver.submit(cache=object()), driver.submit(cache=object())
    assert driver.action() == LookUp(first)
    driver.withdraw(second)
    assert (driver.ended, str(second.error)) == ([second], "The call was withdrawn.")
    driver.scheduler.looked_up(first, None, driver.now)
    assert texts_of(driver.send().slices) == [(first.number, 0)]


def test_a_client_leaves_another_one_of_the_same_configuration_its_texts():
    """Only its own calls fail."""
    driver = Driver()
    leaving, staying = driver.attach(), driver.attach()
    gone, other = driver.submit(attachment=leaving), driver.submit(attachment=staying)
    driver.detach(leaving)
    driver.detach(leaving)
    assert (driver.ended, driver.unused) == ([gone], [])
    assert (gone.error.message, gone.error.next_step) == ("The client was closed.", AFTER_CLOSE)
    assert texts_of(driver.send().slices) == [(other.number, 0)]


def test_a_slot_comes_when_nothing_is_left_to_send():
    """The worker releases it."""
    driver = Driver()
    call = driver.submit()
    assert isinstance(driver.action(), AcquireSlot)
    driver.withdraw(call)
    assert driver.grant() is None


def test_without_the_limiter_nothing_is_sent():
    """All calls that wait fail, with the error of the store as the cause."""
    driver = Driver()
    calls = [driver.submit(), driver.submit(cache=object())]
    failure = OSError("disk full")
    driver.scheduler.limiter_failed(failure, driver.now)
    assert driver.scheduler.take_effects().complete == calls
    assert [call.error.message for call in calls] == ["The rate limit store failed: disk full"] * 2
    assert [call.error.__cause__ for call in calls] == [failure] * 2
    assert [call.error.next_step for call in calls] == [AFTER_STORE_FAILURE] * 2


def test_a_call_on_the_wire_does_not_wait_for_the_limit():
    """Only others do, whose texts are not sent yet; part by part, until its last answer."""
    driver = Driver()
    call = driver.submit(12)
    assert not call.was_sent
    first, second = driver.send(linger=0.0), driver.send(linger=0.0)
    assert call.was_sent
    driver.submit()
    driver.action()
    for batch in (first, second):
        driver.scheduler.slot_denied(Pause(50.0, "rate limit"), None, driver.now)
        driver.now += 5.0
        driver.finish(batch)
    assert (driver.ended, call.waited) == ([call], 0.0)


def test_the_lowest_limit_of_the_clients_is_asked_for():
    """For each slot, and for what a max_wait allows."""
    driver = Driver()
    driver.submit(config=Config(requests_per_minute=3))
    driver.submit(config=Config(requests_per_minute=2), max_wait=5.0)
    assert driver.action() == CheckMaxWait([1], 2)
    driver.scheduler.max_wait_checked([0.0], driver.now)
    assert driver.action().cap == 2


def test_after_an_answer_a_max_wait_is_looked_at_again():
    """What the limiter could not say before the first answer, it is asked after it."""
    driver = Driver()
    driver.submit(config=Config("other"))
    batch = driver.send()
    driver.submit(max_wait=5.0)
    assert driver.action() == CheckMaxWait([1], None)
    driver.scheduler.max_wait_checked(None, driver.now)
    assert isinstance(driver.action(), AcquireSlot)
    driver.finish(batch)
    assert driver.action() == CheckMaxWait([1], None)


def test_whose_texts_leave_first():
    """Queries of any configuration, then what was submitted first: so do halves of what was refused together."""
    driver, other = Driver(), Config("other")
    older = driver.submit(config=other, cache=object())
    refused, younger = driver.submit(2), driver.submit(config=other)
    assert isinstance(driver.action(), LookUp)
    driver.finish(driver.send(), refusal())
    query = driver.submit(is_query=True, config=other)
    assert texts_of(driver.send().slices) == [(query.number, 0)]
    driver.scheduler.looked_up(older, None, driver.now)
    assert texts_of(driver.send(linger=0.0).slices) == [(older.number, 0), (younger.number, 0)]
    driver.submit(config=other)
    assert texts_of(driver.send().slices) == [(refused.number, 0)]


def test_the_limiter_is_asked_again_when_a_pause_ends():
    """In that instant, not later."""
    driver = Driver()
    driver.submit()
    driver.action()
    driver.scheduler.slot_denied(Pause(0.25, "rate limit"), None, driver.now)
    assert driver.action() == Wait(driver.now + 0.25)
    driver.now += 0.25
    assert isinstance(driver.action(), AcquireSlot)


def test_what_a_call_waited_counts_although_the_limiter_fails():
    """Its caller reads how long the limit has held it back, until the store was gone."""
    driver = Driver()
    call = driver.submit()
    driver.action()
    driver.scheduler.slot_denied(Pause(50.0, "rate limit"), None, driver.now)
    driver.now += 5.0
    driver.scheduler.limiter_failed(OSError("disk full"), driver.now)
    assert call.waited == 5.0


def test_a_bug_in_the_handling_of_a_failure_costs_one_batch(monkeypatch, caplog):
    """Its calls end with the error that the service sent, the log has the traceback, and the next batch is sent."""

    def recover(*_):
        raise ZeroDivisionError

    driver = Driver()
    call = driver.submit()
    batch = driver.send()
    with monkeypatch.context() as patch:
        patch.setattr(request_queue, "recover", recover)
        driver.finish(batch, ServerError("Upstream.", status_code=503))
    assert driver.ended == [call]
    assert "Upstream." in str(call.error)
    assert caplog.messages == ["error handling failed for a batch"]
    assert "ZeroDivisionError" in caplog.text
    caplog.clear()
    other = driver.submit()
    driver.finish(driver.send(linger=0.0))
    assert (driver.ended, other.error) == ([call, other], None)
