"""The interface of the simulation to the rate limiter: its window, its headers, and the class that uses the store."""

from contextlib import contextmanager
from unittest.mock import patch

from electronhub_embeddings._rate_limit.rate_limit_headers import RateLimitHeaders
from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow
from electronhub_embeddings._workers import rate_limiter
from electronhub_embeddings._workers.rate_limiter import RateLimiter
from electronhub_embeddings._workers.window_keeper import WindowKeeper


class StoreError(Exception):
    """The store cannot be reached."""


class Store:
    """Keeps one window for the processes that share it, by the simulated clock.

    Args:
        clock: The simulated time.
        poll: Seconds after which to look for an answer of another process; None: one process has it for itself.
    """

    def __init__(self, clock, poll=None):
        self.poll = poll
        self.window = SlidingWindow()
        self.is_down = False
        self._clock = clock

    def update(self, change):
        """Apply a change, or fail."""
        if self.is_down:
            raise StoreError("cannot be reached")
        return change(self.window, self._clock.now)

    def close(self):
        """Nothing to close."""

    @property
    def slots_in_flight(self):
        """The slots that the window counts as in flight."""
        return set(self.window.slots.in_flight)

    def has_slots(self, calls):
        """Return whether a number of calls could start now."""
        return self.window.delay(self._clock.now, calls=calls) == 0.0

    def is_idle_after(self, seconds):
        """Return whether the window is idle after a number of seconds without calls."""
        later = self._clock.now + seconds
        lost = (
            end + self.window.hold for _, end in self.window.slots.in_flight.values()
        )  # of processes that were killed
        return all(end <= later for end in (*self.window.slots.held.values(), *lost))


def limiter_of(store):
    """Return the limiter of a process that shares the store."""
    return RateLimiter(WindowKeeper(store, owns_store=False))


def headers(limit=None, remaining=None, reset=None, retry_after=None):
    """Return the parsed headers of an answer."""
    return RateLimitHeaders(limit=limit, remaining=remaining, reset=reset, retry_after=retry_after)


@contextmanager
def simulated_time(clock):
    """Make the limiter use the simulated clock."""
    with patch.object(rate_limiter, "time", clock):
        yield
