"""The outlook: when further requests start, if all stays as it is."""

from dataclasses import replace
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from electronhub_embeddings._rate_limit.foreign_share import ForeignShare
from electronhub_embeddings._rate_limit.guessed_limit import GuessedLimit
from electronhub_embeddings._rate_limit.outlook import RequestFlow, look_ahead
from electronhub_embeddings._rate_limit.rate_limit_headers import RateLimitHeaders
from electronhub_embeddings._rate_limit.safety_margin import SAFETY_MARGIN
from electronhub_embeddings._rate_limit.sliding_window import PERIOD, SlidingWindow

HOLD = PERIOD + SAFETY_MARGIN
QUICK = RequestFlow(connections=10_000, busy=0, round_trip=0.0, is_spread=True, requests=1)


def told(limit=None, **state):
    """Return a window after its first good answer."""
    return SlidingWindow(limit=limit, probing=False, **state)


def starts(window, now=0.0, *, cap=None, flow=QUICK, count=1):
    """List when the next requests start, in seconds from now."""
    return list(islice(look_ahead(window, now, cap).starts(flow), count))


def call(window, now, slot, headers=None, **options):
    """Make one complete call at once."""
    assert window.acquire(now, slot, max_duration=70.0, **options) is None
    window.complete(now, slot, headers or RateLimitHeaders(), counted=now, good=True)


@given(
    st.integers(1, 20),
    st.lists(st.floats(0.0, 50.0), max_size=20),
    st.integers(0, 3),
    st.integers(1, 100),
    st.floats(0.0, 100.0),
)
def test_without_latency_it_is_the_earliest_moment(limit, calls, in_flight, count, later):
    """For answers that take no time, the n-th start is `delay` for n calls, whatever the window holds."""
    window = told(limit)
    for number, at in enumerate(sorted(calls)[:limit]):
        call(window, at, str(number))
    for number in range(min(in_flight, limit - len(window.slots.held))):
        window.acquire(50.0, f"flying {number}", max_duration=70.0)
    now = 50.0 + later
    found = starts(window, now, count=count)
    assert found == pytest.approx([window.delay(now, calls=number) for number in range(1, count + 1)])


def test_answers_take_their_time():
    """A slot is held from the answer on, so a window's cycle is one hold and one round trip."""
    slow = replace(QUICK, round_trip=2.0)
    assert starts(told(2), flow=slow, count=5) == pytest.approx([0, 0, HOLD + 2, HOLD + 2, 2 * HOLD + 4])
    window = told(1)
    window.acquire(0.0, "flying", max_duration=70.0)
    assert starts(window, 0.5, flow=slow) == pytest.approx([HOLD + 2 - 0.5])


def test_connections_are_few():
    """A request waits for a connection, those that are busy now included."""
    flow = replace(QUICK, connections=2, busy=1, round_trip=3.0)
    assert starts(told(), flow=flow, count=5) == [0, 3, 3, 6, 6]


def test_the_first_answer_is_waited_for():
    """While it is not known whether calls are accepted, one is made, and the others after its answer."""
    flow = replace(QUICK, round_trip=2.0)
    assert starts(SlidingWindow(), flow=flow, count=3) == [0, 2, 2]
    window = SlidingWindow()
    window.acquire(0.0, "flying", max_duration=70.0)
    assert starts(window, 0.5, flow=flow, count=3) == [1.5, 3.5, 3.5]


def test_requests_leave_spaced_beside_interactive_calls():
    """As long as interactive calls are expected, documents keep the distance, unless they may not be spread."""
    window = told(6)
    call(window, 0.0, "a question", interactive=True)
    spacing = HOLD / 6
    assert starts(window, count=8) == pytest.approx([spacing * number for number in range(1, 9)])
    assert starts(window, flow=replace(QUICK, is_spread=False), count=5) == [0] * 5
    assert starts(window, 290.0, count=4) == pytest.approx([0, spacing, spacing, spacing])  # expected until 300


def test_requests_leave_spaced_beside_others():
    """A job that does not fit into what others leave keeps the distance, unless it may not be spread."""
    window = told(20)
    call(window, 0.0, "one", RateLimitHeaders(limit=20, remaining=15))
    share = 20 - (4 + 1)
    job = replace(QUICK, requests=share)
    assert starts(window, flow=job, count=3) == pytest.approx([HOLD / share * number for number in (1, 2, 3)])
    assert starts(window, flow=replace(job, requests=share - 1), count=3) == [0, 0, 0]
    assert starts(window, flow=replace(job, is_spread=False), count=3) == [0, 0, 0]


