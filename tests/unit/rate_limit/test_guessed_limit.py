"""A guessed limit: lowered by a 429, and raised carefully."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from electronhub_embeddings._rate_limit.good_periods import MAX_GOOD_PERIODS
from electronhub_embeddings._rate_limit.guessed_limit import RAISE_AFTER, RETRY_AFTER, GuessedLimit


def use_in_full(guess, periods, start=0.0):
    """Use a guess fully for a number of periods of one second."""
    for number in range(periods + 1):
        guess.note_full(start + number, 1.0)


def serve(guess, limit, periods, start=0):
    """Simulate a service with a limit for a number of periods, with bursts; return the periods with refusals."""
    refused, left = [], False
    for period in range(start, start + periods):
        if guess.value is None or guess.value > limit:
            refused.append(period)
            left = not guess.lower(limit, 0, share_is_left=left)
        else:
            guess.note_full(float(period), 1.0)
    return refused


@pytest.mark.parametrize(("answered", "value", "ceiling"), [(5, 5, 6), (1, 1, 2), (0, 1, None)])
def test_the_first_refusal_tells_the_limit(answered, value, ceiling):
    """The answered number of calls is allowed, one more is not; a refused first call means that others use the key."""
    guess = GuessedLimit()
    assert guess.lower(answered, 3, share_is_left=False)
    assert (guess.value, guess.proven, guess.ceiling) == (value, value, ceiling)


def test_without_a_refusal_nothing_is_guessed():
    """A service that refuses nothing has no limit."""
    guess = GuessedLimit()
    use_in_full(guess, 100)
    assert guess == GuessedLimit()


def test_a_guess_grows_by_a_quarter_where_nothing_was_refused():
    """After every second full period, not earlier."""
    guess, values = GuessedLimit(value=1, proven=1), []
    for step in range(11):
        use_in_full(guess, RAISE_AFTER - 1, start=100.0 * step)
        values.append(guess.value)
        guess.note_full(100.0 * step + RAISE_AFTER, 1.0)
    assert values == [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15]


def test_what_was_refused_is_approached_by_a_tenth_after_half_an_hour():
    """Just below the ceiling, the guess stays for one more step before the ceiling itself is tried."""
    guess, values = GuessedLimit(value=20, proven=20, ceiling=24), []
    for step in range(3):
        use_in_full(guess, RETRY_AFTER - 1, start=100.0 * step)
        values.append(guess.value)
        guess.note_full(100.0 * step + RETRY_AFTER, 1.0)
    assert [*values, guess.value] == [20, 22, 23, 24]


@pytest.mark.parametrize(
    ("value", "ceiling", "raised"), [(15, 30, 16), (9, 30, 10), (25, 30, 27), (30, 33, 32), (30, 31, 31)]
)
def test_a_step_towards_a_ceiling(value, ceiling, raised):
    """A tenth in whole numbers, one at least, and up to just below the ceiling if there is room."""
    guess = GuessedLimit(value=value, proven=value, ceiling=ceiling)
    use_in_full(guess, RETRY_AFTER)
    assert (guess.value, type(guess.value)) == (raised, int)


@pytest.mark.parametrize(("value", "raised"), [(24, 30), (27, 33), (3, 4)])
def test_a_ceiling_that_has_worked_for_long_is_no_ceiling(value, raised):
    """A limit that was raised is followed in quick steps."""
    guess = GuessedLimit(value=value, proven=value - 1, ceiling=value, failures=1)
    use_in_full(guess, 2 * RETRY_AFTER - 1)
    assert guess.value == value
    guess.note_full(1e3, 1.0)
    assert (guess.value, guess.proven, guess.ceiling, guess.failures) == (raised, value, None, 0)


@pytest.mark.parametrize(("answered", "in_flight", "ceiling"), [(20, 0, 21), (16, 4, 20), (24, 0, 23), (30, 0, 23)])
def test_a_trial_that_fails_is_taken_back(answered, in_flight, ceiling):
    """A failed trial returns to what has worked, even with calls in flight; the next trial waits longer."""
    guess = GuessedLimit(value=23, proven=19, failures=1)
    assert guess.lower(answered, in_flight, share_is_left=False)
    assert (guess.value, guess.proven, guess.ceiling, guess.failures) == (19, 19, ceiling, 2)


@pytest.mark.parametrize(
    ("tried", "answered", "value"), [(20, 19, 18), (20, 11, 11), (20, 30, 18), (23, 19, 18), (2, 1, 1)]
)
def test_a_refusal_of_what_has_worked_lowers_the_guess_a_little(tried, answered, value):
    """If more than half was used, the guess drops to a tenth below the used number, during a trial as well."""
    guess = GuessedLimit(value=tried, proven=min(tried, 20), failures=1)
    assert guess.lower(answered, 0, share_is_left=False)
    assert (guess.value, guess.proven, guess.ceiling) == (value, value, min(answered + 1, 20))
    assert guess.failures == 2


@pytest.mark.parametrize(("share_is_left", "value"), [(False, 21), (True, 10)])
def test_a_refusal_of_a_few_is_laid_on_others_first(share_is_left, value):
    """If a share is already left to others, the guess is halved, and raised quickly if that was wrong."""
    guess = GuessedLimit(value=21, proven=21, ceiling=22, failures=3)
    assert guess.lower(9, 0, share_is_left=share_is_left) == share_is_left
    assert (guess.value, guess.proven, guess.ceiling, guess.failures) == (value, 21, 22, 3)
    if share_is_left:
        for step in range(4):
            use_in_full(guess, RAISE_AFTER, start=100.0 * step)
        assert (guess.value, guess.failures) == (21, 3)


def test_a_lone_call_refused_is_never_the_limits_fault():
    """At a guess of one a refusal sets no ceiling: every limit allows one call."""
    guess = GuessedLimit(value=1, proven=1)
    guess.lower(0, 0, share_is_left=True)
    assert (guess.value, guess.ceiling) == (1, None)


def test_a_refusal_begins_the_full_periods_anew():
    """A refusal caused by others also restarts the good periods."""
    guess = GuessedLimit(value=20, proven=20)
    use_in_full(guess, RAISE_AFTER - 1)
    guess.lower(0, 0, share_is_left=False)
    use_in_full(guess, RAISE_AFTER - 1, start=100.0)
    assert guess.value == 20


@settings(max_examples=8)
@given(limit=st.integers(1, 300), guessed=st.integers(1, 300))
def test_trials_that_fail_are_an_hour_apart_and_then_a_day(limit, guessed):
    """From any initial guess within the limit, the guess comes within a tenth of the limit in a month."""
    guess = GuessedLimit(value=min(guessed, limit), proven=min(guessed, limit))
    refused = serve(guess, limit, 30 * 1440)
    gaps = [later - earlier for earlier, later in pairwise(refused)]
    assert all(gap >= 2 * RETRY_AFTER for gap in gaps)
    assert all(gap >= MAX_GOOD_PERIODS for gap in gaps[6:])
    assert guess.proven >= 0.9 * limit


@settings(max_examples=8)
@given(st.lists(st.integers(1, 60), min_size=2, max_size=4))
def test_a_limit_that_changes_is_followed(limits):
    """A limit that changes repeatedly without notice is learned each time, at the cost of a few refusals."""
    guess = GuessedLimit()
    for number, limit in enumerate(limits):
        refused = serve(guess, limit, 20 * 1440, start=number * 20 * 1440)
        assert 0.6 * limit <= guess.value <= limit + max(1, limit // 4)
        assert len(refused) <= 60
