"""Even spacing: while documents and interactive calls share the limit, requests leave one by one."""

import pytest

from electronhub_embeddings._rate_limit.even_spacing import INTERACTIVE_MEMORY, EvenSpacing
from electronhub_embeddings._rate_limit.rate_limit_headers import RateLimitHeaders
from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow
from electronhub_embeddings._rate_limit.wait_queue import MAX_WAITERS, RECHECK_INTERVAL, WAITER_TTL

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


def ask(window, time, name, **kind):
    """Ask for a slot by name, as a caller does again and again."""
    return window.acquire(time, name, max_duration=70.0, **kind)


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
    assert pause.reason == "requests leave evenly spaced beside interactive calls, one in 12 s"


def test_a_query_waits_for_one_spacing_at_most():
    """Beside documents, a query takes the next of the evenly spaced slots."""
    window = new_window()
    starts(window, [0.0], **QUERY)
    starts(window, [SPACING, SPACING + 0.5], **DOCUMENTS)
    pauses = [ask(window, time, "query", **QUERY) for time in (SPACING + 1.0, 2 * SPACING - 0.1, 2 * SPACING)]
    assert [pause and pause.seconds for pause in pauses] == [pytest.approx(SPACING - 1.0), pytest.approx(0.1), None]


def test_a_query_that_waits_goes_first():
    """Documents of another process leave it the slot that is free next."""
    window = new_window()
    starts(window, [0.0], **QUERY)
    starts(window, [SPACING], **DOCUMENTS)
    assert ask(window, SPACING + 1.0, "documents", **DOCUMENTS).seconds == pytest.approx(SPACING - 1.0)
    assert ask(window, 2 * SPACING - 0.5, "query", **QUERY).seconds == pytest.approx(0.5)
    assert ask(window, 2 * SPACING, "documents", **DOCUMENTS).seconds == pytest.approx(SPACING)
    assert ask(window, 2 * SPACING + 0.1, "query", **QUERY) is None
    assert ask(window, 3 * SPACING, "documents", **DOCUMENTS).seconds == pytest.approx(0.1)
    assert ask(window, 3 * SPACING + 0.1, "documents", **DOCUMENTS) is None


@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside documents"])
def test_interactive_calls_get_their_slots_in_the_order_of_asking(beside):
    """All of them ask at the moment when a slot is free, in any order; each is told how long it really takes."""
    window, names = new_window(), ["first", "second", "third"]
    if beside:
        starts(window, [0.0], **QUERY)
        starts(window, [SPACING, SPACING + 0.1], **DOCUMENTS)
        free, step = 2 * SPACING, SPACING
    else:
        starts(window, [float(number) for number in range(LIMIT)], **QUERY)
        for slot, (started, _) in list(window.slots.in_flight.items()):
            window.complete(started, slot, RateLimitHeaders(), counted=started, good=True)
        free, step = HOLD, 1.0
    pauses = [ask(window, free - 1.0, name, **QUERY).seconds for name in names]
    assert pauses == pytest.approx([1.0, 1.0 + step, 1.0 + 2 * step])
    started = {}
    now = free
    while len(started) < len(names):
        if beside:
            ask(window, now, "documents", **DOCUMENTS)
        for name in reversed([name for name in names if name not in started]):
            if ask(window, now, name, **QUERY) is None:
                started[name] = now
        now += 0.1
    assert sorted(started, key=started.get) == names
    assert [started[name] for name in names] == pytest.approx([free, free + step, free + 2 * step], abs=0.5)


def test_a_call_that_has_gone_costs_the_others_two_seconds():
    """A caller whose process has died keeps its place until it should have asked twice."""
    window = new_window()
    starts(window, [0.0], **QUERY)
    starts(window, [SPACING, SPACING + 0.1], **DOCUMENTS)
    ask(window, 2 * SPACING - 0.1, "gone", **QUERY)
    ask(window, 2 * SPACING - 0.1, "waiting", **QUERY)
    for kind, name in ((DOCUMENTS, "documents"), (QUERY, "waiting")):
        assert ask(window, 2 * SPACING + WAITER_TTL - 0.2, name, **kind) is not None
    assert ask(window, 2 * SPACING + WAITER_TTL - 0.05, "documents", **DOCUMENTS) is not None
    assert ask(window, 2 * SPACING + WAITER_TTL - 0.05, "waiting", **QUERY) is None


def test_a_call_that_gives_up_gives_its_place_up():
    """A caller that was cancelled says so, and costs the others nothing."""
    window = new_window()
    starts(window, [0.0], **QUERY)
    starts(window, [SPACING, SPACING + 0.1], **DOCUMENTS)
    ask(window, 2 * SPACING - 0.1, "cancelled", **QUERY)
    window.release("cancelled")
    assert ask(window, 2 * SPACING, "documents", **DOCUMENTS) is None


