"""The emulator's rate limit: a sliding window and a cooldown, on a clock that is an argument."""

from hypothesis import given
from hypothesis import strategies as st

from electronhub_embeddings.emulator._rate_limit import RateLimitWindow


def test_admits_up_to_the_limit_and_rejects_the_next():
    """The sixth call in a minute of the free plan is over the limit."""
    window = RateLimitWindow(5)
    assert [window.count(float(second)) for second in range(6)] == [None, None, None, None, None, 180.0]


def test_a_call_leaves_the_window_after_sixty_seconds_exactly():
    """At 59.9 s the slot is still taken, at 60 s it is free."""
    window = RateLimitWindow(1)
    window.count(0.0)
    assert (window.remaining(59.9), window.remaining(60.0)) == (0, 1)


def test_the_window_slides():
    """Slots become free one by one, sixty seconds after each call."""
    window = RateLimitWindow(3)
    for second in (0.0, 20.0, 40.0):
        window.count(second)
    assert [window.remaining(now) for now in (59.0, 60.0, 80.0, 100.0)] == [0, 1, 2, 3]


def test_the_cooldown_outlasts_the_window():
    """After a call over the limit, the window is empty long before a call is admitted."""
    window = RateLimitWindow(1)
    window.count(0.0)
    window.count(1.0)
    assert [window.in_cooldown(now) for now in (60.0, 180.9, 181.0)] == [True, True, False]
    assert (window.remaining(180.9), window.remaining(181.0)) == (0, 1)


def test_a_call_during_the_cooldown_restarts_it():
    """The cooldown lasts from the last rejected call."""
    window = RateLimitWindow(1)
    window.count(0.0)
    window.count(0.0)
    assert window.count(100.0) == 180.0
    assert window.in_cooldown(279.9)
    assert window.count(280.0) is None


def test_rejected_calls_count_too():
    """With a cooldown shorter than the window, a rejected call still occupies a slot."""
    window = RateLimitWindow(2, window=60.0, cooldown=1.0)
    for now in (0.0, 30.0, 31.0):
        window.count(now)
    assert window.reset_after(32.0) == 58.0
    assert window.remaining(61.0) == 0
    assert window.reset_after(61.0) == 29.0
    assert window.count(90.0) is None


def test_reset_after_is_the_next_slot_or_the_end_of_the_cooldown():
    """It is zero without calls, else the time until the oldest call expires or the cooldown ends."""
    window = RateLimitWindow(2)
    seconds = [window.reset_after(0.0)]
    for now in (0.0, 10.0, 20.0):
        window.count(now)
        seconds.append(window.reset_after(now))
    assert seconds == [0.0, 60.0, 50.0, 180.0]


def test_clear_forgets_calls_and_cooldown():
    """A cleared window is like a new one."""
    window = RateLimitWindow(1)
    window.count(0.0)
    window.count(0.0)
    window.clear()
    assert (window.remaining(0.0), window.in_cooldown(0.0), window.count(0.0)) == (1, False, None)


_GAPS = st.lists(st.integers(0, 90), max_size=120)


@given(limit=st.integers(1, 6), cooldown=st.sampled_from([0, 5, 180]), gaps=_GAPS)
def test_no_window_admits_more_than_the_limit(limit, cooldown, gaps):
    """Whatever the times of the calls, any sixty seconds hold at most `limit` admitted calls."""
    window, now, admitted = RateLimitWindow(limit, cooldown=cooldown), 0, []
    for gap in gaps:
        now += gap
        if window.count(now) is None:
            admitted.append(now)
    assert all(sum(start <= at < start + 60 for at in admitted) <= limit for start in admitted)


@given(limit=st.integers(1, 6), gaps=_GAPS)
def test_a_patient_caller_is_never_rejected(limit, gaps):
    """A caller that waits for `reset_after` while `remaining` is zero is admitted, and no earlier."""
    window, now = RateLimitWindow(limit), 0.0
    for gap in gaps:
        now += gap
        if not window.remaining(now):
            wait = window.reset_after(now)
            assert window.remaining(now + wait - 0.5) == 0
            now += wait
        assert window.remaining(now) > 0
        assert window.count(now) is None