def test_the_end_of_a_job_leaves_at_once_if_it_fits():
    """When a slot is free again, what is left can fit, and is not spread any more."""
    window = told(20)
    call(window, 0.0, "one", RateLimitHeaders(limit=20, remaining=15))
    last = HOLD - 0.1
    assert starts(window, last, flow=replace(QUICK, requests=15), count=3) == pytest.approx([0.0, HOLD / 15, HOLD / 15])


def test_those_who_wait_go_first():
    """Interactive calls that wait for a slot take the next ones, and documents keep the distance from them."""
    window = told(2)
    call(window, 0.0, "one")
    call(window, 1.0, "two")
    assert window.acquire(2.0, "three", max_duration=70.0, interactive=True) is not None
    assert starts(window, 2.0) == pytest.approx([HOLD - 2.0 + HOLD / 2])


def test_a_cooldown_is_waited_for():
    """Nothing starts before the cooldown is over."""
    window = told(5)
    call(window, 0.0, "one")
    window.start_cooldown(1.0, 180.0)
    assert starts(window, 11.0)[0] == pytest.approx(170.0, abs=1.0)


@pytest.mark.parametrize(
    ("window", "cap", "per_minute", "source"),
    [
        (SlidingWindow(), None, None, None),
        (told(), None, None, None),
        (told(30), None, 30, "service"),
        (told(30), 10, 10, "option"),
        (told(10), 10, 10, "service"),
        (told(10), 30, 10, "service"),
        (told(), 10, 10, "option"),
        (told(guess=GuessedLimit(value=7)), None, 7, "guess"),
        (told(guess=GuessedLimit(value=7)), 3, 3, "option"),
        (told(5, period=10.0), None, 30, "service"),
        (told(5, period=3600.0), None, 1, "service"),
    ],
)
def test_it_says_whose_limit_it_is(window, cap, per_minute, source):
    """The limit in a minute is that of the headers, of a guess, or of the caller."""
    outlook = look_ahead(window, 0.0, cap)
    assert (outlook.requests_per_minute, outlook.source) == (per_minute, source)


def test_it_is_known_how_fast_requests_leave_or_not():
    """Before the first answer nothing is known, unless the caller has a limit; later, no limit is knowledge too."""
    assert not look_ahead(SlidingWindow(), 0.0, None).is_known
    assert look_ahead(SlidingWindow(), 0.0, 5).is_known
    assert look_ahead(told(), 0.0, None).is_known


def test_others_have_their_share():
    """What others were seen to spend is left to them, and a little more, in the unit of a minute."""
    window = told(20)
    call(window, 0.0, "one", RateLimitHeaders(limit=20, remaining=11))
    outlook = look_ahead(window, 1.0, None)
    assert (outlook.others, outlook.requests_per_minute) == (10, 10)
    window.period = 30.0
    assert look_ahead(window, 1.0, None).others == 20
    assert look_ahead(told(100, foreign=ForeignShare([(1e9, 50)])), 1.0, None).others == 50
    assert look_ahead(told(foreign=ForeignShare([(1e9, 50)])), 1.0, None).others == 0


def test_what_is_long_ago_counts_no_longer():
    """A window that was not used for an hour knows nothing of others."""
    window = told(20)
    call(window, 0.0, "one", RateLimitHeaders(limit=20, remaining=11))
    assert look_ahead(window, 3600.0, None).others == 0


@given(st.integers(1, 30), st.integers(1, 8), st.floats(0.01, 30.0), st.integers(1, 400))
def test_a_long_job_repeats_itself(limit, connections, round_trip, more):
    """Beyond a few cycles, whole cycles take the time that is said."""
    flow = replace(QUICK, connections=connections, round_trip=round_trip)
    outlook = look_ahead(told(limit), 0.0, None)
    requests, seconds = outlook.after_many(flow, more)
    assert 0 <= more - requests < limit
    begun = 20 * limit
    times = list(islice(outlook.starts(flow), begun + requests))
    cycle = max(HOLD + round_trip, limit * round_trip / connections)
    assert times[-1] - times[begun - 1] == pytest.approx(seconds, abs=cycle)


def test_a_long_job_without_a_limit_is_bound_by_its_connections():
    """As many requests as there are connections take one round trip."""
    flow = replace(QUICK, connections=4, round_trip=0.5)
    assert look_ahead(told(), 0.0, None).after_many(flow, 11) == (8, 1.0)
