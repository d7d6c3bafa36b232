"""How long whoever waits for a slot outside the worker threads sleeps before the next attempt to acquire it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from electronhub_embeddings._rate_limit.wait_queue import RECHECK_INTERVAL
from electronhub_embeddings.errors import RateLimitError

if TYPE_CHECKING:
    from electronhub_embeddings._rate_limit.sliding_window import Pause

ANSWER_INTERVAL = 0.05
"""Seconds between two checks whether the answer has arrived that must come before any other request."""

NEXT_STEP = "Try again after .retry_after seconds, or allow a longer max_wait."


def seconds_to_sleep(what: str, pause: Pause, *, waited: float, max_wait: float | None) -> float:
    """Return the seconds until the next attempt.

    Args:
        what: What waits, as the beginning of a sentence.
        pause: Why no slot is available.
        waited: Seconds that it has waited.
        max_wait: Seconds that it may wait in all; None: as long as it takes.

    Raises:
        RateLimitError: The wait is longer than `max_wait`.
    """
    left = math.inf if max_wait is None else max_wait - waited
    needed = pause.seconds or 0.0
    if needed > left or left <= 0:
        total = waited + (needed or ANSWER_INTERVAL)
        message = f"{what} has to wait for {total:.1f} s ({pause.reason}), and max_wait is {max_wait:g} s."
        error = RateLimitError(message, status_code=429, retry_after=pause.seconds)
        error.next_step = NEXT_STEP
        raise error
    return min(needed or ANSWER_INTERVAL, RECHECK_INTERVAL, left)
