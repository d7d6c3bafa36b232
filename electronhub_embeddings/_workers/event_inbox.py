"""The inbox of an account's workers: callers' threads put events into it, and one idle worker wakes to take them out.

An exception raised by a signal handler may interrupt `post` at any statement: the event is there or it is not, and no
lock stays held.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Event = Callable[[float], object]
    """Passes something to the scheduler; called by a worker, with the time."""


class EventInbox:
    """A queue of events that any thread may fill, and one thread at a time empties."""

    def __init__(self) -> None:
        self._events: SimpleQueue[Event] = SimpleQueue()  # put() is reentrant: finalisers call it
        self._news = threading.Lock()
        """Released when there is an event. `SimpleQueue.get` with a short timeout can wait for ever in CPython."""
        self._news.acquire()

    def __bool__(self) -> bool:
        return not self._events.empty()

    def post(self, event: Event) -> None:
        """Add an event and wake a worker."""
        self._events.put(event)
        self.wake()

    def wake(self) -> None:
        """Let one waiting worker look for something to do."""
        if self._news.locked():  # or else one has been woken already and has not looked yet
            with suppress(RuntimeError):  # by another thread, just now
                self._news.release()

    def take_all(self) -> Iterator[Event]:
        """Remove and yield the events, including those that arrive meanwhile."""
        while not self._events.empty():
            yield self._events.get_nowait()

    def wait(self, timeout: float | None) -> None:
        """Wait for an event, for `timeout` seconds at most; it may return early."""
        self._news.acquire(timeout=-1.0 if timeout is None else max(0.0, timeout))
