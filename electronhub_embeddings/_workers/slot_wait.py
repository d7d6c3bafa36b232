"""How long whoever waits for a slot outside the worker threads sleeps before the next attempt to acquire it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from electronhub_embeddings._rate_limit.wait_queue import RECHECK_INTERVAL
from electronhub_embeddings._scheduling.max_wait import too_long_a_wait

if TYPE_CHECKING:
    from electronhub_embeddings._rate_limit.sliding_window import Pause

ANSWER_INTERVAL = 0.05
"""Seconds between two checks whether the answer has arrived that must come before any other request."""


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
        wait = needed or ANSWER_INTERVAL
        raise too_long_a_wait(what, pause.reason, max_wait or 0.0, waited=waited, wait=wait)
    return min(needed or ANSWER_INTERVAL, RECHECK_INTERVAL, left)
