"""Small changes of a window, for the tests of stores."""

from electronhub_embeddings.headers import Report


def count_one(window, _now):
    """Change a window so that the number of changes can be told."""
    window.limit = (window.limit or 0) + 1


def look(window, now):
    """Return what a change is given."""
    return window, now


def start(slot):
    """Return a change that takes a slot."""
    return lambda window, now: window.start(now, slot, lease=70.0)


def settle(slot):
    """Return a change that settles a slot, counted now."""
    return lambda window, now: window.settle(now, slot, Report(), counted=now, good=True)
