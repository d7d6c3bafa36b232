"""Waits, limits and numbers in words: the unit that a reader would choose, and no digit too many."""

import pytest

from electronhub_embeddings._rate_limit.wording import counted, in_words, limit_in_words, wait_in_words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "1 s"),
        (1.4, "1 s"),
        (56.0, "56 s"),
        (119.9, "120 s"),
        (120.0, "2 min"),
        (99 * 60.0, "99 min"),
        (100 * 60.0, "1 h 40 min"),
        (119.6 * 60.0, "2 h"),
        (200 * 60.0, "3 h 20 min"),
        (47.9 * 3600.0, "47 h 50 min"),
        (48 * 3600.0, "2 days"),
        (100 * 3600.0, "4 days"),
        (30 * 24 * 3600.0, "30 days"),
    ],
)
def test_the_unit_fits_the_length(seconds, words):
    """Seconds up to two minutes, minutes up to a hundred, then hours and tens of minutes, and days from two on."""
    assert in_words(seconds) == words


@pytest.mark.parametrize(("number", "words"), [(0, "0 texts"), (1, "1 text"), (2, "2 texts"), (3000, "3,000 texts")])
def test_things_are_counted(number, words):
    """One is one, and thousands are easy to read."""
    assert counted(number, "text") == words


@pytest.mark.parametrize(
    ("limit", "source", "others", "words"),
    [
        (None, None, 0, "the service has named no limit"),
        (1, "service", 0, "1 request a minute"),
        (3000, None, 0, "3,000 requests a minute"),
        (5, "guess", 0, "5 requests a minute, a guess after a refused request"),
        (5, "option", 1200, "5 requests a minute, as set, 1,200 more are left to others"),
    ],
)
def test_a_limit_says_whose_it_is(limit, source, others, words):
    """What the service says needs no source; what is left to others is named if it is something."""
    assert limit_in_words(limit, source, others) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.0, "1 s"), (0.2, "1 s"), (180.04, "180 s"), (180.1, "181 s"), (3600.0, "3,600 s")]
)
def test_nobody_is_told_to_come_back_too_early(seconds, words):
    """A wait is rounded up, and in seconds."""
    assert wait_in_words(seconds) == words
