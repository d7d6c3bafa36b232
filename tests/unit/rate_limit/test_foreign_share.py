"""The share of the limit that other callers use."""

import pytest

from electronhub_embeddings._rate_limit.foreign_share import (
    ABSENCE_PERIODS,
    FOREIGN_EXPIRY_PERIODS,
    FOREIGN_HOLD_PERIODS,
    FOREIGN_SHARE_TTL,
    ForeignShare,
)

PERIOD, HOLD = 60.0, 60.1
TIMES = {"period": PERIOD, "hold": HOLD}


@pytest.mark.parametrize(
    ("latest", "left"), [(0, 1), (1, 2), (2, 3), (4, 5), (5, 7), (9, 11), (16, 18), (17, 19), (19, 19), (90, 19)]
)
def test_half_of_the_square_root_more_than_they_use_is_left_to_others(latest, left):
    """One slot more at least if they use any, and one always stays ours."""
    assert ForeignShare([(100.0, 1)], latest).reserve(20) == left


@pytest.mark.parametrize(("latest", "left"), [(0, 8), (6, 8), (7, 9)])
def test_the_most_that_they_were_seen_to_use_is_left_to_others(latest, left):
    """They may rest for a moment; when they use nearly as much as that again, it is too little."""
    assert ForeignShare([(200.0, 8), (300.0, 1)], latest).reserve(20) == left


def test_what_they_use_is_what_the_latest_answer_shows():
    """If our calls may have overtaken each other, they may use more than is certain."""
    share = ForeignShare()
    share.observe(0.0, 3, 5, **TIMES)
    assert (share.latest, share.sightings[0][1]) == (5, 3)
    share.observe(1.0, -2, -1, **TIMES)
    assert share.latest == 0


def test_nothing_is_left_where_nobody_was_seen():
    """A job that is alone has the whole limit."""
    share = ForeignShare()
    share.observe(0.0, 0, 3, **TIMES)
    assert (share.reserve(20), share.sightings) == (0, [])


def test_the_largest_number_seen_counts_as_long_as_it_holds():
    """A smaller one is kept only if it holds for longer."""
    share = ForeignShare()
    share.leave(8, 100.0)
    share.leave(3, 200.0)
    share.leave(2, 150.0)
    assert [count for _, count in share.sightings] == [8, 3, 2]
    share.leave(3, 250.0)
    assert share.sightings == [(100.0, 8), (250.0, 3)]
    share.leave(4, 200.0)
    assert share.sightings == [(100.0, 8), (200.0, 4), (250.0, 3)]
    share.leave(4, 250.0)
    assert share.sightings == [(100.0, 8), (250.0, 4)]


def test_a_sighting_ends_at_the_first_answer_after_its_time():
    """Until then it holds: others may pause just when our own slots are free again."""
    share = ForeignShare()
    share.observe(0.0, 8, 8, **TIMES)
    ends = FOREIGN_HOLD_PERIODS * HOLD
    assert share.sightings == [(ends, 8)]
    share.observe(ends - 0.1, 1, 1, **TIMES)
    assert [count for _, count in share.sightings] == [8, 1]
    share.observe(ends, 1, 1, **TIMES)
    assert [count for _, count in share.sightings] == [1]


def test_others_are_gone_when_every_answer_of_two_periods_shows_nobody():
    """A sighting that would hold for longer ends with them."""
    share = ForeignShare()
    share.leave(5, 1000.0)
    share.observe(0.0, 0, 0, **TIMES)
    share.observe(ABSENCE_PERIODS * PERIOD, 0, 0, **TIMES)
    assert share.reserve(20)
    share.observe(ABSENCE_PERIODS * PERIOD + 0.1, 0, 0, **TIMES)
    assert share.sightings == []


def test_one_answer_that_shows_others_begins_the_two_periods_again():
    """A caller with one call in a minute is still there."""
    share = ForeignShare()
    share.leave(5, 1000.0)
    share.observe(0.0, 0, 0, **TIMES)
    share.observe(100.0, 1, 1, **TIMES)
    share.observe(150.0, 0, 0, **TIMES)
    share.observe(150.0 + ABSENCE_PERIODS * PERIOD - 0.1, 0, 0, **TIMES)
    assert share.reserve(20) == 5


@pytest.mark.parametrize(("limit", "left"), [(10, 6), (5, 3), (2, 2), (1, 1)])
def test_half_is_left_after_a_cooldown(limit, left):
    """Their demand is not known, so there is one slot more, and it begins when the cooldown ends."""
    share = ForeignShare(absent_since=0.0)
    share.leave_half(limit, 200.0)
    assert share == ForeignShare([(200.0 + FOREIGN_SHARE_TTL, left)])


def test_a_sighting_expires_without_any_answer():
    """Some periods later, as nobody knows any more."""
    share = ForeignShare([(100.0, 5)])
    share.expire(99.9 + FOREIGN_EXPIRY_PERIODS * PERIOD, PERIOD)
    assert share.sightings
    share.expire(100.0 + FOREIGN_EXPIRY_PERIODS * PERIOD, PERIOD)
    assert not share.sightings


def test_two_windows_know_what_either_knew():
    """The larger share while it holds, then the one that holds for longer."""
    share = ForeignShare([(100.0, 5)], latest=2)
    share.merge(ForeignShare([(200.0, 3), (90.0, 2)], latest=3))
    assert share.sightings[:2] == [(100.0, 5), (200.0, 3)]
    assert share.latest == 3


def test_another_clock():
    """All times move, and how long nobody was seen begins again."""
    share = ForeignShare([(100.0, 5)], absent_since=50.0)
    share.shift_clock(-30.0)
    assert share == ForeignShare([(70.0, 5)])
