"""The order in which interactive calls get their slots."""

from electronhub_embeddings._rate_limit.wait_queue import MAX_WAITERS, WAITER_TTL, WaitQueue


def queue_of(*names):
    """Return a queue in which calls have asked in this order."""
    queue = WaitQueue()
    for number, name in enumerate(names):
        queue.add(float(number), name)
    return queue


def test_whoever_asked_first_is_first():
    """Asking again changes nothing, and a call that has not asked is behind all others."""
    queue = queue_of("a", "b", "c")
    queue.add(9.0, "a")
    assert [queue.ahead_of(name) for name in ("a", "b", "c", "new")] == [0, 1, 2, 3]


def test_a_call_that_waits_no_longer_leaves_its_place():
    """Whoever was behind it moves up; a call that never waited can leave as well."""
    queue = queue_of("a", "b", "c")
    queue.remove("b")
    queue.remove("unknown")
    assert [queue.ahead_of(name) for name in ("a", "c", "new")] == [0, 1, 2]


def test_a_call_that_does_not_ask_again_is_forgotten():
    """It was cancelled, or its process died."""
    queue = queue_of("a", "b")
    queue.add(1.5, "a")
    queue.expire(1.0 + WAITER_TTL - 0.1)
    assert list(queue.waiting) == ["a", "b"]
    queue.expire(1.0 + WAITER_TTL)
    assert queue.waiting == {"a": 1.5 + WAITER_TTL}
    queue.expire(100.0)
    queue.expire(100.0)
    assert not queue.waiting


def test_its_length_is_bounded():
    """It is part of the state that each request writes; whoever is in it can still ask again."""
    queue = queue_of(*map(str, range(MAX_WAITERS + 5)))
    assert list(queue.waiting) == [str(i) for i in range(MAX_WAITERS)]
    queue.add(500.0, "7")
    assert queue.waiting["7"] == 500.0 + WAITER_TTL


def test_two_windows_have_the_calls_of_both():
    """A call that asked in both is the one that asked last."""
    queue = queue_of("a", "b")
    queue.merge(WaitQueue({"b": 50.0, "c": 60.0}))
    assert queue.waiting == {"a": WAITER_TTL, "b": 50.0, "c": 60.0}


def test_another_clock():
    """Their order stays, and all times move."""
    queue = queue_of("a", "b")
    queue.shift_clock(-10.0)
    assert queue.waiting == {"a": WAITER_TTL - 10.0, "b": 1.0 + WAITER_TTL - 10.0}
