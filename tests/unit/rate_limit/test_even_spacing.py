"""Even spacing: while documents and interactive calls share the limit, requests leave one by one."""

import pytest

from electronhub_embeddings._rate_limit.even_spacing import INTERACTIVE_MEMORY, PRECEDENCE
from electronhub_embeddings._rate_limit.rate_limit_headers import RateLimitHeaders
from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow

LIMIT = 5
HOLD = 60.1
SPACING = HOLD / LIMIT
DOCUMENTS = {"documents": 2}
QUERY = {"interactive": True}
RIDING = {"interactive": True, "documents": 2}
FEW = {"documents": 1}
"""Documents that fit into one request."""


def new_window(**fields):
    """Return a window that knows the limit."""
    return SlidingWindow(limit=LIMIT, probing=False, **fields)


def starts(window, times, **kind):
    """Try to start a request at each time; return whether it may."""
    return [window.acquire(time, f"{time} {kind}", max_duration=70.0, **kind) is None for time in times]


@pytest.mark.parametrize("kind", [DOCUMENTS, QUERY], ids=["documents", "queries"])
def test_each_kind_alone_leaves_at_once(kind):
    """Without the other kind, the window is filled as fast as possible."""
    assert starts(new_window(), [0.0, 0.1, 0.2, 0.3, 0.4], **kind) == [True] * LIMIT


def test_documents_are_spread_after_a_query():
    """Each waits until a slot's spacing after the previous request, whichever that was."""
    window = new_window()
    assert starts(window, [0.0], **QUERY) == [True]
    times = [1.0, SPACING - 0.1, SPACING, 2 * SPACING - 0.1, 2 * SPACING]
    assert starts(window, times, **DOCUMENTS) == [False, False, True, False, True]
    pause = window.acquire(2 * SPACING + 2.0, "a", max_duration=70.0, **DOCUMENTS)
    assert pause.seconds == pytest.approx(SPACING - 2.0)
    assert "evenly spaced" in pause.reason


def test_a_query_waits_for_one_spacing_at_most():
    """Beside documents, a query takes the next of the evenly spaced slots."""
    window = new_window()
    starts(window, [0.0], **QUERY)
    starts(window, [SPACING, SPACING + 0.5], **DOCUMENTS)
    assert starts(window, [SPACING + 1.0, 2 * SPACING - 0.1, 2 * SPACING], **QUERY) == [False, False, True]


def test_a_query_that_waits_goes_first():
    """Documents of another process leave it the slot that is free next, for a second."""
    window = new_window()
    starts(window, [0.0], **QUERY)
    starts(window, [SPACING, SPACING + 0.5], **DOCUMENTS)
    assert starts(window, [SPACING + 1.0], **QUERY) == [False]
    assert starts(window, [2 * SPACING, 2 * SPACING + PRECEDENCE - 0.1], **DOCUMENTS) == [False, False]
    assert starts(window, [2 * SPACING + PRECEDENCE - 0.05], **QUERY) == [True]
    last = 2 * SPACING + PRECEDENCE - 0.05
    assert starts(window, [last + SPACING], **DOCUMENTS) == [True]


def test_the_precedence_of_a_query_that_has_gone_ends():
    """A caller that gave up, or whose process has died, costs the documents one second."""
    window = new_window()
    starts(window, [0.0], **QUERY)
    starts(window, [SPACING, SPACING + 0.5], **DOCUMENTS)
    starts(window, [SPACING + 1.0], **QUERY)
    assert starts(window, [2 * SPACING + PRECEDENCE + 0.01], **DOCUMENTS) == [True]


def test_queries_leave_at_once_when_the_documents_have_ended():
    """Two spacings after documents were last held up, the limit belongs to the queries again."""
    window = new_window()
    starts(window, [0.0], **QUERY)
    assert starts(window, [0.0], **DOCUMENTS) == [False]
    assert starts(window, [2 * SPACING - 0.1, 2 * SPACING], **QUERY) == [True, True]
    starts(window, [2 * SPACING], **DOCUMENTS)
    assert starts(window, [3 * SPACING - 0.1], **QUERY) == [False]


def test_documents_of_one_request_leave_at_once_after_a_query():
    """An application that adds a document now and then waits for nothing while there are free slots."""
    window = new_window()
    assert starts(window, [0.0], **QUERY) == [True]
    assert starts(window, [0.1, 0.2], **FEW) == [True, True]
    assert starts(window, [0.3], **QUERY) == [True]


def test_many_small_calls_are_spread_once_they_were_held_up():
    """A job of one request after the other fills the window once; from then on it leaves slots to queries."""
    window = new_window()
    assert starts(window, [0.0], **QUERY) == [True]
    assert starts(window, [0.1, 0.2, 0.3, 0.4, 0.5], **FEW) == [True, True, True, True, False]
    for slot in list(window.in_flight):
        window.complete(0.5, slot, RateLimitHeaders(), counted=0.5, good=True)
    later = 0.5 + HOLD + 0.1
    assert starts(window, [later - 1.0, later, later + 0.1], **FEW) == [False, True, False]
    assert starts(window, [later + SPACING], **QUERY) == [True]


def test_queries_leave_at_once_after_documents_that_nothing_has_held_up():
    """A script that embeds a few documents and then searches has a window with free slots: it waits for nothing."""
    window = new_window()
    assert starts(window, [0.0, 0.1], **DOCUMENTS) == [True, True]
    assert starts(window, [0.2, 0.3, 0.4], **QUERY) == [True, True, True]


def test_documents_leave_at_once_when_the_queries_have_ended():
    """Some minutes after the last query, the limit belongs to the documents again."""
    window = new_window()
    starts(window, [0.0], **QUERY)
    later = INTERACTIVE_MEMORY + 0.1
    assert starts(window, [later, later + 0.1, later + 0.2], **DOCUMENTS) == [True] * 3


def test_documents_that_must_not_be_spread_are_not():
    """A client with spread_documents=False fills the window beside queries, too."""
    window = new_window()
    starts(window, [0.0], **QUERY)
    assert starts(window, [0.1, 0.2, 0.3, 0.4]) == [True] * 4


def test_spreading_keeps_the_rate():
    """In an hour as many requests start as without it, less one window."""
    window, now, count = new_window(), 0.0, 0
    while now < 3600.0:
        pause = window.acquire(now, str(count), max_duration=70.0, **RIDING)
        if pause is None:
            window.complete(now, str(count), RateLimitHeaders(), counted=now, good=True)
            count += 1
        now += 0.01 if pause is None else max(pause.seconds, 0.01)
    assert count >= 3600.0 / HOLD * LIMIT - LIMIT


@pytest.mark.parametrize(
    ("cap", "others", "share"), [(None, 0, 30), (10, 0, 10), (10, 12, 10), (10, 22, 3), (None, 12, 15)]
)
def test_what_others_spend_is_taken_off_the_limit(cap, others, share):
    """It is not taken off the caller's own cap: the lower of the cap and what others leave counts."""
    window = SlidingWindow(limit=30, probing=False)
    window.foreign.leave(others, 1000.0)
    begun = [window.acquire(0.0, str(i), max_duration=70.0, cap=cap) is None for i in range(31)]
    assert begun.count(True) == share