def test_a_request_that_loses_its_query_loses_its_place():
    """A worker whose query was withdrawn asks for documents with the same name."""
    window = new_window()
    starts(window, [0.0], **QUERY)
    starts(window, [SPACING, SPACING + 0.1], **DOCUMENTS)
    ask(window, 2 * SPACING - 0.2, "worker", **QUERY)
    ask(window, 2 * SPACING - 0.1, "worker", **DOCUMENTS)
    assert ask(window, 2 * SPACING, "another", **DOCUMENTS) is None


def test_the_first_answer_is_waited_for_in_order():
    """After a cooldown one request leaves at a time, and the first is that of whoever asked first."""
    window = new_window()
    window.start_cooldown(0.0, 100.0)
    ends = window.cooldown.until
    for name in ("first", "second"):
        ask(window, ends - RECHECK_INTERVAL, name, **QUERY)
    assert ask(window, ends, "second", **QUERY).seconds is None
    assert ask(window, ends, "first", **QUERY) is None


def test_the_order_is_kept_for_a_hundred_calls():
    """A thousand waiting calls do not make the state of the window grow without bound."""
    window = new_window()
    starts(window, [0.0, 0.1, 0.2, 0.3, 0.4], **QUERY)
    for number in range(10 * MAX_WAITERS):
        ask(window, 1.0, f"waiting {number}", **QUERY)
    assert list(window.wait_queue.waiting) == [f"waiting {number}" for number in range(MAX_WAITERS)]


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
    for slot in list(window.slots.in_flight):
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


def test_documents_are_spread_beside_others():
    """If they do not fit into what is left, also where nobody of ours asks a question."""
    window = SlidingWindow(limit=10, probing=False)
    assert ask(window, 0.0, "first") is None
    window.complete(0.0, "first", RateLimitHeaders(limit=10, remaining=5), counted=0.0, good=True)
    pause = ask(window, 1.0, "documents", documents=9)
    assert pause.reason == "requests leave evenly spaced beside others, one in 12 s"


def test_documents_that_must_not_be_spread_are_not():
    """A client with spread_documents=False fills the window beside queries, too."""
    window = new_window()
    starts(window, [0.0], **QUERY)
    assert starts(window, [0.1, 0.2, 0.3, 0.4]) == [True] * 4


def test_documents_that_must_not_be_spread_do_not_wait_for_those_who_wait():
    """Their client has chosen speed: they take the first slot that is free."""
    window = SlidingWindow(limit=2, probing=False)
    for counted in (0.0, 5.0):
        assert ask(window, counted, f"{counted}") is None
        window.complete(counted, f"{counted}", RateLimitHeaders(), counted=counted, good=True)
    assert ask(window, HOLD - 0.5, "query", **QUERY) is not None
    assert ask(window, HOLD + 0.1, "documents") is None


def test_documents_that_were_held_up_are_expected_for_two_spacings_of_their_own():
    """If their client has a lower limit, they come back later."""
    window = new_window()
    starts(window, [0.0], **QUERY)
    assert ask(window, 1.0, "documents", cap=2, **DOCUMENTS) is not None
    assert window.spacing.documents_until == pytest.approx(1.0 + 2 * HOLD / 2)


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
    ("cap", "others", "share"), [(None, 0, 30), (10, 0, 10), (10, 12, 10), (10, 27, 3), (None, 15, 15)]
)
def test_what_others_spend_is_taken_off_the_limit(cap, others, share):
    """It is not taken off the caller's own cap: the lower of the cap and what others leave counts."""
    window = SlidingWindow(limit=30, probing=False)
    window.foreign.leave(others, 1000.0)
    begun = [window.acquire(0.0, str(i), max_duration=70.0, cap=cap) is None for i in range(31)]
    assert begun.count(True) == share


@pytest.mark.parametrize(
    ("now", "interactive", "documents", "crowded", "applies"),
    [
        (19.9, True, 0, False, True),
        (20.0, True, 0, True, False),
        (19.9, False, 1, False, True),
        (20.0, False, 1, False, False),
        (29.9, False, 2, False, True),
        (30.0, False, 2, False, False),
        (10.0, False, 0, False, False),
        (30.0, False, 1, True, True),
        (30.0, False, 0, True, False),
    ],
)
def test_who_keeps_the_distance_and_until_when(now, interactive, documents, crowded, applies):
    """Interactive calls while documents are expected back, and documents while calls are, or beside others."""
    spacing = EvenSpacing(interactive_until=30.0, documents_until=20.0)
    assert spacing.applies(now, interactive=interactive, documents=documents, crowded=crowded) is applies


def test_another_clock():
    """All times move."""
    spacing = EvenSpacing(10.0, 20.0, 30.0)
    spacing.shift_clock(-2.0)
    assert spacing == EvenSpacing(8.0, 18.0, 28.0)
