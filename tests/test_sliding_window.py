"""The limiter: a job over it is simulated against a service that counts by itself, and must never see a refusal."""

import copy
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from service_model import COOLDOWN, LONGEST_CALL, PERIOD, Job, simulate

from electronhub_embeddings._rate_limit.cooldown import Cooldown
from electronhub_embeddings._rate_limit.foreign_share import (
    ABSENCE_PERIODS,
    FOREIGN_EXPIRY_PERIODS,
    FOREIGN_SHARE_TTL,
)
from electronhub_embeddings._rate_limit.guessed_limit import RAISE_AFTER, GuessedLimit
from electronhub_embeddings._rate_limit.rate_limit_headers import RateLimitHeaders
from electronhub_embeddings._rate_limit.safety_margin import HALVE_AFTER, MAX_SAFETY_MARGIN, SAFETY_MARGIN, MarginGrowth
from electronhub_embeddings._rate_limit.sliding_window import (
    LATE_ARRIVAL,
    Pause,
    SlidingWindow,
)
from electronhub_embeddings._rate_limit.window_state import decode, encode

HOLD = PERIOD + SAFETY_MARGIN
SEEDS = st.integers(0, 2**32 - 1)
CONCURRENCY = st.integers(1, 16)


def told(limit=None, **state):
    """Return a window that has had its first good answer, and so knows the limit if there is one."""
    return SlidingWindow(limit=limit, probing=False, **state)


def call(window, now, slot, answered=None, headers=None, *, good=True):
    """Make one whole call: start it at `now`, and settle it at `answered` or at once."""
    assert window.acquire(now, slot, max_duration=70.0) is None
    end = now if answered is None else answered
    window.complete(end, slot, headers or RateLimitHeaders(), counted=end, good=good)


@st.composite
def jobs(draw):
    """Draw a job that is alone with its key, and knows its limit from the first answer or from its user."""
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
def test_a_job_that_is_alone_is_never_refused(job):
    """No minute of the service ever holds more than the limit, whatever is lost, late or answered without headers."""
    run = simulate(job)
    assert run.refused == []
    assert run.service.fullest() <= job.limit


@given(jobs())
def test_a_job_that_is_alone_finishes(job):
    """Whatever is lost on the way, there is always a next call."""
    assert simulate(job).finished is not None


