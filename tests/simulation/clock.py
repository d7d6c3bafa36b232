"""Time that only events move."""

import heapq
from itertools import count


class Clock:
    """Runs events in the order of their times; the time stands still while one runs."""

    def __init__(self, now=1000.0):
        self.now = now
        self._events = []
        self._order = count()

    def monotonic(self):
        """Return the time, as `time.monotonic` does."""
        return self.now

    def at(self, when, event):
        """Run an event at a time; one in the past runs now."""
        heapq.heappush(self._events, (max(when, self.now), next(self._order), event))

    def after(self, delay, event):
        """Run an event after some seconds."""
        self.at(self.now + delay, event)

    def step(self, until):
        """Run the next event; False: there is none before the time `until`."""
        if not self._events or self._events[0][0] > until:
            return False
        self.now, _, event = heapq.heappop(self._events)
        event()
        return True
