"""The emulator's meter: a sliding window and a cooldown, on a clock that is an argument."""

from hypothesis import given
from hypothesis import strategies as st

from electronhub_embeddings.emulator.meter import Meter


def test_admits_up_to_the_limit_and_refuses_the_next():
    """The sixth call of a free minute is one too many."""
    meter = Meter(5)
    assert [meter.count(float(second)) for second in range(6)] == [None, None, None, None, None, 180.0]


def test_a_call_leaves_the_window_after_sixty_seconds_exactly():
    """At 59.9 s the slot is still taken, at 60 s it is free."""
    meter = Meter(1)
    meter.count(0.0)
    assert (meter.remaining(59.9), meter.remaining(60.0)) == (0, 1)


def test_the_window_slides():
    """Slots come back one by one, as each call turns sixty seconds old."""
    meter = Meter(3)
    for second in (0.0, 20.0, 40.0):
        meter.count(second)
    assert [meter.remaining(now) for now in (59.0, 60.0, 80.0, 100.0)] == [0, 1, 2, 3]


def test_the_cooldown_outlasts_the_window():
    """After a call too many the window is empty long before a call is admitted."""
    meter = Meter(1)
    meter.count(0.0)
    meter.count(1.0)
    assert [meter.cooling(now) for now in (60.0, 180.9, 181.0)] == [True, True, False]
    assert (meter.remaining(180.9), meter.remaining(181.0)) == (0, 1)


def test_a_call_in_the_cooldown_prolongs_it():
    """The cooldown counts from the last refused call."""
    meter = Meter(1)
    meter.count(0.0)
    meter.count(0.0)
    assert meter.count(100.0) == 180.0
    assert meter.cooling(279.9)
    assert meter.count(280.0) is None


def test_refused_calls_count_too():
    """With a cooldown shorter than the window a refused call still holds a slot."""
    meter = Meter(2, window=60.0, cooldown=1.0)
    for now in (0.0, 30.0, 31.0):
        meter.count(now)
    assert meter.reset_in(32.0) == 58.0
    assert meter.remaining(61.0) == 0
    assert meter.reset_in(61.0) == 29.0
    assert meter.count(90.0) is None


def test_reset_in_is_the_next_slot_or_the_end_of_the_cooldown():
    """Nothing counted: now; a call: until it is forgotten; a cooldown: until its end."""
    meter = Meter(2)
    told = [meter.reset_in(0.0)]
    for now in (0.0, 10.0, 20.0):
        meter.count(now)
        told.append(meter.reset_in(now))
    assert told == [0.0, 60.0, 50.0, 180.0]


def test_reset_forgets_calls_and_cooldown():
    """A reset meter is a new one."""
    meter = Meter(1)
    meter.count(0.0)
    meter.count(0.0)
    meter.reset()
    assert (meter.remaining(0.0), meter.cooling(0.0), meter.count(0.0)) == (1, False, None)


_GAPS = st.lists(st.integers(0, 90), max_size=120)


@given(limit=st.integers(1, 6), cooldown=st.sampled_from([0, 5, 180]), gaps=_GAPS)
def test_no_window_admits_more_than_the_limit(limit, cooldown, gaps):
    """Whatever the times of the calls, any sixty seconds hold at most `limit` admitted ones."""
    meter, now, admitted = Meter(limit, cooldown=cooldown), 0, []
    for gap in gaps:
        now += gap
        if meter.count(now) is None:
            admitted.append(now)
    assert all(sum(start <= at < start + 60 for at in admitted) <= limit for start in admitted)


@given(limit=st.integers(1, 6), gaps=_GAPS)
def test_a_patient_caller_is_never_refused(limit, gaps):
    """Whoever waits for `reset_in` when `remaining` is zero is admitted, and not a moment earlier."""
    meter, now = Meter(limit), 0.0
    for gap in gaps:
        now += gap
        if not meter.remaining(now):
            wait = meter.reset_in(now)
            assert meter.remaining(now + wait - 0.5) == 0
            now += wait
        assert meter.remaining(now) > 0
        assert meter.count(now) is None