@given(jobs())
def test_a_job_that_is_alone_ends_as_early_as_can_be(job):
    """Without faults a job takes its full minutes, a call's length and the margin for each, and its calls' own time."""
    run = simulate(replace(job, faults=0.0))
    minutes = (job.calls - 1) // job.limit
    busy = (job.calls // job.concurrency + 2) * LONGEST_CALL
    assert run.finished <= minutes * (HOLD + LONGEST_CALL) + busy


@given(jobs())
def test_a_wait_is_never_told_too_long(job):
    """The k-th of the next calls never starts before the time that `wait` told for it."""
    run = simulate(job)
    early = [
        (before, more, due, run.starts[before + more - 1])
        for before, more, due in run.forecasts
        if before + more <= len(run.starts) and run.starts[before + more - 1] < due - 1e-6
    ]
    assert early == []


@given(st.integers(3, 100), CONCURRENCY, SEEDS)
def test_others_on_the_same_key_are_left_their_half(limit, concurrency, seed):
    """While others spend half of the limit, ten minutes of a busy job see at most one refusal."""
    job = Job(20 * limit, limit, concurrency, seed, others=limit / 2)
    assert simulate(job, until=2 * PERIOD + 600).service.lockings <= 1


@given(st.integers(3, 100), CONCURRENCY, SEEDS)
def test_a_job_finishes_beside_others(limit, concurrency, seed):
    """A job of two full minutes ends although others spend half of the limit all the time."""
    job = Job(2 * limit, limit, concurrency, seed, others=limit / 2)
    assert simulate(job).finished is not None


@given(st.integers(1, 20), CONCURRENCY, SEEDS)
def test_an_unknown_limit_is_found(limit, concurrency, seed):
    """Without any header a job is refused a few times, and finishes all the same."""
    job = Job(4 * limit, limit, concurrency, seed, headers=0.0)
    run = simulate(job)
    assert run.finished is not None
    assert run.service.lockings <= 8


@given(st.integers(1, 20), CONCURRENCY, SEEDS)
def test_nobody_starts_in_a_cooldown_and_then_one_at_a_time(limit, concurrency, seed):
    """From a 429 on nothing starts for three minutes, then nothing beside the first call until its good answer."""
    run = simulate(Job(4 * limit, limit, concurrency, seed, headers=0.0, faults=0.2))
    for refused in run.refused:
        over = refused + COOLDOWN
        assert [start for start in run.starts if refused < start < over] == []
        welcome = min((good for good in run.good if good > over), default=float("inf"))
        alone = [i for i, start in enumerate(run.starts) if over <= start < welcome]
        assert [i for i in alone[1:] if run.ends[i - 1] > run.starts[i]] == []


def test_the_first_call_travels_alone():
    """Until an answer has come a second call waits for it, for no known time."""
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
    """A good answer, or any that tells the limit, opens the way for more than one call."""
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


def test_what_is_remembered_without_a_limit_is_bounded():
    """A million calls without a limit do not fill the memory."""
    window = told()
    for i in range(3000):
        call(window, i * 0.001, str(i))
    assert len(window.held) <= 1001


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
    """The service may have counted it late: while it is under way, and for a period after, nobody takes its place."""
    window = told(1)
    window.acquire(0.0, "a", max_duration=700.0)
    assert window.acquire(3 * PERIOD, "b", max_duration=700.0) is not None
    window.complete(200.0, "a", RateLimitHeaders(), counted=200.0, good=True)
    assert window.acquire(200.0 + HOLD - 0.001, "b", max_duration=700.0) is not None
    assert window.acquire(200.0 + HOLD, "b", max_duration=700.0) is None


def test_a_call_without_an_answer_may_have_been_counted_late():
    """A lost call holds its slot for a period after it was given up, and for a straggler's time more."""
    window = told(1)
    window.acquire(0.0, "a", max_duration=70.0)
    window.complete(30.0, "a", RateLimitHeaders(), counted=None, good=False)
    assert pytest.approx(30.0 + LATE_ARRIVAL + HOLD) == 31.0 + window.delay(31.0)


def test_a_call_whose_slot_was_lost_is_counted_all_the_same():
    """A store can lose the window while a call is under way: what has come back takes a slot in the new one."""
    window = told(1)
    window.complete(5.0, "from before", RateLimitHeaders(), counted=4.0, good=True)
    assert pytest.approx(4.0 + HOLD - 5.0) == window.delay(5.0)
    window.release("from before, never sent")


@pytest.mark.parametrize("starts", [1, 2, 3, 7])
def test_a_wait_for_several_calls_is_that_of_the_last(starts):
    """Of calls to come each waits for the ones before it, those under way included."""
    window = told(2)
    window.acquire(0.0, "a", max_duration=70.0)
    window.acquire(1.0, "b", max_duration=70.0)
    begins = [0.0, 1.0]
    for _ in range(starts):
        begins.append(begins[-2] + HOLD)
    assert pytest.approx(begins[-1] - 10.0) == window.delay(10.0, calls=starts)


def test_a_slot_that_comes_free_is_free_at_that_moment():
    """A worker that wakes exactly when it was told to finds its slot, also beside a call that takes long."""
    window = told(2)
    window.acquire(0.0, "long", max_duration=700.0)
    call(window, 1.0, "a")
    assert window.acquire(1.0 + HOLD, "b", max_duration=70.0) is None


def test_a_call_that_was_never_sent_costs_nothing():
    """A slot that is given back is free at once."""
    window = told(1)
    window.acquire(0.0, "a", max_duration=70.0)
    window.release("a")
    assert window.acquire(0.0, "b", max_duration=70.0) is None


def test_a_dead_process_gives_its_slot_back():
    """A slot whose call never ended is held for a period after its lease, and free then."""
    window = told(1)
    window.acquire(0.0, "of a dead process", max_duration=10.0)
    assert window.acquire(9.0, "b", max_duration=10.0) is not None
    pause = window.acquire(10.0, "b", max_duration=10.0)
    assert pause is not None
    assert pytest.approx(HOLD) == pause.seconds
    assert window.acquire(10.0 + HOLD - 0.001, "b", max_duration=10.0) is not None
    assert window.acquire(10.0 + HOLD, "b", max_duration=10.0) is None


def test_a_dead_process_does_not_stop_the_probing_for_good():
    """When the first call of all died with its process, the next one goes after the lease."""
    window = SlidingWindow()
    window.acquire(0.0, "of a dead process", max_duration=10.0)
    assert window.acquire(9.9, "b", max_duration=10.0) is not None
    assert window.acquire(10.0, "b", max_duration=10.0) is None


@pytest.mark.parametrize(("limit", "cap", "starts"), [(None, 3, 3), (5, 3, 3), (3, 5, 3), (4, None, 4)])
def test_the_smaller_of_limit_and_cap_counts(limit, cap, starts):
    """A cap holds where the service tells nothing or allows more, and never allows more than the service."""
    window = told(limit)
    begun = [window.acquire(0.0, str(i), max_duration=70.0, cap=cap) is None for i in range(6)]
    assert [True] * starts + [False] * (6 - starts) == begun


def test_others_are_seen_in_the_remaining():
    """When the service has counted more than we did, the difference and a quarter is left to others."""
    window = told(20)
    call(window, 0.0, "a", headers=RateLimitHeaders(limit=20, remaining=10))
    begun = sum(window.acquire(0.0, str(i), max_duration=70.0) is None for i in range(20))
    assert begun == 20 - 1 - (9 + 2)


def test_our_own_slots_are_not_taken_for_others():
    """A slot that came free while a call was under way may still be in what the service counted for that call."""
    window = told(2)
    call(window, 0.0, "a")
    window.acquire(HOLD - 0.1, "b", max_duration=70.0)
    window.acquire(HOLD + 0.1, "never sent", max_duration=70.0)
    window.release("never sent")
    window.complete(HOLD + 0.2, "b", RateLimitHeaders(limit=2, remaining=0), counted=HOLD + 0.2, good=True)
    assert window.foreign.sightings == []


def test_one_slot_stays_ours():
    """However much others spend, one call a period goes on."""
    window = told(5)
    call(window, 0.0, "a", headers=RateLimitHeaders(limit=5, remaining=0))
    assert window.acquire(HOLD, "b", max_duration=70.0) is None


def test_others_are_not_remembered_for_ever():
    """A few minutes after others were last seen, the whole limit is ours again."""
    window = told(5)
    call(window, 0.0, "a", headers=RateLimitHeaders(limit=5, remaining=0))
    begun = [window.acquire(10 * PERIOD, str(i), max_duration=70.0) is None for i in range(6)]
    assert begun == [True] * 5 + [False]


@pytest.mark.parametrize("now", [0.2 + HOLD + 0.1, 4 * PERIOD])
def test_others_seen_once_are_still_seen_when_our_slots_come_back(now):
    """When a period is over and ours are free, nobody takes the others' for free until an answer says so."""
    window = told(5)
    call(window, 0.0, "a", answered=0.2, headers=RateLimitHeaders(limit=5, remaining=1))
    begun = [window.acquire(now, str(i), max_duration=70.0) is None for i in range(5)]
    assert sum(begun) <= 2


@pytest.mark.parametrize(("now", "left"), [(30.0, 8 + 2), (1.9 * PERIOD, 8 + 2), (2.1 * PERIOD, 0)])
def test_others_who_rest_are_expected_back_for_two_periods(now, left):
    """An answer that shows nobody else does not at once undo the one that did; after two periods it does."""
    window = told(20)
    call(window, 0.0, "a", headers=RateLimitHeaders(limit=20, remaining=11))
    call(window, now, "b", headers=RateLimitHeaders(limit=20, remaining=19 if now > HOLD else 18))
    ours = 1 if now > HOLD else 2
    assert sum(window.acquire(now + 0.01, str(i), max_duration=1.0) is None for i in range(20)) == 20 - ours - left


def test_a_single_call_of_somebody_is_seen():
    """Who spends one call in a period all the time keeps a place, and one to spare."""
    window = told(5)
    for number in range(6):
        call(window, number * 70.0, str(number), headers=RateLimitHeaders(limit=5, remaining=3))
    assert sum(window.acquire(351.0, f"new {i}", max_duration=1.0) is None for i in range(5)) == 5 - 1 - 2


def test_a_greater_share_seen_for_a_while_does_not_undo_the_smaller_one_of_longer():
    """The half that is left after a refusal is left for its time, whatever more was seen in between."""
    window = refused()
    call(window, 200.0, "more", headers=RateLimitHeaders(limit=10, remaining=3))
    call(window, 330.0, "none", headers=RateLimitHeaders(limit=10, remaining=9))
    assert sum(window.acquire(331.0, str(i), max_duration=1.0) is None for i in range(10)) == 10 - 1 - (5 + 1)


def test_what_is_remembered_of_others_is_bounded():
    """A thousand looks that show the same are one memory, for a store keeps it."""
    window = told(2000)
    for number in range(1000):
        call(window, 0.01 * number, str(number), headers=RateLimitHeaders(limit=2000, remaining=1990 - number))
    assert len(window.foreign.sightings) == 1


def test_a_large_limit_is_counted_in_full():
    """What is remembered without a limit bounds no limit that is known."""
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
    """A better plan is used from the first answer on that tells of it."""
    window = told(1)
    call(window, 0.0, "a", headers=RateLimitHeaders(limit=3))
    begun = [window.acquire(0.0, str(i), max_duration=70.0) is None for i in range(3)]
    assert begun == [True, True, False]


def test_an_answer_without_headers_leaves_the_limit_as_it_was():
    """What was once told stays true."""
    window = told()
    call(window, 0.0, "a", headers=RateLimitHeaders(limit=7))
    call(window, 1.0, "b")
    assert window.limit == 7


def test_a_refusal_without_headers_tells_the_limit():
    """When the sixth call is refused and nothing is told, five is the limit from then on."""
    window = told()
    for i in range(6):
        call(window, float(i), str(i), good=i < 5)
    window.start_cooldown(5.0, 180.0)
    assert (window.limit, window.effective_limit(None)) == (None, 5)


def test_a_refusal_of_the_very_first_call_leaves_one():
    """A limit that is guessed is never nothing."""
    window = SlidingWindow()
    call(window, 0.0, "a", good=False)
    window.start_cooldown(0.0, 180.0)
    assert (window.limit, window.effective_limit(None)) == (None, 1)


def test_a_good_answer_from_before_a_refusal_ends_no_probing():
    """A call that was welcome before the 429 shows nothing of the time after it."""
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
    """Nobody starts until the seconds that the service named are over."""
    window = told(5)
    call(window, 0.0, "a", good=False)
    window.start_cooldown(0.0, seconds)
    assert Pause(pytest.approx(seconds + SAFETY_MARGIN - 1.0), "cooldown after a refused request") == window.acquire(
        1.0, "b", max_duration=70.0
    )
    assert window.acquire(seconds + SAFETY_MARGIN - 0.001, "b", max_duration=70.0) is not None


def test_a_cooldown_is_part_of_the_wait():
    """Also where slots are free, the next start is told for the end of the cooldown."""
    window = told(5)
    window.start_cooldown(0.0, 180.0)
    assert pytest.approx(150.0 + SAFETY_MARGIN) == window.delay(30.0)


def test_a_later_refusal_never_shortens_a_cooldown():
    """Of two cooldowns the one that ends later holds."""
    window = told(5)
    window.start_cooldown(0.0, 180.0)
    window.start_cooldown(1.0, 10.0)
    assert pytest.approx(180.0 + SAFETY_MARGIN) == window.cooldown.until


def test_a_second_refusal_in_a_cooldown_counts_for_what_it_says():
    """The cooldown is doubled by a refusal after it, not by one of the calls that were under way with the first."""
    window = told(5)
    window.start_cooldown(0.0, 10.0)
    window.start_cooldown(1.0, 180.0)
    assert pytest.approx(1.0 + 180.0 + 2 * SAFETY_MARGIN) == window.cooldown.until


def test_calls_refused_together_teach_once():
    """The others that were under way with the first refused call double no margin."""
    window = told(5)
    for now in (0.0, 0.1, 0.2):
        window.start_cooldown(now, 180.0)
    assert pytest.approx(PERIOD + 2 * SAFETY_MARGIN) == window.hold


def test_the_margin_grows_to_its_bound():
    """Each cooldown makes us more careful, up to a point."""
    window = told(5)
    for i in range(20):
        window.start_cooldown(1000.0 * i, 180.0)
    assert pytest.approx(PERIOD + MAX_SAFETY_MARGIN) == window.hold


def test_a_guess_is_to_blame_before_others_are():
    """A 429 without a limit known teaches the guess; it proves nothing about others, nor about the margin."""
    window = told()
    for i in range(6):
        call(window, float(i), str(i), good=i < 5)
    window.start_cooldown(5.0, 180.0)
    assert (window.foreign.sightings, window.hold) == ([], HOLD)


def test_a_header_wins_over_a_guess():
    """Once the service has said its limit, nothing is guessed any more, whatever the guess was."""
    window = told()
    call(window, 0.0, "a", good=False)
    window.start_cooldown(0.0, 180.0)
    call(window, 200.0, "b", headers=RateLimitHeaders(limit=7))
    assert (window.effective_limit(None), window.guess) == (7, GuessedLimit())
    window.start_cooldown(201.0, 180.0)
    assert (window.effective_limit(None), window.guess) == (7, GuessedLimit())


def test_a_guess_that_seemed_right_is_kept_where_others_are_to_blame():
    """A 429 to a call that was almost alone in its period is somebody else's: they are left half, the guess stays."""
    window = told()
    window.guess = GuessedLimit(value=20, proven=20, ceiling=21)
    call(window, 0.0, "a", good=False)
    window.start_cooldown(0.0, 180.0)
    assert window.effective_limit(None) == 20
    assert window.foreign.reserve(20) == 10 + 2
    assert pytest.approx(PERIOD + 2 * SAFETY_MARGIN) == window.hold


def test_a_guess_is_to_blame_where_others_have_their_share_already():
    """A second 429 of the kind halves the guess: the limit may have become much smaller without a word."""
    window = told()
    window.guess = GuessedLimit(value=20, proven=20, ceiling=21)
    for now in (0.0, 300.0):
        call(window, now, f"at {now}", good=False)
        window.start_cooldown(now, 180.0)
    assert window.effective_limit(None) == 10


@pytest.mark.parametrize(("limit", "guess", "expected"), [(7, 3, 7), (7, 9, 7), (None, 3, 3), (7, None, 7)])
def test_what_was_said_counts_before_what_was_guessed(limit, guess, expected):
    """Also where one window was told and another one, which is merged with it, had to guess."""
    window = told(limit)
    window.merge(told(guess=GuessedLimit(value=guess)), 0.0)
    assert window.effective_limit(None) == expected


def test_a_clock_started_anew_stops_no_count_of_good_periods():
    """The period under way is counted from the next good answer on, not from a time that comes in days."""
    window = told()
    window.guess = GuessedLimit(value=1, proven=1)
    call(window, 1e6, "a")
    window.shift_clock(-1e6)
    for number in range(1, RAISE_AFTER + 2):
        call(window, 61.0 * number, str(number))
    assert window.guess.value == 2
    assert window.margin_growth.good.count == RAISE_AFTER


def test_a_guess_is_raised_only_where_it_is_used_in_full():
    """Good answers to fewer calls than the guess allows show nothing about more."""
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
    """An answer to a call that the cooldown has overtaken is no sign that the service is content again."""
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
    """List when the key was locked: a 429 that comes while it is, comes of the same mistake."""
    return [now for i, now in enumerate(run.refused) if i == 0 or now - run.refused[i - 1] > COOLDOWN / 2]


@pytest.mark.parametrize("limit", [1, 5, 20])
@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_guess_costs_a_cooldown_an_hour_at_most(limit, concurrency):
    """Whatever the guess began with, trials that fail are an hour apart, and in a whole day there are a handful."""
    window = SlidingWindow(guess=GuessedLimit(value=1, proven=1))
    run = simulate(Job(FOREVER, limit, concurrency, seed=1, headers=0.0), until=DAY / 2, window=window)
    locked = cooldowns(run)
    assert locked  # it was tried
    assert [late - early for early, late in pairwise(locked) if late - early < 3600.0] == []
    assert len(locked) <= 6


@pytest.mark.parametrize("seed", range(3))
def test_a_guess_of_one_becomes_four_fifths_of_the_limit(seed):
    """From one call a minute on, 20 are allowed: after 40 minutes 80 % of them are used, the cooldowns included."""
    window = SlidingWindow(guess=GuessedLimit(value=1, proven=1))
    run = simulate(Job(FOREVER, 20, 4, seed, headers=0.0), until=100 * 60.0, window=window)
    assert sum(now >= 40 * 60.0 for now in run.good) >= 0.8 * 20 * 60


def test_a_first_call_refused_leaves_no_one_call_a_minute_for_ever():
    """When others have locked the key, the first call of all is refused; an hour later the limit is used nearly."""
    window = SlidingWindow()
    call(window, 0.0, "locked by others", good=False)
    window.start_cooldown(0.0, COOLDOWN)
    run = simulate(Job(FOREVER, 20, 4, seed=1, headers=0.0), until=2 * 3600.0, window=window)
    assert sum(now >= 3600.0 for now in run.good) >= 0.8 * 20 * 60


@given(st.integers(1, 8), CONCURRENCY, SEEDS)
@settings(max_examples=5)
def test_a_margin_that_shrinks_trips_nothing(limit, concurrency, seed):
    """Over the jitter of a network hours of good answers make holds as short as they were, and no call is refused."""
    window = SlidingWindow(margin_growth=MarginGrowth(doublings=6))
    run = simulate(Job(FOREVER, limit, concurrency, seed), until=8.5 * HALVE_AFTER * PERIOD, window=window)
    assert run.refused == []
    assert run.service.fullest() <= limit
    assert window.hold == HOLD


@pytest.mark.parametrize("period", [61.0, 63.0])
def test_a_service_that_counts_for_longer_is_tripped_ever_more_rarely(period):
    """Where the margin is needed each mistake doubles the time to the next one: five in two days."""
    window = SlidingWindow(margin_growth=MarginGrowth(doublings=6))
    run = simulate(Job(FOREVER, 5, 4, seed=1, period=period), until=2 * DAY, window=window)
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
    """Half of the limit, and a quarter of that for safety, is left to others for ten minutes after the cooldown."""
    window = refused()
    window.probing = False
    soon = 180.0 + FOREIGN_SHARE_TTL - 10.0
    late = 180.0 + FOREIGN_SHARE_TTL + (FOREIGN_EXPIRY_PERIODS + 1) * PERIOD + 10.0
    assert sum(window.acquire(soon, str(i), max_duration=1.0) is None for i in range(10)) == 10 - (5 + 1)
    assert sum(window.acquire(late, f"late {i}", max_duration=1.0) is None for i in range(11)) == 10


def test_others_who_are_seen_to_be_gone_are_left_nothing():
    """When every answer of two periods has shown nobody else, the whole limit is ours again."""
    window = refused()
    for now in (200.0, 200.0 + ABSENCE_PERIODS * PERIOD + 1.0):
        call(window, now, f"at {now}", headers=RateLimitHeaders(limit=10, remaining=9))
    later = 200.0 + ABSENCE_PERIODS * PERIOD + 2.0
    assert sum(window.acquire(later, str(i), max_duration=1.0) is None for i in range(10)) == 10 - 1


def test_refused_again_after_the_cooldown_we_wait_for_longer():
    """Two who prolong each other's cooldown come out of it, for one waits twice and four times as long; then anew."""
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
    """A child process takes over the window, not the calls: nobody waits for their answers, the limit still knows."""
    window = SlidingWindow()
    window.acquire(0.0, "of the parent", max_duration=70.0)
    window.abandon_in_flight(10.0)
    window.limit = 1
    assert pytest.approx(LATE_ARRIVAL + HOLD) == window.delay(10.0)
    assert window.acquire(10.0 + LATE_ARRIVAL + HOLD, "b", max_duration=70.0) is None


def test_calls_of_somebody_who_is_gone_show_nothing():
    """That the parent's first call is lost is no answer: the child's first one goes alone."""
    window = SlidingWindow()
    window.acquire(0.0, "of the parent", max_duration=70.0)
    window.abandon_in_flight(10.0)
    assert window.acquire(10.0, "b", max_duration=70.0) is None
    assert window.acquire(10.0, "c", max_duration=70.0) is not None


@pytest.mark.parametrize("shift", [-1000.0, 1000.0])
def test_a_clock_started_anew_ends_no_cooldown(shift):
    """The rest of a cooldown is waited for on the new clock, and what answers show from then on is believed."""
    window = refused()
    call(window, 200.0, "a", headers=RateLimitHeaders(limit=10, remaining=9))
    window.start_cooldown(201.0, 180.0)
    waits = window.delay(210.0)
    window.shift_clock(shift)
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
        (2 + FOREIGN_EXPIRY_PERIODS) * HOLD,
    ),
}


