"""The progress of a call: the count, the reason for waiting, and what the bar shows."""

from types import SimpleNamespace

import pytest

from electronhub_embeddings import _progress_bar as module
from electronhub_embeddings._progress_bar import Progress, ProgressBar

NEXT = "rate limit: next request"


@pytest.fixture
def clock(monkeypatch):
    """Replace the clock by one that only the test advances."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.mark.usefixtures("clock")
def test_a_call_that_moves_says_nothing():
    """Vectors are counted, and no reason is shown."""
    progress = Progress()
    progress.advance(3)
    progress.advance(4)
    assert (progress.done, progress.note) == (7, "")


def test_a_wait_says_why_and_how_long(clock):
    """The note shows the remaining seconds, not the initial ones."""
    progress = Progress()
    progress.wait(NEXT, clock.now + 42.0)
    assert progress.note == "rate limit: next request in 42 s"
    clock.now += 30
    assert progress.note == "rate limit: next request in 12 s"


@pytest.mark.parametrize("left", [1.0, 0.5, 0.0, -5.0])
def test_a_short_wait_is_not_worth_words(clock, left):
    """In the last second and afterwards, no reason is shown."""
    progress = Progress()
    progress.wait(NEXT, clock.now + left)
    assert progress.note == ""


def test_vectors_end_a_wait(clock):
    """The reason disappears when a vector arrives."""
    progress = Progress()
    progress.wait(NEXT, clock.now + 42.0)
    progress.advance(1)
    assert progress.note == ""


@pytest.mark.parametrize("total", [8, None])
def test_a_bar_ticks_and_says_why_it_stands(clock, capsys, monkeypatch, total):
    """Each refresh shows the current count and note; the last refresh is at the end."""
    monkeypatch.setenv("COLUMNS", "200")  # a bar as wide as 80 columns is cut where the rate has many digits
    monkeypatch.setenv("LINES", "50")
    progress = Progress()
    with ProgressBar(progress, total) as bar:
        progress.advance(3)
        bar.draw()
        assert ("3/8" if total else "3text") in capsys.readouterr().err
        progress.wait(NEXT, clock.now + 42.0)
        bar.draw()
        assert "rate limit: next request in 42 s" in capsys.readouterr().err
        progress.advance(5)
    last = capsys.readouterr().err.rsplit("\r", 1)[-1]
    assert ("8/8" if total else "8text") in last
    assert "next request" not in last


@pytest.mark.usefixtures("clock")
def test_a_bar_that_is_drawn_twice_counts_once(capsys):
    """Drawing only reads the counters."""
    progress = Progress()
    progress.advance(3)
    with ProgressBar(progress, 8) as bar:
        for _ in range(5):
            bar.draw()
    assert "3/8" in capsys.readouterr().err.rsplit("\r", 1)[-1]
