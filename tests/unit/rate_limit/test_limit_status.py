"""The status of the limit: how much there is, how much is left, and when the next request can start."""

import copy

from electronhub_embeddings._rate_limit.limit_status import LimitStatus, read_status
from electronhub_embeddings._rate_limit.rate_limit_headers import RateLimitHeaders
from electronhub_embeddings._rate_limit.safety_margin import SAFETY_MARGIN
from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow

PERIOD = 60.0
HOLD = PERIOD + SAFETY_MARGIN


def told(limit=None):
    """Return a window after its first good answer, so that it knows the limit if there is one."""
    return SlidingWindow(limit=limit, probing=False)


def call(window, now, slot, remaining=None):
    """Make one complete call, which is answered at once."""
    assert window.acquire(now, slot, max_duration=70.0) is None
    window.complete(now, slot, RateLimitHeaders(limit=window.limit, remaining=remaining), counted=now, good=True)


def test_what_is_left():
    """Slots in flight and held are taken; at the limit it says how long until the next, and looking changes nothing."""
    window = told(3)
    assert read_status(window, 0.0) == LimitStatus(3, 3, PERIOD, 0.0)
    assert window.acquire(0.0, "in flight", max_duration=70.0) is None
    call(window, 1.0, "held")
    before = copy.deepcopy(window)
    assert read_status(window, 2.0) == LimitStatus(3, 1, PERIOD, 0.0)
    assert read_status(window, 2.0, cap=2) == LimitStatus(2, 0, PERIOD, HOLD - 2.0)
    assert read_status(window, 2.0, cap=1) == LimitStatus(1, 0, PERIOD, 1.0 + HOLD - 2.0)
    assert window == before
    call(window, 2.0, "last")
    assert read_status(window, 2.0) == LimitStatus(3, 0, PERIOD, HOLD - 2.0)


def test_no_limit():
    """Nothing can be counted down."""
    assert read_status(SlidingWindow(), 5.0) == LimitStatus(None, None, PERIOD, 0.0)
    assert read_status(told(), 5.0, cap=4) == LimitStatus(4, 4, PERIOD, 0.0)


def test_a_cooldown():
    """Nothing is left, whatever the slots say."""
    window = told(5)
    window.start_cooldown(10.0, 180.0)
    status = read_status(window, 11.0)
    assert (status.limit, status.left) == (5, 0)
    assert status.wait >= 179.0


def test_others_keep_their_share():
    """What others were seen to take is not left."""
    window = told(10)
    call(window, 0.0, "first", remaining=5)
    status = read_status(window, 1.0)
    assert (status.limit, status.left) == (10, 10 - window.foreign.reserve(10) - 1)
    assert status.left < 9


def test_an_answer_that_is_overdue_leaves_nothing():
    """The service has long forgotten the request, but its slot stays taken until its answer or its end."""
    window = told(1)
    assert window.acquire(0.0, "slow", max_duration=3 * PERIOD) is None
    assert read_status(window, 2 * PERIOD) == LimitStatus(1, 0, PERIOD, 0.0)