@pytest.mark.parametrize("case", IDLE_AGAIN)
def test_a_window_that_still_counts_is_not_thrown_away(case):
    """What a new window would not know is kept as long as it matters, and no longer."""
    change, over = IDLE_AGAIN[case]
    window = told(9)
    assert window.idle(0.0)
    change(window)
    assert not window.idle(0.001)
    assert not window.idle(over - 1.0)
    assert window.idle(over + 0.001)


def test_a_guess_is_not_thrown_away():
    """No first answer would teach it again, only another 429."""
    assert not SlidingWindow(guess=GuessedLimit(value=5)).idle(1e9)


def test_a_cooldown_is_kept_without_others():
    """A window is kept through its cooldown, also where nobody else is known."""
    window = told(9, cooldown=Cooldown(until=10.0))
    assert not window.idle(9.9)
    assert window.idle(10.0)


def test_what_was_counted_alone_is_added():
    """Calls of both windows count, moved to one clock; the calls that ended in either are not under way in both."""
    ours, alone = told(9), told(5)
    ours.acquire(1000.0, "ours", max_duration=70.0)
    ours.acquire(1000.0, "ended alone", max_duration=70.0)
    call(ours, 1000.0, "ended here")
    alone.acquire(3.0, "new", max_duration=70.0)
    alone.acquire(3.0, "ended here", max_duration=70.0)
    call(alone, 3.0, "ended alone")
    ours.merge(alone, 1000.0)
    assert {"ours", "new"} == set(ours.in_flight)
    assert {"ended here": pytest.approx(1000.0 + HOLD), "ended alone": pytest.approx(1003.0 + HOLD)} == ours.held
    assert pytest.approx((1003.0, 1073.0)) == ours.in_flight["new"]
    assert ours.limit == 5


