"""The limiter: a simulated job must never be refused by a service that counts independently."""

import copy
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from electronhub_embeddings._rate_limit.cooldown import Cooldown
from electronhub_embeddings._rate_limit.foreign_share import (
    ABSENCE_PERIODS,
    FOREIGN_EXPIRY_PERIODS,
    FOREIGN_HOLD_PERIODS,
    FOREIGN_SHARE_TTL,
)
from electronhub_embeddings._rate_limit.guessed_limit import RAISE_AFTER, GuessedLimit
from electronhub_embeddings._rate_limit.rate_limit_headers import RateLimitHeaders
from electronhub_embeddings._rate_limit.safety_margin import HALVE_AFTER, MAX_SAFETY_MARGIN, SAFETY_MARGIN, MarginGrowth
from electronhub_embeddings._rate_limit.sliding_window import Pause, SlidingWindow
from electronhub_embeddings._rate_limit.slots import LATE_ARRIVAL
from electronhub_embeddings._rate_limit.wait_queue import WAITER_TTL
from electronhub_embeddings._rate_limit.window_merge import merge, note_time, shift_clock
from electronhub_embeddings._rate_limit.window_state import decode, encode
from support.child_processes import slow_except
from support.service_model import COOLDOWN, LONGEST_CALL, PERIOD, Job, simulate

HOLD = PERIOD + SAFETY_MARGIN
SEEDS = st.integers(0, 2**32 - 1)
CONCURRENCY = st.integers(1, 16)


def told(limit=None, **state):
    """Return a window after its first good answer, so that it knows the limit if there is one."""
    return SlidingWindow(limit=limit, probing=False, **state)


def call(window, now, slot, answered=None, headers=None, *, good=True):
    """Make one complete call: acquire at `now`, and complete at `answered` or at once."""
    assert window.acquire(now, slot, max_duration=70.0) is None
    end = now if answered is None else answered
    window.complete(end, slot, headers or RateLimitHeaders(), counted=end, good=good)


@st.composite
def jobs(draw):
    """Draw a job that has its key to itself, and knows its limit from the first answer or from its user."""
    limit = draw(st.integers(1, 100))
    cap = draw(st.sampled_from([None, limit]))
    return Job(
        calls=draw(st.integers(1, 200)),
        limit=limit,
        concurrency=draw(CONCURRENCY),
        seed=draw(SEEDS),
        cap=cap,
        faults=draw(st.sampled_from([0.0, 0.1, 0.4])),
        headers=draw(st.sampled_from([0.3, 1.0] if cap is None else [0.0, 0.3, 1.0])),
    )


@given(jobs())
def test_a_job_that_is_alone_finishes_without_a_refusal(job):
    """The service never counts more than the limit in a minute, whatever is lost, late or without headers.

    The k-th of the next calls never starts before the time that `delay` returned for it.
    """
    run = simulate(replace(job, forecasts=True))
    assert run.refused == []
    assert run.service.fullest() <= job.limit
    assert run.finished is not None
    early = [
        (before, more, due, run.starts[before + more - 1])
        for before, more, due in run.forecasts
        if before + more <= len(run.starts) and run.starts[before + more - 1] < due - 1e-6
    ]
    assert early == []


