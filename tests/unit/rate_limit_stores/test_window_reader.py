"""What a store reads: its window, a new one, or one begun anew with care."""

import logging

import pytest

from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow
from electronhub_embeddings._rate_limit.window_state import encode
from electronhub_embeddings.rate_limit_stores.window_reader import WARNING_INTERVAL, WindowReader


def test_a_store_without_a_state_begins_with_its_own():
    """Each read returns a new copy of the initial window."""
    reader = WindowReader(SlidingWindow(limit=7))
    reader.read(None, 0.0).slots.held["a"] = 1.0
    assert reader.read(None, 0.0) == SlidingWindow(limit=7)
    assert WindowReader().read(None, 0.0) == SlidingWindow()


@pytest.mark.parametrize("state", [b"", b"\x02", encode(SlidingWindow())[:-1]], ids=["empty", "newer", "cut off"])
def test_an_unreadable_state_is_begun_anew_with_care(state):
    """After an unreadable state, nothing starts for one period of the store, then one call at a time."""
    window = WindowReader(SlidingWindow(period=2.0, probing=False)).read(state, 100.0)
    assert (window.period, window.probing, window.unknown_until) == (2.0, True, pytest.approx(102.1))


def test_an_unreadable_state_is_warned_of(caplog):
    """The warning is logged at most once a minute: two versions that share a store keep overwriting its state."""
    reader = WindowReader()
    for now in (0.0, 0.1, WARNING_INTERVAL - 0.1, WARNING_INTERVAL, WARNING_INTERVAL + 0.1):
        reader.read(b"\x02", now)
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    message = caplog.records[0].getMessage()
    assert "version 2, not 1" in message
    assert "nothing is sent for 60 s" in message
    assert "update all of them" in message