@pytest.mark.parametrize(("one", "two"), [(1.0, 3.0), (3.0, 1.0)])
def test_a_call_that_ended_twice_is_held_for_the_longer(one, two):
    """Where both windows settled a call, the careful one is right."""
    ours, alone = told(9), told(9)
    call(ours, one, "a")
    call(alone, two, "a")
    ours.merge(alone, 0.0)
    assert {"a": pytest.approx(3.0 + HOLD)} == ours.held


@pytest.mark.parametrize(("limit", "other", "expected"), [(9, None, 9), (None, 5, 5), (9, 5, 5)])
def test_the_limit_heard_last_is_adopted(limit, other, expected):
    """A window that was told nothing takes nothing away."""
    window = told(limit)
    window.merge(told(other), 0.0)
    assert expected == window.limit


@pytest.mark.parametrize("refused_alone", [True, False])
def test_of_two_cooldowns_the_longer_is_adopted(refused_alone):
    """A 429 in either window holds for both, with all the care that it taught."""
    window, alone = told(10), told(10)
    (alone if refused_alone else window).start_cooldown(0.0, 180.0)
    window.merge(alone, 0.0)
    assert pytest.approx(180.0 + SAFETY_MARGIN) == window.cooldown.until
    assert pytest.approx(PERIOD + 2 * SAFETY_MARGIN) == window.hold
    assert sum(window.acquire(200.0, str(i), max_duration=1.0) is None for i in range(10)) == 10 - (5 + 1)


