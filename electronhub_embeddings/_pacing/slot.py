"""A slot of an account's window for one request of another library: wait for it, use it, complete it.

Invariants:
- A slot that was acquired is completed or released exactly once, whatever interrupts the wait or the request.
- Nothing here sleeps: the caller does, in its thread or in its event loop.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from electronhub_embeddings._config.secret import drop_frames
from electronhub_embeddings._rate_limit.wording import AFTER_STORE_FAILURE
from electronhub_embeddings._scheduling.max_wait import WARNED_WAIT
from electronhub_embeddings._workers.rate_limiter import new_slot
from electronhub_embeddings._workers.slot_wait import seconds_to_sleep
from electronhub_embeddings.errors import ElectronHubError

if TYPE_CHECKING:
    from electronhub_embeddings._codec.result import Result
    from electronhub_embeddings._config.account import Account
    from electronhub_embeddings._pacing.pacer import Pacer
    from electronhub_embeddings._rate_limit.sliding_window import Pause
    from electronhub_embeddings._workers.rate_limiter import RateLimiter

logger = logging.getLogger("electronhub_embeddings")


class Slot:
    """One slot, from the first attempt to acquire it to the end of its request.

    Args:
        pacer: Finds the account's rate limiter.
        account: The account of the request.
        max_duration: Seconds after which the request must have ended.
        is_unanswered: Whether nobody will report the end of the request.
    """

    def __init__(self, pacer: Pacer, account: Account, *, max_duration: float, is_unanswered: bool = False) -> None:
        self._pacer = pacer
        self._account = account
        self._max_duration = max_duration
        self._is_unanswered = is_unanswered
        self._name = new_slot()
        self._since = time.monotonic()
        self._limiter: RateLimiter | None = None
        self._lock = threading.Lock()
        self._released = False
        self._logged = False
        self.is_acquired = False
        """Whether the request may be sent."""

    @property
    def is_shared(self) -> bool:
        """Whether the window's store does I/O, because several processes share it."""
        limiter = self._limiter or self._pacer.limiter(self._account)
        return limiter.keeper.store.poll is not None

    def try_acquire(self) -> float | None:
        """Acquire the slot and return None, or return the seconds to sleep before the next attempt.

        Raises:
            RateLimitError: The wait is longer than `max_wait`.
            ElectronHubError: The store failed.
            ValueError: Another client of the account uses another store.
        """
        pause = self.attempt()
        return None if pause is None else self._sleep(pause)

    def attempt(self) -> Pause | None:
        """Acquire the slot and return None, or return why it cannot be acquired; raises as `try_acquire`."""
        with self._lock:
            if self._released:  # the task that waited was cancelled
                return None
            self._limiter = self._pacer.limiter(self._account)
            try:
                pause = self._acquire(self._limiter)
            except Exception as error:  # noqa: BLE001 - any exception of a third-party store
                raise ElectronHubError(
                    f"The rate limit store failed: {error}", next_step=AFTER_STORE_FAILURE
                ) from drop_frames(error)
            self.is_acquired = pause is None
        return pause

    def _acquire(self, limiter: RateLimiter) -> Pause | None:
        cap = self._pacer.options.requests_per_minute
        if self._is_unanswered:
            return limiter.acquire_unanswered(self._name, max_duration=self._max_duration, cap=cap)
        return limiter.acquire(self._name, max_duration=self._max_duration, cap=cap, interactive=True)[0]

    def _sleep(self, pause: Pause) -> float:
        waited, max_wait = time.monotonic() - self._since, self._pacer.options.max_wait
        seconds = seconds_to_sleep("The request", pause, waited=waited, max_wait=max_wait)
        if (pause.seconds or 0.0) >= WARNED_WAIT and not self._logged:
            self._logged = True
            logger.warning("%s: next request in %.0f s", pause.reason, pause.seconds)
        return seconds

    def complete(self, result: Result) -> None:
        """Record how the request ended; only the first call counts."""
        with self._lock:
            if not self._released and self._limiter is not None:
                self._limiter.complete(self._name, result)
            self._released = True

    def release(self) -> None:
        """Release the slot, whose request was never sent; no later attempt acquires it."""
        with self._lock:
            if not self._released and self._limiter is not None:
                self._limiter.release(self._name)
            self._released = True
