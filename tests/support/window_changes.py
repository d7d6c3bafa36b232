"""Changes of a window, for the tests of stores."""

from electronhub_embeddings._rate_limit.rate_limit_headers import RateLimitHeaders
from electronhub_embeddings._workers import account_registry


def forget_windows():
    """Forget what this process knows of its accounts' windows, which a new store would continue."""
    account_registry._accounts.clear()
    account_registry._windows.clear()


def count_one(window, _now):
    """Change a window so that changes can be counted."""
    window.limit = (window.limit or 0) + 1


def look(window, now):
    """Return the arguments of a change."""
    return window, now


def acquire(slot, cap=None):
    """Return a change that acquires a slot."""
    return lambda window, now: window.acquire(now, slot, max_duration=70.0, cap=cap)


def complete(slot, limit=None):
    """Return a change that completes a slot of a call that was counted now, by an answer that may name a limit."""
    headers = RateLimitHeaders(limit=limit)
    return lambda window, now: window.complete(now, slot, headers, counted=now, good=True)