@given(jobs())
def test_a_job_that_is_alone_ends_as_early_as_can_be(job):
    """Without faults a job takes its full minutes, a call's length and the margin for each, and its calls' own time."""
    run = simulate(replace(job, faults=0.0))
    minutes = (job.calls - 1) // job.limit
    busy = (job.calls // job.concurrency + 2) * LONGEST_CALL
    assert run.finished <= minutes * (HOLD + LONGEST_CALL) + busy


@given(st.integers(3, 100), CONCURRENCY, SEEDS)
def test_others_on_the_same_key_are_left_their_half(limit, concurrency, seed):
    """While others use half of the limit, a busy job gets at most one refusal in ten minutes, and its own share."""
    job = Job(20 * limit, limit, concurrency, seed, others=limit / 2)
    run = simulate(job, until=2 * PERIOD + 600)
    assert run.service.lockings <= 1
    assert len(run.good) >= 2 * limit


@given(st.integers(1, 20), CONCURRENCY, SEEDS)
def test_an_unknown_limit_is_found(limit, concurrency, seed):
    """Without any header, a job is refused a few times and still completes."""
    job = Job(4 * limit, limit, concurrency, seed, headers=0.0)
    run = simulate(job)
    assert run.finished is not None
    assert run.service.lockings <= 8


@given(st.integers(1, 20), CONCURRENCY, SEEDS)
def test_nobody_starts_in_a_cooldown_and_then_one_at_a_time(limit, concurrency, seed):
    """After a 429, nothing starts for three minutes, and then only one call until its good answer."""
    run = simulate(Job(4 * limit, limit, concurrency, seed, headers=0.0, faults=0.2))
    for refused in run.refused:
        over = refused + COOLDOWN
        assert [start for start in run.starts if refused < start < over] == []
        welcome = min((good for good in run.good if good > over), default=float("inf"))
        alone = [i for i, start in enumerate(run.starts) if over <= start < welcome]
        assert [i for i in alone[1:] if run.ends[i - 1] > run.starts[i]] == []


def test_the_first_call_travels_alone():
    """Until the first answer arrives, a second call waits, for an unknown time."""
    window = SlidingWindow()
    assert window.acquire(0.0, "a", max_duration=70.0) is None
    assert Pause(None, "waiting for the first answer") == window.acquire(0.1, "b", max_duration=70.0)


@pytest.mark.parametrize(
    ("report", "counted", "good", "alone"),
    [
        (RateLimitHeaders(), 1.0, True, False),
        (RateLimitHeaders(limit=5, remaining=4), 1.0, False, False),
        (RateLimitHeaders(), 1.0, False, True),
        (RateLimitHeaders(), None, False, True),
    ],
    ids=["a good answer", "an error that tells the limit", "an error that tells nothing", "no answer"],
)
def test_what_ends_the_probing(report, counted, good, alone):
    """A good answer, or any answer with the limit, allows more than one call."""
    window = SlidingWindow()
    window.acquire(0.0, "a", max_duration=70.0)
    window.complete(1.0, "a", report, counted=counted, good=good)
    assert window.acquire(1.0, "b", max_duration=70.0) is None
    assert alone == (window.acquire(1.0, "c", max_duration=70.0) is not None)


def test_without_a_limit_nothing_waits():
    """A service that names no limit and refuses nothing is not slowed down."""
    window = told()
    assert [window.acquire(0.0, str(i), max_duration=70.0) for i in range(500)] == [None] * 500
    assert window.delay(0.0, calls=1000) == 0.0


def test_when_nothing_limits():
    """Once an answer has named no limit: not before it, and not while nothing may start."""
    assert told().is_unlimited(0.0)
    assert told(unknown_until=5.0).is_unlimited(5.0)
    assert not told(unknown_until=5.0).is_unlimited(4.9)
    assert not told(cooldown=Cooldown(until=5.0)).is_unlimited(4.9)
    assert not SlidingWindow().is_unlimited(0.0)
    assert not told(100).is_unlimited(0.0)
    assert not told(guess=GuessedLimit(value=100)).is_unlimited(0.0)


def test_what_is_remembered_without_a_limit_is_bounded():
    """A million calls without a limit do not fill the memory."""
    window = told()
    for i in range(3000):
        call(window, i * 0.001, str(i))
    assert len(window.slots.held) <= 1001


def test_a_slot_is_free_a_period_after_the_service_counted():
    """The minute is counted from the arrival of the headers, not from the start of the call."""
    window = told(1)
    call(window, 0.0, "a", answered=7.0)
    pause = window.acquire(8.0, "b", max_duration=70.0)
    assert pause is not None
    assert ("rate limit", pytest.approx(7.0 + HOLD - 8.0)) == (pause.reason, pause.seconds)
    assert window.acquire(7.0 + HOLD - 0.001, "b", max_duration=70.0) is not None
    assert window.acquire(7.0 + HOLD, "b", max_duration=70.0) is None


def test_a_call_that_takes_longer_than_a_period_keeps_its_slot():
    """The service may count a call late: its slot is taken while it is in flight and for a period afterwards."""
    window = told(1)
    window.acquire(0.0, "a", max_duration=700.0)
    assert window.acquire(3 * PERIOD, "b", max_duration=700.0) is not None
    window.complete(200.0, "a", RateLimitHeaders(), counted=200.0, good=True)
    assert window.acquire(200.0 + HOLD - 0.001, "b", max_duration=700.0) is not None
    assert window.acquire(200.0 + HOLD, "b", max_duration=700.0) is None


def test_a_call_without_an_answer_may_have_been_counted_late():
    """A lost call holds its slot for a period after it was abandoned, plus LATE_ARRIVAL."""
    window = told(1)
    window.acquire(0.0, "a", max_duration=70.0)
    window.complete(30.0, "a", RateLimitHeaders(), counted=None, good=False)
    assert pytest.approx(30.0 + LATE_ARRIVAL + HOLD) == 31.0 + window.delay(31.0)


def test_a_call_whose_slot_was_lost_is_counted_all_the_same():
    """If a store loses the window while a call is in flight, the finished call holds a slot in the new one."""
    window = told(1)
    window.complete(5.0, "from before", RateLimitHeaders(), counted=4.0, good=True)
    assert pytest.approx(4.0 + HOLD - 5.0) == window.delay(5.0)
    window.release("from before, never sent")


@pytest.mark.parametrize("starts", [1, 2, 3, 7])
def test_a_wait_for_several_calls_is_that_of_the_last(starts):
    """Each future call waits for the calls before it, including those in flight."""
    window = told(2)
    window.acquire(0.0, "a", max_duration=70.0)
    window.acquire(1.0, "b", max_duration=70.0)
    begins = [0.0, 1.0]
    for _ in range(starts):
        begins.append(begins[-2] + HOLD)
    assert pytest.approx(begins[-1] - 10.0) == window.delay(10.0, calls=starts)


def test_a_slot_that_comes_free_is_free_at_that_moment():
    """A worker that wakes exactly at the announced time gets its slot, even if another call takes long."""
    window = told(2)
    window.acquire(0.0, "long", max_duration=700.0)
    call(window, 1.0, "a")
    assert window.acquire(1.0 + HOLD, "b", max_duration=70.0) is None


def test_a_change_that_is_repeated_takes_no_second_slot():
    """A store repeats a change whose success it could not confirm."""
    window = told(2)
    starts = [window.acquire(time, "a", max_duration=70.0) for time in (0.0, 0.1)]
    assert (starts, window.slots.in_flight) == ([None, None], {"a": (0.0, 70.0)})


def test_a_call_that_was_never_sent_costs_nothing():
    """A released slot is available at once."""
    window = told(1)
    window.acquire(0.0, "a", max_duration=70.0)
    window.release("a")
    assert window.acquire(0.0, "b", max_duration=70.0) is None


def test_a_dead_process_gives_its_slot_back():
    """The slot of a call that never ended is held for a period after its `max_duration`."""
    window = told(1)
    window.acquire(0.0, "of a dead process", max_duration=10.0)
    assert window.acquire(9.0, "b", max_duration=10.0) is not None
    pause = window.acquire(10.0, "b", max_duration=10.0)
    assert pause is not None
    assert pytest.approx(HOLD) == pause.seconds
    assert window.acquire(10.0 + HOLD - 0.001, "b", max_duration=10.0) is not None
    assert window.acquire(10.0 + HOLD, "b", max_duration=10.0) is None


def test_a_dead_process_does_not_stop_the_probing_for_good():
    """If the first call was lost with its process, the next one starts after its `max_duration`."""
    window = SlidingWindow()
    window.acquire(0.0, "of a dead process", max_duration=10.0)
    assert window.acquire(9.9, "b", max_duration=10.0) is not None
    assert window.acquire(10.0, "b", max_duration=10.0) is None


@pytest.mark.parametrize(("limit", "cap", "starts"), [(None, 3, 3), (5, 3, 3), (3, 5, 3), (4, None, 4)])
def test_the_smaller_of_limit_and_cap_counts(limit, cap, starts):
    """A cap applies if the service reports no limit or a higher one, and never raises the service's limit."""
    window = told(limit)
    begun = [window.acquire(0.0, str(i), max_duration=70.0, cap=cap) is None for i in range(6)]
    assert [True] * starts + [False] * (6 - starts) == begun


def test_others_are_seen_in_the_remaining():
    """If the service has counted more than we did, the difference and half of its square root is left to others."""
    window = told(20)
    call(window, 0.0, "a", headers=RateLimitHeaders(limit=20, remaining=10))
    begun = sum(window.acquire(0.0, str(i), max_duration=70.0) is None for i in range(20))
    assert begun == 20 - 1 - (9 + 2)


def test_beside_others_documents_leave_evenly_spaced():
    """A job that does not fit into what others leave keeps the distance, so that each answer tells of them in time."""
    window = told(20)
    call(window, 0.0, "a", headers=RateLimitHeaders(limit=20, remaining=15))
    share = 20 - (4 + 1)
    assert window.acquire(1.0, "b", max_duration=70.0, documents=share) == Pause(
        pytest.approx(HOLD / share - 1.0), f"requests leave evenly spaced beside others, one in {HOLD / share:.3g} s"
    )
    assert window.acquire(HOLD / share, "b", max_duration=70.0, documents=share) is None


@pytest.mark.parametrize("kind", [{"documents": 14}, {"documents": 15, "interactive": True}, {}])
def test_what_fits_into_what_others_leave_is_not_spread(kind):
    """A job of so few requests leaves at once, and so do queries, and documents that may not be spread."""
    window = told(20)
    call(window, 0.0, "a", headers=RateLimitHeaders(limit=20, remaining=15))
    assert window.acquire(1.0, "b", max_duration=70.0, **kind) is None


def test_documents_alone_are_not_spread():
    """Where nobody else was seen, a job fills the window at once."""
    window = told(20)
    call(window, 0.0, "a", headers=RateLimitHeaders(limit=20, remaining=19))
    assert sum(window.acquire(1.0, str(i), max_duration=70.0, documents=100) is None for i in range(20)) == 19


def test_a_call_that_started_later_may_be_counted_later():
    """A slot in flight that started after the answered call is taken for one of others, once others are known."""
    window = told(20)
    for name, at in (("a", 0.0), ("b", 1.0)):
        window.acquire(at, name, max_duration=70.0)
    window.complete(2.0, "a", RateLimitHeaders(limit=20, remaining=15), counted=2.0, good=True)
    assert (window.foreign.sightings[0][1], window.foreign.latest) == (3, 4)
    assert told(20).foreign.reserve(20) == 0


def test_our_own_slots_are_not_taken_for_others():
    """A slot that was released while a call was in flight may still be in the service's count for that call."""
    window = told(2)
    call(window, 0.0, "a")
    window.acquire(HOLD - 0.1, "b", max_duration=70.0)
    window.acquire(HOLD + 0.1, "never sent", max_duration=70.0)
    window.release("never sent")
    window.complete(HOLD + 0.2, "b", RateLimitHeaders(limit=2, remaining=0), counted=HOLD + 0.2, good=True)
    assert window.foreign.sightings == []


def test_one_slot_stays_ours():
    """However much others use, one call per period remains possible."""
    window = told(5)
    call(window, 0.0, "a", headers=RateLimitHeaders(limit=5, remaining=0))
    assert window.acquire(HOLD, "b", max_duration=70.0) is None


def test_others_are_not_remembered_for_ever():
    """A few minutes after others were last seen, the whole limit is ours again."""
    window = told(5)
    call(window, 0.0, "a", headers=RateLimitHeaders(limit=5, remaining=0))
    begun = [window.acquire(10 * PERIOD, str(i), max_duration=70.0) is None for i in range(6)]
    assert begun == [True] * 5 + [False]


@pytest.mark.parametrize(
    ("named", "free_at"), [(None, HOLD), (10.0, 10.0 + HOLD - PERIOD), (90.0, 90.0 + HOLD - PERIOD)]
)
def test_the_period_that_a_header_names_holds_for_earlier_calls_too(named, free_at):
    """A slot that was held for a minute is released after the period that a later answer names."""
    window = SlidingWindow()
    call(window, 0.0, "a", answered=0.0, headers=RateLimitHeaders(limit=2, remaining=1))
    call(window, 0.0, "b", answered=0.0, headers=RateLimitHeaders(limit=2, remaining=0, period=named))
    assert window.delay(0.0) == pytest.approx(free_at)


@pytest.mark.parametrize("now", [0.2 + HOLD + 0.1, 4 * PERIOD])
def test_others_seen_once_are_still_seen_when_our_slots_come_back(now):
    """When our slots are released after a period, the others' slots stay reserved until an answer shows otherwise."""
    window = told(5)
    call(window, 0.0, "a", answered=0.2, headers=RateLimitHeaders(limit=5, remaining=1))
    begun = [window.acquire(now, str(i), max_duration=70.0) is None for i in range(5)]
    assert sum(begun) <= 2


@pytest.mark.parametrize(("now", "left"), [(30.0, 8), (2.9 * PERIOD, 8), (3.1 * PERIOD, 0)])
def test_others_who_rest_are_expected_back_for_three_periods(now, left):
    """Answers that show no other caller end a sighting only after three periods."""
    window = told(20)
    call(window, 0.0, "a", headers=RateLimitHeaders(limit=20, remaining=11))
    call(window, now, "b", headers=RateLimitHeaders(limit=20, remaining=19 if now > HOLD else 18))
    ours = 1 if now > HOLD else 2
    assert sum(window.acquire(now + 0.01, str(i), max_duration=1.0) is None for i in range(20)) == 20 - ours - left


def test_a_single_call_of_somebody_is_seen():
    """For a caller that makes one call per period, two slots are reserved."""
    window = told(5)
    for number in range(6):
        call(window, number * 70.0, str(number), headers=RateLimitHeaders(limit=5, remaining=3))
    assert sum(window.acquire(351.0, f"new {i}", max_duration=1.0) is None for i in range(5)) == 5 - 1 - 2


def test_a_greater_share_seen_for_a_while_does_not_undo_the_smaller_one_of_longer():
    """The half left to others after a refusal is kept for its full time, whatever was seen in between."""
    window = refused()
    call(window, 200.0, "more", headers=RateLimitHeaders(limit=10, remaining=3))
    call(window, 330.0, "none", headers=RateLimitHeaders(limit=10, remaining=9))
    assert sum(window.acquire(331.0, str(i), max_duration=1.0) is None for i in range(10)) == 10 - 1 - (5 + 1)


def test_what_is_remembered_of_others_is_bounded():
    """A thousand equal sightings are stored as one."""
    window = told(2000)
    for number in range(1000):
        call(window, 0.01 * number, str(number), headers=RateLimitHeaders(limit=2000, remaining=1990 - number))
    assert len(window.foreign.sightings) == 1


def test_a_large_limit_is_counted_in_full():
    """The bound on held slots without a limit does not apply once a limit is known."""
    window = told(1200)
    begun = [window.acquire(0.0, str(i), max_duration=1.0) is None for i in range(1201)]
    for i in range(1200):
        window.complete(0.5, str(i), RateLimitHeaders(), counted=0.5, good=True)
    assert begun == [True] * 1200 + [False]
    assert window.acquire(1.0, "one too many", max_duration=1.0) is not None


def test_a_limit_that_shrinks_holds_at_once():
    """Slots taken under an old limit count against a new and smaller one."""
    window = told(10)
    for i in range(6):
        call(window, float(i), str(i))
    call(window, 6.0, "6", headers=RateLimitHeaders(limit=2))
    assert window.acquire(7.0, "7", max_duration=70.0) is not None
    assert pytest.approx(5.0 + HOLD) == 7.0 + window.delay(7.0)
    assert pytest.approx(6.0 + HOLD) == 7.0 + window.delay(7.0, calls=2)


def test_a_limit_that_grows_holds_at_once():
    """A higher limit is used from the first answer on that reports it."""
    window = told(1)
    call(window, 0.0, "a", headers=RateLimitHeaders(limit=3))
    begun = [window.acquire(0.0, str(i), max_duration=70.0) is None for i in range(3)]
    assert begun == [True, True, False]


def test_an_answer_without_headers_leaves_the_limit_as_it_was():
    """A reported limit is kept when later answers report none."""
    window = told()
    call(window, 0.0, "a", headers=RateLimitHeaders(limit=7))
    call(window, 1.0, "b")
    assert window.limit == 7


def test_a_refusal_without_headers_tells_the_limit():
    """If the sixth call is refused and no limit is reported, five is the limit from then on."""
    window = told()
    for i in range(6):
        call(window, float(i), str(i), good=i < 5)
    window.start_cooldown(5.0, 180.0)
    assert (window.limit, window.effective_limit(None)) == (None, 5)


def test_a_refusal_of_the_very_first_call_leaves_one():
    """A guessed limit is never 0."""
    window = SlidingWindow()
    call(window, 0.0, "a", good=False)
    window.start_cooldown(0.0, 180.0)
    assert (window.limit, window.effective_limit(None)) == (None, 1)


def test_a_good_answer_from_before_a_refusal_ends_no_probing():
    """The answer to a call sent before the 429 does not end probing."""
    window = told(5)
    window.acquire(0.0, "a", max_duration=70.0)
    call(window, 0.1, "b", good=False)
    window.start_cooldown(0.1, 180.0)
    window.complete(0.2, "a", RateLimitHeaders(limit=5, remaining=0), counted=0.2, good=True)
    assert window.acquire(400.0, "c", max_duration=70.0) is None
    assert window.acquire(400.0, "d", max_duration=70.0) is not None
    assert window.probing


@pytest.mark.parametrize("seconds", [180.0, 7.0])
def test_a_cooldown_lasts_as_long_as_was_said(seconds):
    """No call starts until the cooldown that the service named is over."""
    window = told(5)
    call(window, 0.0, "a", good=False)
    window.start_cooldown(0.0, seconds)
    assert Pause(pytest.approx(seconds + SAFETY_MARGIN - 1.0), "cooldown after a refused request") == window.acquire(
        1.0, "b", max_duration=70.0
    )
    assert window.acquire(seconds + SAFETY_MARGIN - 0.001, "b", max_duration=70.0) is not None


def test_a_cooldown_is_part_of_the_wait():
    """Even if slots are free, `delay` points to the end of the cooldown."""
    window = told(5)
    window.start_cooldown(0.0, 180.0)
    assert pytest.approx(150.0 + SAFETY_MARGIN) == window.delay(30.0)


def test_a_later_refusal_never_shortens_a_cooldown():
    """Of two cooldowns, the one that ends later applies."""
    window = told(5)
    window.start_cooldown(0.0, 180.0)
    window.start_cooldown(1.0, 10.0)
    assert pytest.approx(180.0 + SAFETY_MARGIN) == window.cooldown.until


def test_a_second_refusal_in_a_cooldown_counts_for_what_it_says():
    """The cooldown is doubled by a refusal after it, not by one of a call that was in flight with the first."""
    window = told(5)
    window.start_cooldown(0.0, 10.0)
    window.start_cooldown(1.0, 180.0)
    assert pytest.approx(1.0 + 180.0 + 2 * SAFETY_MARGIN) == window.cooldown.until


def test_calls_refused_together_teach_once():
    """Refusals of calls that were in flight with the first refused call do not double the margin."""
    window = told(5)
    for now in (0.0, 0.1, 0.2):
        window.start_cooldown(now, 180.0)
    assert pytest.approx(PERIOD + 2 * SAFETY_MARGIN) == window.hold


def test_the_margin_grows_to_its_bound():
    """Each cooldown increases the margin, up to its maximum."""
    window = told(5)
    for i in range(20):
        window.start_cooldown(1000.0 * i, 180.0)
    assert pytest.approx(PERIOD + MAX_SAFETY_MARGIN) == window.hold


def test_a_guess_is_to_blame_before_others_are():
    """A 429 without a known limit lowers the guess; it affects neither the share of others nor the margin."""
    window = told()
    for i in range(6):
        call(window, float(i), str(i), good=i < 5)
    window.start_cooldown(5.0, 180.0)
    assert (window.foreign.sightings, window.hold) == ([], HOLD)


def test_a_header_wins_over_a_guess():
    """Once the service has reported its limit, the guess is dropped."""
    window = told()
    call(window, 0.0, "a", good=False)
    window.start_cooldown(0.0, 180.0)
    call(window, 200.0, "b", headers=RateLimitHeaders(limit=7))
    assert (window.effective_limit(None), window.guess) == (7, GuessedLimit())
    window.start_cooldown(201.0, 180.0)
    assert (window.effective_limit(None), window.guess) == (7, GuessedLimit())


def test_a_guess_that_seemed_right_is_kept_where_others_are_to_blame():
    """A 429 with few calls in the period is caused by others: half is left to them, and the guess is kept."""
    window = told()
    window.guess = GuessedLimit(value=20, proven=20, ceiling=21)
    call(window, 0.0, "a", good=False)
    window.start_cooldown(0.0, 180.0)
    assert window.effective_limit(None) == 20
    assert window.foreign.reserve(20) == 10 + 1
    assert pytest.approx(PERIOD + 2 * SAFETY_MARGIN) == window.hold


def test_a_guess_is_to_blame_where_others_have_their_share_already():
    """A second such 429 halves the guess, because the limit may be much lower now."""
    window = told()
    window.guess = GuessedLimit(value=20, proven=20, ceiling=21)
    for now in (0.0, 300.0):
        call(window, now, f"at {now}", good=False)
        window.start_cooldown(now, 180.0)
    assert window.effective_limit(None) == 10


@pytest.mark.parametrize(("limit", "guess", "expected"), [(7, 3, 7), (7, 9, 7), (None, 3, 3), (7, None, 7)])
def test_what_was_said_counts_before_what_was_guessed(limit, guess, expected):
    """The reported limit takes precedence over the guess of a merged window."""
    window = told(limit)
    merge(window, told(guess=GuessedLimit(value=guess)), 0.0)
    assert window.effective_limit(None) == expected


def test_a_clock_started_anew_stops_no_count_of_good_periods():
    """After a clock shift, the current period starts with the next good answer."""
    window = told()
    window.guess = GuessedLimit(value=1, proven=1)
    call(window, 1e6, "a")
    shift_clock(window, -1e6)
    for number in range(1, RAISE_AFTER + 2):
        call(window, 61.0 * number, str(number))
    assert window.guess.value == 2
    assert window.margin_growth.good.count == RAISE_AFTER


def test_a_guess_is_raised_only_where_it_is_used_in_full():
    """Good answers do not raise the guess while it is not fully used."""
    full, half = told(), told()
    for window in (full, half):
        window.guess = GuessedLimit(value=2, proven=2)
    for period in range(2 * RAISE_AFTER + 1):
        for slot in "ab":
            call(full, 61.0 * period, f"{slot}{period}")
        call(half, 61.0 * period, f"a{period}")
    assert full.guess.value > 2
    assert half.guess.value == 2


@pytest.mark.parametrize("late", [True, False], ids=["sent before the 429", "sent after it"])
def test_good_answers_from_before_a_refusal_count_for_nothing(late):
    """The answer to a call sent before the cooldown ended does not count as a good one."""
    window = told(5, margin_growth=MarginGrowth(doublings=3))
    window.acquire(0.0, "a", max_duration=1e6)
    if late:
        window.start_cooldown(0.1, 180.0)
    window.complete(300.0, "a", RateLimitHeaders(), counted=300.0, good=True)
    assert (window.margin_growth.good.since is None) == late


# Long runs.

DAY = 86400.0
FOREVER = 10**6
"""More calls than a simulation comes to."""


def cooldowns(run):
    """List the times at which the key was locked; a 429 while it is locked has the same cause."""
    return [now for i, now in enumerate(run.refused) if i == 0 or now - run.refused[i - 1] > COOLDOWN / 2]


@pytest.mark.parametrize("limit", slow_except({5}, [1, 5, 20]))
@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_guess_costs_a_cooldown_an_hour_at_most(limit, concurrency):
    """From any initial guess, failed trials are at least an hour apart, and few in a whole day."""
    window = SlidingWindow(guess=GuessedLimit(value=1, proven=1))
    run = simulate(Job(FOREVER, limit, concurrency, seed=1, headers=0.0), until=DAY / 2, window=window)
    locked = cooldowns(run)
    assert locked  # it was tried
    assert [late - early for early, late in pairwise(locked) if late - early < 3600.0] == []
    assert len(locked) <= 6


@pytest.mark.parametrize("seed", range(3))
def test_a_guess_of_one_becomes_four_fifths_of_the_limit(seed):
    """From a guess of one call, with 20 allowed, 80 % of the limit is used after 40 minutes, cooldowns included."""
    window = SlidingWindow(guess=GuessedLimit(value=1, proven=1))
    run = simulate(Job(FOREVER, 20, 4, seed, headers=0.0), until=100 * 60.0, window=window)
    assert sum(now >= 40 * 60.0 for now in run.good) >= 0.8 * 20 * 60


def test_a_first_call_refused_leaves_no_one_call_a_minute_for_ever():
    """If others have locked the key, the first call is refused; an hour later, most of the limit is used."""
    window = SlidingWindow()
    call(window, 0.0, "locked by others", good=False)
    window.start_cooldown(0.0, COOLDOWN)
    run = simulate(Job(FOREVER, 20, 4, seed=1, headers=0.0), until=2 * 3600.0, window=window)
    assert sum(now >= 3600.0 for now in run.good) >= 0.8 * 20 * 60


@given(st.integers(1, 8), CONCURRENCY, SEEDS)
@settings(max_examples=3)
def test_a_margin_that_shrinks_trips_nothing(limit, concurrency, seed):
    """With network jitter, hours of good answers shorten holds to the minimum, and no call is refused."""
    window = SlidingWindow(margin_growth=MarginGrowth(doublings=6))
    run = simulate(Job(FOREVER, limit, concurrency, seed), until=8.5 * HALVE_AFTER * PERIOD, window=window)
    assert run.refused == []
    assert run.service.fullest() <= limit
    assert window.hold == HOLD


@pytest.mark.parametrize("period", [61.0, 63.0])
def test_a_service_that_counts_for_longer_is_tripped_ever_more_rarely(period):
    """If the margin is necessary, each failed halving doubles the time to the next: five in two days."""
    window = SlidingWindow(margin_growth=MarginGrowth(doublings=6))
    run = simulate(Job(FOREVER, 2, 2, seed=1, period=period), until=2 * DAY, window=window)
    locked = cooldowns(run)
    assert 1 <= len(locked) <= 6
    assert locked[-1] - locked[-2] > DAY / 2


def refused(limit=10):
    """Return a window after a first refusal at second 0, whose cooldown lasts 180 s."""
    window = told(limit)
    call(window, 0.0, "a", good=False)
    window.start_cooldown(0.0, 180.0)
    return window


def test_after_a_refusal_others_are_left_half():
    """Half of the limit, and a slot more for safety, is left to others for ten minutes after the cooldown."""
    window = refused()
    window.probing = False
    soon = 180.0 + FOREIGN_SHARE_TTL - 10.0
    late = 180.0 + FOREIGN_SHARE_TTL + (FOREIGN_EXPIRY_PERIODS + 1) * PERIOD + 10.0
    assert sum(window.acquire(soon, str(i), max_duration=1.0) is None for i in range(10)) == 10 - (5 + 1)
    assert sum(window.acquire(late, f"late {i}", max_duration=1.0) is None for i in range(11)) == 10


def test_others_who_are_seen_to_be_gone_are_left_nothing():
    """If every answer of two periods shows no other caller, the whole limit is ours again."""
    window = refused()
    for now in (200.0, 200.0 + ABSENCE_PERIODS * PERIOD + 1.0):
        call(window, now, f"at {now}", headers=RateLimitHeaders(limit=10, remaining=9))
    later = 200.0 + ABSENCE_PERIODS * PERIOD + 2.0
    assert sum(window.acquire(later, str(i), max_duration=1.0) is None for i in range(10)) == 10 - 1


def test_refused_again_after_the_cooldown_we_wait_for_longer():
    """Two clients that trigger each other's cooldowns get out of step, because repeated cooldowns are doubled."""
    window, now, waits = refused(), 0.0, []
    for number in range(4):
        waits.append(round(window.cooldown.until - now, 1) // 180.0)
        now = window.cooldown.until
        call(window, now, str(number), good=False)
        window.start_cooldown(now, 180.0)
    assert waits == [1.0, 2.0, 4.0, 4.0]
    now = window.cooldown.until
    call(window, now, "good", headers=RateLimitHeaders(limit=10, remaining=9))
    window.start_cooldown(now + 1.0, 180.0)
    assert (window.cooldown.until - now) // 180.0 == 1.0


def test_calls_of_somebody_who_is_gone_count_as_lost():
    """A child process keeps the window; the parent's calls in flight are not awaited, but still count."""
    window = SlidingWindow()
    window.acquire(0.0, "of the parent", max_duration=70.0)
    window.abandon_in_flight(10.0)
    window.limit = 1
    assert pytest.approx(LATE_ARRIVAL + HOLD) == window.delay(10.0)
    assert window.acquire(10.0 + LATE_ARRIVAL + HOLD, "b", max_duration=70.0) is None


def test_calls_of_somebody_who_is_gone_show_nothing():
    """The loss of the parent's first call is not an answer: the child still sends one call at a time."""
    window = SlidingWindow()
    window.acquire(0.0, "of the parent", max_duration=70.0)
    window.abandon_in_flight(10.0)
    assert window.acquire(10.0, "b", max_duration=70.0) is None
    assert window.acquire(10.0, "c", max_duration=70.0) is not None


@pytest.mark.parametrize("shift", [-1000.0, 1000.0])
def test_a_clock_started_anew_ends_no_cooldown(shift):
    """The rest of a cooldown applies on the new clock, and later answers are used normally."""
    window = refused()
    call(window, 200.0, "a", headers=RateLimitHeaders(limit=10, remaining=9))
    window.start_cooldown(201.0, 180.0)
    waits = window.delay(210.0)
    shift_clock(window, shift)
    assert pytest.approx(waits) == window.delay(210.0 + shift)
    call(window, 500.0 + shift, "b", headers=RateLimitHeaders(limit=10, remaining=9))
    call(window, 500.0 + shift + (ABSENCE_PERIODS + 1) * PERIOD, "c", headers=RateLimitHeaders(limit=10, remaining=9))
    assert window.foreign.sightings == []


IDLE_AGAIN = {
    "a call under way": (lambda window: window.acquire(0.0, "a", max_duration=70.0), 70.0 + HOLD),
    "a slot held": (lambda window: call(window, 0.0, "a"), HOLD),
    "a cooldown": (
        lambda window: window.start_cooldown(0.0, 900.0),
        900.0 + SAFETY_MARGIN + FOREIGN_SHARE_TTL + FOREIGN_EXPIRY_PERIODS * PERIOD,
    ),
    "others": (
        lambda window: call(window, 0.0, "a", headers=RateLimitHeaders(limit=9, remaining=5)),
        (FOREIGN_HOLD_PERIODS + FOREIGN_EXPIRY_PERIODS) * HOLD,
    ),
}


@pytest.mark.parametrize("case", IDLE_AGAIN)
def test_a_window_that_still_counts_is_not_thrown_away(case):
    """A window is not idle as long as it has relevant information."""
    change, over = IDLE_AGAIN[case]
    window = told(9)
    assert window.idle(0.0)
    change(window)
    assert not window.idle(0.001)
    assert not window.idle(over - 1.0)
    assert window.idle(over + 0.001)


def test_a_guess_is_not_thrown_away():
    """A window with a guess is not idle, because only another 429 would restore the guess."""
    assert not SlidingWindow(guess=GuessedLimit(value=5)).idle(1e9)


def test_a_cooldown_is_kept_without_others():
    """A window in a cooldown is not idle, even without other callers."""
    window = told(9, cooldown=Cooldown(until=10.0))
    assert not window.idle(9.9)
    assert window.idle(10.0)


def test_what_was_counted_alone_is_added():
    """Calls of both windows count, on one clock; calls that have ended in either are not in flight."""
    ours, alone = told(9), told(5)
    ours.acquire(1000.0, "ours", max_duration=70.0)
    ours.acquire(1000.0, "ended alone", max_duration=70.0)
    call(ours, 1000.0, "ended here")
    alone.acquire(3.0, "new", max_duration=70.0)
    alone.acquire(3.0, "ended here", max_duration=70.0)
    call(alone, 3.0, "ended alone")
    merge(ours, alone, 1000.0)
    assert {"ours", "new"} == set(ours.slots.in_flight)
    assert {"ended here": pytest.approx(1000.0 + HOLD), "ended alone": pytest.approx(1003.0 + HOLD)} == ours.slots.held
    assert pytest.approx((1003.0, 1073.0)) == ours.slots.in_flight["new"]
    assert ours.limit == 5


@pytest.mark.parametrize(("one", "two"), [(1.0, 3.0), (3.0, 1.0)])
def test_a_call_that_ended_twice_is_held_for_the_longer(one, two):
    """If a call was completed in both windows, the later release applies."""
    ours, alone = told(9), told(9)
    call(ours, one, "a")
    call(alone, two, "a")
    merge(ours, alone, 0.0)
    assert {"a": pytest.approx(3.0 + HOLD)} == ours.slots.held


@pytest.mark.parametrize(("limit", "other", "expected"), [(9, None, 9), (None, 5, 5), (9, 5, 5)])
def test_the_limit_heard_last_is_adopted(limit, other, expected):
    """Merging a window without information changes nothing."""
    window = told(limit)
    merge(window, told(other), 0.0)
    assert expected == window.limit


@pytest.mark.parametrize("refused_alone", [True, False])
def test_of_two_cooldowns_the_longer_is_adopted(refused_alone):
    """A 429 in either window applies to both, with the cooldown and the margin."""
    window, alone = told(10), told(10)
    (alone if refused_alone else window).start_cooldown(0.0, 180.0)
    merge(window, alone, 0.0)
    assert pytest.approx(180.0 + SAFETY_MARGIN) == window.cooldown.until
    assert pytest.approx(PERIOD + 2 * SAFETY_MARGIN) == window.hold
    assert sum(window.acquire(200.0, str(i), max_duration=1.0) is None for i in range(10)) == 10 - (5 + 1)


def test_what_cost_a_cooldown_to_learn_is_adopted():
    """The lower guess and the larger margin apply, whichever window has them."""
    careful = {"guess": GuessedLimit(value=3, proven=3), "margin_growth": MarginGrowth(doublings=4)}
    bold = {"guess": GuessedLimit(value=4, proven=4), "margin_growth": MarginGrowth(doublings=3)}
    pairs = [(bold, careful), (careful, bold), ({}, careful), (careful, {})]
    for window, alone in ([told(**copy.deepcopy(known)) for known in pair] for pair in pairs):
        merge(window, alone, 0.0)
        assert (window.guess, window.margin_growth) == (careful["guess"], careful["margin_growth"])


def test_of_two_that_have_learned_the_same_each_keeps_its_own():
    """An equal guess or margin of another window is no news, and the count of full or good periods goes on."""
    window, alone = told(guess=GuessedLimit(value=3)), told(guess=GuessedLimit(value=3))
    window.guess.failures = window.margin_growth.failures = 1
    merge(window, alone, 0.0)
    assert (window.guess.failures, window.margin_growth.failures) == (1, 1)


@pytest.mark.parametrize(("here", "alone", "probing"), [(True, True, True), (True, False, False), (False, True, False)])
def test_a_good_answer_in_either_window_is_enough(here, alone, probing):
    """One call at a time is sent only if neither window has had an answer."""
    window = SlidingWindow(probing=here)
    merge(window, SlidingWindow(probing=alone), 0.0)
    begun = [window.acquire(0.0, slot, max_duration=70.0) is None for slot in "ab"]
    assert begun == [True, not probing]


@st.composite
def used_windows(draw):
    """Draw a window in the middle of a job, and the time."""
    limit = draw(st.integers(2, 20))
    until = draw(st.floats(1.0, 900.0))
    others = draw(st.sampled_from([0.0, limit / 2]))
    run = simulate(Job(500, limit, draw(CONCURRENCY), draw(SEEDS), others=others, headers=0.9), until=until)
    return run.window, until


@given(used_windows(), st.floats(-1e6, 1e6), st.integers(1, 5))
def test_a_clock_started_anew_changes_nothing(used, shift, starts):
    """After `shift_clock`, every delay is the same on the new clock."""
    window, now = used
    moved = copy.deepcopy(window)
    shift_clock(moved, shift)
    assert pytest.approx(window.delay(now, calls=starts), abs=1e-6) == moved.delay(now + shift, calls=starts)
    begun, again = window.acquire(now, "new", max_duration=70.0), moved.acquire(now + shift, "new", max_duration=70.0)
    assert (begun is None) == (again is None)
    assert {slot: pytest.approx(end + shift) for slot, end in window.slots.held.items()} == moved.slots.held
    assert set(window.slots.in_flight) == set(moved.slots.in_flight)


def test_a_clock_started_anew_changes_no_order():
    """The calls that wait keep their place, and are waited for as long as before."""
    window = told(5)
    window.wait_queue.add(100.0, "first")
    shift_clock(window, -90.0)
    assert window.wait_queue.waiting == {"first": 10.0 + WAITER_TTL}


def test_a_window_that_is_not_trusted_starts_nothing_for_a_period():
    """If unknown calls may have used the whole limit, nothing starts for a period, then one call at a time."""
    window = told(5)
    window.distrust(100.0)
    assert window.delay(100.0) == pytest.approx(HOLD)
    assert Pause(pytest.approx(HOLD), "earlier requests are not known") == window.acquire(100.0, "a", max_duration=70.0)
    assert window.acquire(100.0 + HOLD - 0.001, "a", max_duration=70.0) is not None
    assert window.acquire(100.0 + HOLD, "a", max_duration=70.0) is None
    assert Pause(None, "waiting for the first answer") == window.acquire(100.0 + HOLD, "b", max_duration=70.0)


def test_distrust_is_kept_moved_and_merged_like_a_cooldown():
    """`unknown_until` survives a restarted clock and a merge, and keeps a window from being idle."""
    window, other = told(5), told(5)
    window.distrust(1000.0)
    assert not window.idle(1000.0 + HOLD - 0.001)
    merge(other, window, -1000.0)
    assert other.delay(0.0) == pytest.approx(HOLD)
    assert other.idle(HOLD + 0.001)


@given(used_windows())
def test_a_window_survives_being_kept(used):
    """What a store reads is what was written."""
    window, _ = used
    assert window == decode(encode(window))


@given(limit=st.integers(1, 8), concurrency=CONCURRENCY, seed=SEEDS, lost_at=st.floats(1.0, 300.0))
def test_a_state_that_was_lost_trips_no_limit(limit, concurrency, seed, lost_at):
    """A job that loses its window continues with a new one, and is never refused."""
    run = simulate(Job(6 * limit, limit, concurrency, seed), window=SlidingWindow(), lost_at=lost_at)
    assert run.refused == []
    assert run.finished is not None


@given(
    limit=st.integers(1, 5),
    steps=st.lists(st.tuples(st.floats(0.0, 30.0), st.none() | st.floats(0.0, 300.0)), max_size=60),
)
def test_a_clock_that_starts_anew_frees_nothing_early(limit, steps):
    """A stored window whose clock restarts, as after a reboot, neither exceeds the limit nor blocks forever."""
    window, time, behind, counted, now = SlidingWindow(), 1000.0, 0.0, [], 1000.0
    for number, (passed, uptime) in enumerate(steps):
        time += passed
        if uptime is not None:  # at least the uptime has passed since the clock was stopped
            time += uptime
            behind = time - uptime
        now = time - behind
        note_time(window, now)
        if window.acquire(now, str(number), max_duration=70.0) is None:
            window.complete(now, str(number), RateLimitHeaders(limit=limit), counted=now, good=True)
            counted.append(time)
    assert all(sum(moment - PERIOD < other <= moment for other in counted) <= limit for moment in counted)
    assert window.acquire(now + HOLD + 0.001, "last", max_duration=70.0) is None
