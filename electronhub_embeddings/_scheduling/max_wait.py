"""Waiting for the rate limit: why and until when nothing may be sent, and which calls cannot wait that long."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

from electronhub_embeddings._rate_limit.wait_queue import RECHECK_INTERVAL
from electronhub_embeddings._rate_limit.wording import wait_in_words
from electronhub_embeddings.errors import RateLimitError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from electronhub_embeddings._rate_limit.sliding_window import Pause
    from electronhub_embeddings._scheduling.call import Call

logger = logging.getLogger("electronhub_embeddings")

LOGGED_WAIT = 5.0
"""Shortest wait that is logged at INFO, in seconds."""

WARNED_WAIT = 10.0
"""Shortest wait, in seconds, that is logged as a warning, once for each call: Python shows warnings by default."""

HOW_TO_SEE_MORE = (
    "logging.basicConfig(level=logging.INFO) shows every wait and retry, show_progress=True a progress bar"
)


class LimitWait:
    """Tracks whether the limit blocks the scheduler, and for how long it has done so in total."""

    def __init__(self) -> None:
        self._pause: Pause | None = None
        self._since: float | None = None
        self._until = 0.0
        self._before = 0.0
        self._is_longer = False
        """Whether the current pause is longer than the one logged last."""
        self.ask_again_at = -math.inf
        """When to ask the limiter again, if no event comes before."""

    def total(self, now: float) -> float:
        """Return the seconds spent blocked so far; waiting for an answer does not count."""
        return self._before + (now - self._since if self._since is not None else 0.0)

    def denied(self, pause: Pause, calls: Iterable[Call], poll: float | None, now: float) -> dict[Call, RateLimitError]:
        """Record that no request may start now; return the calls that may not wait that long, each with its error.

        Args:
            pause: Why, and for how long.
            calls: The calls with waiting texts.
            poll: Seconds between two checks for changes by other processes; None: the limit is not shared.
            now: The time.
        """
        self._begin(pause, now)
        failed = {call: error for call in calls if (error := self.check(call, now))}
        waiting = [call for call in calls if not call.failed and call not in failed]
        self._log(pause, waiting)
        until_check = (poll or RECHECK_INTERVAL) if pause.seconds is None else min(RECHECK_INTERVAL, pause.seconds)
        self.ask_again_at = now + until_check
        return failed

    def ask_again(self) -> None:
        """Let the limiter be asked at once."""
        self.ask_again_at = -math.inf

    def _begin(self, pause: Pause, now: float) -> None:
        if pause.seconds is None:
            self.end(now)
            self._pause, self._until = pause, now
            return
        self._is_longer = self._pause is None or now + pause.seconds > self._until + LOGGED_WAIT
        self._pause, self._until = pause, now + pause.seconds
        self._since = now if self._since is None else self._since

    def _log(self, pause: Pause, waiting: Iterable[Call]) -> None:
        """Log a pause if it is long: as a warning if it is the first long one of a call without a bar."""
        if pause.seconds is None:
            return
        unaware = any(not (call.was_warned or call.progress.is_shown) for call in waiting)
        if pause.seconds >= WARNED_WAIT and unaware:
            for call in waiting:
                call.was_warned = True
            logger.warning("%s: next request in %.0f s (%s)", pause.reason, pause.seconds, HOW_TO_SEE_MORE)
        elif waiting and self._is_longer and pause.seconds >= LOGGED_WAIT:
            logger.info("%s: next request in %.0f s", pause.reason, pause.seconds)

    def end(self, now: float) -> None:
        """Record that a request starts, or that no text is waiting: the next text asks at once."""
        self.ask_again_at = -math.inf
        if self._pause is not None:
            self._before, self._since, self._pause = self.total(now), None, None

    def check(self, call: Call, now: float) -> RateLimitError | None:
        """Report to a call's progress why it waits; return the error to fail it with if `max_wait` is too short."""
        if self._pause is None or self._pause.seconds is None or call.failed:
            return None
        call.progress.wait(self._pause.reason, self._until)
        return self.check_wait(call, max(0.0, self._until - now), self._pause.reason, now)

    def check_wait(self, call: Call, wait: float, reason: str, now: float) -> RateLimitError | None:
        """Return the error to fail a call with if it may not wait for `wait` seconds."""
        left = self._left(call, now)
        if wait <= 0 or left >= wait:
            return None
        max_wait = call.max_wait or 0.0
        return too_long_a_wait("The call", reason, max_wait, waited=max_wait - left, wait=wait)

    def _left(self, call: Call, now: float) -> float:
        """Return the seconds that a call may still spend waiting for the limit."""
        return math.inf if call.max_wait is None else call.max_wait - (self.total(now) - call.blocked_before)


def too_long_a_wait(what: str, reason: str, max_wait: float, *, waited: float, wait: float) -> RateLimitError:
    """Return the error of something that may not wait as long as it would have to.

    Args:
        what: What would have to wait, as the beginning of a sentence.
        reason: Why.
        max_wait: Seconds that it may wait in all.
        waited: Seconds that it has waited.
        wait: Seconds that it would have to wait from now on.
    """
    total = wait_in_words(waited + wait)
    message = f"{what} would have to wait for {total} ({reason}), longer than its max_wait of {max_wait:g} s."
    error = RateLimitError(message, retry_after=wait)
    error.next_step = f"Try again in {wait_in_words(wait)}, or allow a longer max_wait."
    return error