def test_what_cost_a_cooldown_to_learn_is_adopted():
    """The lower guess and the larger margin are the careful ones, whichever window has them."""
    careful = {"guess": GuessedLimit(value=3, proven=3), "margin_growth": MarginGrowth(doublings=4)}
    bold = {"guess": GuessedLimit(value=4, proven=4), "margin_growth": MarginGrowth(doublings=3)}
    pairs = [(bold, careful), (careful, bold), ({}, careful), (careful, {})]
    for window, alone in ([told(**copy.deepcopy(known)) for known in pair] for pair in pairs):
        window.merge(alone, 0.0)
        assert (window.guess, window.margin_growth) == (careful["guess"], careful["margin_growth"])


@pytest.mark.parametrize(("here", "alone", "probing"), [(True, True, True), (True, False, False), (False, True, False)])
def test_a_good_answer_in_either_window_is_enough(here, alone, probing):
    """Only where neither has had an answer does the next call go alone."""
    window = SlidingWindow(probing=here)
    window.merge(SlidingWindow(probing=alone), 0.0)
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
    """After `rebase` every wait is what it was, on the new clock."""
    window, now = used
    moved = copy.deepcopy(window)
    moved.shift_clock(shift)
    assert pytest.approx(window.delay(now, calls=starts), abs=1e-6) == moved.delay(now + shift, calls=starts)
    begun, again = window.acquire(now, "new", max_duration=70.0), moved.acquire(now + shift, "new", max_duration=70.0)
    assert (begun is None) == (again is None)
    assert {slot: pytest.approx(end + shift) for slot, end in window.held.items()} == moved.held
    assert set(window.in_flight) == set(moved.in_flight)


