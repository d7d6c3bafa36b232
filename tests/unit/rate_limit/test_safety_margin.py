"""The safety margin: doubled by a 429, halved by hours of good answers, and more slowly after each mistake."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from electronhub_embeddings._rate_limit.good_periods import MAX_GOOD_PERIODS, required
from electronhub_embeddings._rate_limit.safety_margin import (
    HALVE_AFTER,
    MAX_SAFETY_MARGIN,
    SAFETY_MARGIN,
    MarginGrowth,
)


def answer_well(growth, periods, start=0.0):
    """Record a good answer in each of a number of one-second periods, and one at the start."""
    for number in range(periods + 1):
        growth.note_good(start + number, 1.0)


def test_a_margin_is_halved_by_an_hour_of_good_answers():
    """The margin is halved after an hour of good periods, not earlier, and again each hour, down to its minimum."""
    growth = MarginGrowth()
    for _ in range(2):
        growth.grow(SAFETY_MARGIN)
    answer_well(growth, HALVE_AFTER - 1)
    assert growth.apply(SAFETY_MARGIN) == pytest.approx(4 * SAFETY_MARGIN)
    growth.note_good(HALVE_AFTER, 1.0)
    assert growth.apply(SAFETY_MARGIN) == pytest.approx(2 * SAFETY_MARGIN)
    answer_well(growth, HALVE_AFTER, start=1e3)
    answer_well(growth, HALVE_AFTER, start=2e3)
    assert growth.apply(SAFETY_MARGIN) == SAFETY_MARGIN


def test_seven_refusals_on_seven_days_leave_no_margin():
    """One 429 a day does not let the margin grow over time."""
    growth = MarginGrowth()
    for day in range(7):
        growth.grow(SAFETY_MARGIN)
        answer_well(growth, MAX_GOOD_PERIODS, start=1e5 * day)
    assert growth.apply(SAFETY_MARGIN) == SAFETY_MARGIN


def test_a_refusal_begins_the_hour_anew():
    """Good answers before a 429 no longer count."""
    growth = MarginGrowth()
    growth.grow(SAFETY_MARGIN)
    answer_well(growth, HALVE_AFTER - 1)
    growth.grow(SAFETY_MARGIN)
    answer_well(growth, HALVE_AFTER - 1, start=1e3)
    assert growth.doublings == 2


def test_a_halving_that_was_wrong_is_tried_again_after_twice_the_time():
    """A 429 after a halving doubles the wait for the next halving; a 429 without one does not."""
    growth = MarginGrowth()
    for failures in (0, 0, 1, 2):
        growth.grow(SAFETY_MARGIN)
        assert growth.failures == failures
        if growth.doublings > 1:
            answer_well(growth, required(HALVE_AFTER, failures) - 1, start=1e4 * (failures + 1))
            assert not growth.halved
            growth.note_good(1e4 * (failures + 2), 1.0)
            assert growth.halved


def test_a_day_without_a_refusal_forgives():
    """After a day at the smallest margin, the next halving is as quick as the first."""
    growth = MarginGrowth(failures=5, halved=True)
    answer_well(growth, MAX_GOOD_PERIODS - 1)
    assert (growth.failures, growth.halved) == (5, True)
    growth.note_good(MAX_GOOD_PERIODS, 1.0)
    assert (growth.failures, growth.halved) == (0, False)


@given(st.integers(0, 100), st.floats(0.001, 10.0))
def test_a_margin_stays_within_its_bounds(refusals, margin):
    """The margin is bounded, however often the service refuses; a larger configured margin is kept."""
    growth = MarginGrowth()
    for _ in range(refusals):
        growth.grow(margin)
    assert margin <= growth.apply(margin) <= max(margin, MAX_SAFETY_MARGIN)
    assert growth.doublings <= 13  # no deeper than the bound: else the way back would be longer
