"""Small changes of a window, for the tests of stores."""

from electronhub_embeddings._rate_limit.rate_limit_headers import RateLimitHeaders


def count_one(window, _now):
    """Change a window so that the number of changes can be told."""
    window.limit = (window.limit or 0) + 1


def look(window, now):
    """Return what a change is given."""
    return window, now


def acquire(slot):
    """Return a change that takes a slot."""
    return lambda window, now: window.acquire(now, slot, max_duration=70.0)


def complete(slot):
    """Return a change that completes a slot, counted now."""
    return lambda window, now: window.complete(now, slot, RateLimitHeaders(), counted=now, good=True)
