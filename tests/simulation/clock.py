"""A simulated clock that only events advance."""

import heapq
from itertools import count


class Clock:
    """Runs events in the order of their times; the time does not advance while one runs."""

    def __init__(self, now=1000.0):
        self.now = now
        self._events = []
        self._order = count()

    def monotonic(self):
        """Return the time, as `time.monotonic` does."""
        return self.now

    def at(self, when, event):
        """Schedule an event; one in the past runs now."""
        heapq.heappush(self._events, (max(when, self.now), next(self._order), event))

    def after(self, delay, event):
        """Schedule an event after a delay in seconds."""
        self.at(self.now + delay, event)

    def step(self, until):
        """Run the next event; return False if there is none before the time `until`."""
        if not self._events or self._events[0][0] > until:
            return False
        self.now, _, event = heapq.heappop(self._events)
        event()
        return True