def test_a_window_that_is_not_trusted_starts_nothing_for_a_period():
    """A whole limit may have been spent by calls that nobody remembers: then one call at a time, until an answer."""
    window = told(5)
    window.distrust(100.0)
    assert window.delay(100.0) == pytest.approx(HOLD)
    assert Pause(pytest.approx(HOLD), "earlier requests are not known") == window.acquire(100.0, "a", max_duration=70.0)
    assert window.acquire(100.0 + HOLD - 0.001, "a", max_duration=70.0) is not None
    assert window.acquire(100.0 + HOLD, "a", max_duration=70.0) is None
    assert Pause(None, "waiting for the first answer") == window.acquire(100.0 + HOLD, "b", max_duration=70.0)


def test_distrust_is_kept_moved_and_merged_like_a_cooldown():
    """It outlasts a clock started anew, holds for a window that it is merged into, and keeps an idle one."""
    window, other = told(5), told(5)
    window.distrust(1000.0)
    assert not window.idle(1000.0 + HOLD - 0.001)
    other.merge(window, -1000.0)
    assert other.delay(0.0) == pytest.approx(HOLD)
    assert other.idle(HOLD + 0.001)


@given(used_windows())
def test_a_window_survives_being_kept(used):
    """What a store reads is what was written."""
    window, _ = used
    assert window == decode(encode(window))


