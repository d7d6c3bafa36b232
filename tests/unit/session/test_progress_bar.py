"""The progress of a call: the count, the time that is left, the reason for waiting, and what the bar shows."""

from types import SimpleNamespace

import pytest

from electronhub_embeddings._scheduling.progress import Progress
from electronhub_embeddings._session import progress_bar as module
from electronhub_embeddings._session.progress_bar import REDRAW_INTERVAL, ProgressBar


@pytest.fixture
def clock(monkeypatch):
    """Replace the clock by one that only the test advances."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.fixture
def progress(clock):  # noqa: ARG001 - it is read
    """Return the progress of a call of 3,000 texts."""
    return Progress(3000, is_shown=True)


@pytest.fixture
def bar(progress):
    """Return the bar of that call."""
    with ProgressBar(progress) as bar:
        yield bar


def answer(progress, texts=100):
    """Let a request be answered."""
    progress.advance(texts)
    progress.requests += 1


def test_before_a_forecast_texts_are_counted(bar, progress):
    """Vectors and requests are counted, and no time is named."""
    assert bar.status() == "0/3,000 texts"
    answer(progress)
    assert bar.status() == "100/3,000 texts, 1 request"
    answer(progress, 901)
    assert bar.status() == "1,001/3,000 texts, 2 requests"


def test_a_forecast_says_how_long(bar, progress, clock):
    """Texts, requests and the time that is left, and when the next request leaves."""
    for _ in range(10):
        answer(progress)
    progress.foresee(20, clock.now + 120.0, 10)
    progress.wait("rate limit", clock.now + 56.0)
    assert bar.status() == "1,000/3,000 texts, 10 of 30 requests, about 2 min left (10 a minute), next in 56 s"
    clock.now += 50
    assert bar.status() == "1,000/3,000 texts, 10 of 30 requests, about 70 s left (10 a minute), next in 6 s"
    answer(progress)
    assert bar.status() == "1,100/3,000 texts, 11 of 30 requests, about 70 s left (10 a minute)"


def test_a_forecast_without_a_limit_names_none(bar, progress, clock):
    """Where there is no limit, the time is that of the answers; where none is known, there is no time."""
    progress.foresee(3, clock.now + 9.0, None)
    assert bar.status() == "0/3,000 texts, 0 of 3 requests, about 9 s left"
    progress.foresee(1, None, None)
    assert bar.status() == "0/3,000 texts, 0 of 1 request"


def test_an_answer_that_is_late_is_waited_for(bar, progress, clock):
    """When the time is up and something is missing, zero seconds would be wrong."""
    progress.foresee(1, clock.now + 1.0, 10)
    clock.now += 1.0
    assert bar.status() == "0/3,000 texts, 0 of 1 request, waiting for an answer (10 a minute)"


def test_the_end_says_how_long_it_took(bar, progress, clock):
    """At the end there is nothing left to foresee."""
    progress.foresee(1, clock.now + 50.0, 10)
    clock.now += 44
    answer(progress, 3000)
    assert bar.status() == "3,000/3,000 texts, 1 request in 44 s"


def test_an_end_without_a_request_took_none(bar, progress):
    """Texts that were all in the cache took no request."""
    progress.advance(3000)
    assert bar.status() == "3,000/3,000 texts"


def test_an_unusual_wait_says_why(bar, progress, clock):
    """A reason other than the limit is named."""
    progress.wait("cooldown after a refused request", clock.now + 173.0)
    assert bar.status() == "0/3,000 texts, next in 173 s (cooldown after a refused request)"


def test_a_retry_is_waited_for_although_others_go_on(bar, progress, clock):
    """Vectors end a wait for the limit, but not the pause of texts that failed; the limit is named first."""
    progress.wait_to_retry("the service answered 503: attempt 2 of 7", clock.now + 9.0)
    progress.wait("rate limit", clock.now + 30.0)
    assert bar.status().endswith("next in 30 s")
    answer(progress)
    assert bar.status().endswith("next in 9 s (the service answered 503: attempt 2 of 7)")


@pytest.mark.parametrize("left", [1.0, 0.5, 0.0, -5.0])
def test_a_short_wait_is_not_worth_words(bar, progress, clock, left):
    """In the last second and afterwards, no wait is shown."""
    progress.wait("rate limit", clock.now + left)
    assert bar.status() == "0/3,000 texts"


def test_what_does_not_fit_is_left_out(bar, progress, clock):
    """The reason goes first, then the limit, then the requests; the texts, the time and the wait stay."""
    progress.foresee(20, clock.now + 110.0, 10)
    progress.wait("cooldown after a refused request", clock.now + 56.0)
    full = bar.status()
    shorter = [full]
    for width in range(len(full), 0, -1):
        if (words := bar.status(width)) != shorter[-1]:
            assert len(shorter[-1]) > width
            shorter.append(words)
    start = "0/3,000 texts"
    assert shorter == [
        f"{start}, 0 of 20 requests, about 110 s left (10 a minute), next in 56 s (cooldown after a refused request)",
        f"{start}, 0 of 20 requests, about 110 s left (10 a minute), next in 56 s",
        f"{start}, 0 of 20 requests, about 110 s left, next in 56 s",
        f"{start}, about 110 s left, next in 56 s",
    ]


@pytest.mark.usefixtures("clock")
def test_a_stream_has_no_end_in_sight(clock):
    """Of an iterable nobody knows how much is to come: texts, requests and the limit are shown."""
    progress = Progress(is_shown=True)
    bar = ProgressBar(progress)
    assert bar.status() == "0 texts"
    answer(progress)
    progress.foresee(5, clock.now + 10.0, 30)
    progress.wait("rate limit", clock.now + 7.0)
    assert bar.status() == "100 texts, 1 request, 30 a minute, next in 7 s"


@pytest.mark.parametrize("total", [8, None])
def test_a_bar_ticks_and_says_how_long(clock, capsys, total):
    """Each refresh shows the current state; the last refresh is at the end."""
    progress = Progress(total, is_shown=True)
    with ProgressBar(progress) as bar:
        assert "0/8 texts" in capsys.readouterr().err or total is None
        answer(progress, 3)
        progress.foresee(1, clock.now + 50.0, 5)
        progress.wait("rate limit", clock.now + 42.0)
        bar.draw()
        shown = capsys.readouterr().err.rsplit("\r", 1)[-1]
        words = "3/8 texts, 1 of 2 requests, about 50 s left (5 a minute), next in 42 s"
        assert (words if total else "3 texts, 1 request, 5 a minute, next in 42 s") in shown
        assert ("38%|" in shown) is (total == 8)
        answer(progress, 5)
    last = capsys.readouterr().err.rsplit("\r", 1)[-1]
    assert ("8/8 texts, 2 requests in 1 s" if total else "8 texts, 2 requests") in last
    assert ("100%|" in last) is (total == 8)


@pytest.mark.usefixtures("clock")
def test_a_bar_that_is_drawn_twice_counts_once(capsys):
    """Drawing only reads the counters."""
    progress = Progress(8)
    progress.advance(3)
    with ProgressBar(progress) as bar:
        for _ in range(5):
            bar.draw()
    assert "3/8 texts" in capsys.readouterr().err.rsplit("\r", 1)[-1]


def test_a_narrow_terminal_gets_fewer_words(clock, capsys):
    """The bar and the words fit into the columns of the terminal."""
    progress = Progress(3000, is_shown=True)
    progress.foresee(20, clock.now + 110.0, 10)
    progress.wait("rate limit", clock.now + 56.0)
    with ProgressBar(progress) as bar:
        bar._bar.ncols = 60  # a terminal would tell
        bar.draw()
        shown = capsys.readouterr().err.rsplit("\r", 1)[-1]
    assert shown.rstrip().endswith("| 0/3,000 texts, about 110 s left, next in 56 s")
    assert len(shown.rstrip()) <= 60


def test_a_bar_is_not_drawn_for_each_vector(clock, capsys):
    """A stream of many vectors does not spend its time on drawing."""
    progress = Progress()
    with ProgressBar(progress) as bar:
        capsys.readouterr()
        clock.now += REDRAW_INTERVAL / 2
        bar.draw_now_and_then()
        assert capsys.readouterr().err == ""
        clock.now += REDRAW_INTERVAL / 2
        progress.advance(1)
        bar.draw_now_and_then()
        assert "1 texts" in capsys.readouterr().err
