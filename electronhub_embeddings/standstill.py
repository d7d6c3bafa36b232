"""The line's waits for the limit: why and until when it stands, for how long in all, and who cannot wait so long."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from electronhub_embeddings.errors import RateLimitError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from electronhub_embeddings.job import Job
    from electronhub_embeddings.limits import Pause

logger = logging.getLogger("electronhub_embeddings")

RECHECK = 1.0
"""Seconds after which to look again in any case: a limit can be raised, and another line may share the window."""

LONG_WAIT = 5.0
"""Seconds from which on a wait is worth a line in the log."""


class Standstill:
    """Knows whether the line stands still; touched with the line's lock held."""

    def __init__(self) -> None:
        self._pause: Pause | None = None
        self._since: float | None = None
        self._until = 0.0
        self._before = 0.0

    @property
    def lasts(self) -> bool:
        """Whether the line stands still now."""
        return self._pause is not None

    @property
    def total(self) -> float:
        """Seconds that the line has stood still for the limit, all in all; waiting for an answer does not count."""
        return self._before + (time.monotonic() - self._since if self._since is not None else 0.0)

    def begin(self, pause: Pause) -> None:
        """Note that no request may start now, or that this still holds."""
        now = time.monotonic()
        if pause.seconds is None:
            self.end()
            self._pause, self._until = pause, now
            return
        news = self._pause is None or now + pause.seconds > self._until + LONG_WAIT
        self._pause, self._until = pause, now + pause.seconds
        self._since = self._since or now
        if news and pause.seconds >= LONG_WAIT:
            logger.info("%s: next request in %.0f s", pause.reason, pause.seconds)

    def end(self) -> None:
        """Note that a request starts."""
        self._before, self._since, self._pause = self.total, None, None

    def explain(self, job: Job) -> RateLimitError | None:
        """Tell a call why it waits; return the error that it must fail with, if its `max_wait` is too short for it."""
        if self._pause is None or self._pause.seconds is None or job.failed:
            return None
        job.progress.standstill(self._pause.reason, self._until)
        left = max(0.0, self._until - time.monotonic())
        return self.too_long(job, left, self._pause.reason)

    def too_long(self, job: Job, wait: float, reason: str) -> RateLimitError | None:
        """Return the error that a call must fail with, if it has not the patience for a wait of so many seconds."""
        if job.max_wait is None or wait <= 0 or 0 < self._patience(job) >= wait:
            return None
        message = f"The call has to wait for {wait:.1f} s ({reason}), and max_wait is {job.max_wait:g} s."
        return RateLimitError(message, status_code=429, retry_after=wait)

    def next_look(self, jobs: Iterable[Job], poll: float | None) -> float:
        """Seconds until the limit allows a request, a call runs out of patience, or it is time to look again."""
        if self._pause is None or self._pause.seconds is None:
            return poll or RECHECK
        looks = [self._patience(job) for job in jobs if job.max_wait is not None and not job.failed]
        return max(0.0, min([RECHECK, self._until - time.monotonic(), *looks]))

    def _patience(self, job: Job) -> float:
        return float("inf") if job.max_wait is None else job.max_wait - (self.total - job.joined_at)