@given(limit=st.integers(1, 8), concurrency=CONCURRENCY, seed=SEEDS, lost_at=st.floats(1.0, 300.0))
def test_a_state_that_was_lost_trips_no_limit(limit, concurrency, seed, lost_at):
    """A job goes on with a window that does not know what it has sent before, and is never refused."""
    run = simulate(Job(6 * limit, limit, concurrency, seed), window=SlidingWindow(), lost_at=lost_at)
    assert run.refused == []
    assert run.finished is not None


@given(
    limit=st.integers(1, 5),
    steps=st.lists(st.tuples(st.floats(0.0, 30.0), st.none() | st.floats(0.0, 300.0)), max_size=60),
)
def test_a_clock_that_starts_anew_frees_nothing_early(limit, steps):
    """A kept window whose clock begins again, as after a reboot, never lets more than the limit start, nor sticks."""
    window, time, behind, counted, now = SlidingWindow(), 1000.0, 0.0, [], 1000.0
    for number, (passed, uptime) in enumerate(steps):
        time += passed
        if uptime is not None:  # at least the uptime has passed since the clock was stopped
            time += uptime
            behind = time - uptime
        now = time - behind
        window.note_time(now)
        if window.acquire(now, str(number), max_duration=70.0) is None:
            window.complete(now, str(number), RateLimitHeaders(limit=limit), counted=now, good=True)
            counted.append(time)
    assert all(sum(moment - PERIOD < other <= moment for other in counted) <= limit for moment in counted)
    assert window.acquire(now + HOLD + 0.001, "last", max_duration=70.0) is None
