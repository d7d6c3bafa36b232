"""Bounds an attempt as a whole, however slowly its bytes arrive.

httpx applies its time-out to each read, so a response that arrives byte by byte would never time out. The rate limiter
relies on a bound: it frees a slot when a request cannot be in flight any more.
"""

from __future__ import annotations

import threading
import time

import httpx


class AttemptTimeout:
    """The deadline of the attempt that the current thread makes.

    Args:
        seconds: Longest duration of an attempt, from connecting to the last byte.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._attempt = threading.local()

    def start(self) -> None:
        """Begin an attempt in the current thread."""
        self._attempt.deadline = time.monotonic() + self.seconds

    def remaining(self) -> float:
        """Return the seconds that are left for the current attempt.

        Raises:
            httpx.ReadTimeout: There are none.
        """
        remaining: float = self._attempt.deadline - time.monotonic()
        if remaining <= 0:
            raise httpx.ReadTimeout("the response took too long")
        return remaining
