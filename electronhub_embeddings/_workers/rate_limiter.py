"""The rate limiter of the workers: they acquire a slot before each request and complete the slot afterwards."""

from __future__ import annotations

import logging
import os
import time
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakSet

from electronhub_embeddings._rate_limit.limit_status import read_status
from electronhub_embeddings._rate_limit.outlook import look_ahead
from electronhub_embeddings._rate_limit.rate_limit_headers import RateLimitHeaders
from electronhub_embeddings.errors import RateLimitError

if TYPE_CHECKING:
    from collections.abc import Callable

    from electronhub_embeddings._codec.result import Result
    from electronhub_embeddings._rate_limit.limit_status import LimitStatus
    from electronhub_embeddings._rate_limit.outlook import Outlook
    from electronhub_embeddings._rate_limit.sliding_window import Pause, SlidingWindow
    from electronhub_embeddings._workers.window_keeper import WindowKeeper

logger = logging.getLogger("electronhub_embeddings")

LINGER_SHARE = 0.02
"""How long a batch that is not full lingers for more texts after the previous batch, as a share of the time per slot.

The time per slot is the period divided by the limit: 12 s at 5 requests a minute. With lingering, 500 simultaneous
queries become two requests: the first query is sent at once, the others together."""

SLOT_BYTES = 8
"""Random bytes in the name of a slot. A window is written with each request, and can hold a thousand names."""


def new_slot() -> str:
    """Return a name for a slot that no other process uses."""
    return os.urandom(SLOT_BYTES).hex()


class RateLimiter:
    """Applies the account's rate limit.

    Args:
        keeper: Keeps the account's window.
        users: Those who pace the requests of other libraries with this limiter.
    """

    def __init__(self, keeper: WindowKeeper, *, users: WeakSet[object] | None = None) -> None:
        self.keeper = keeper
        self.users: WeakSet[object] = WeakSet() if users is None else users
        """Those who pace the requests of other libraries with this limiter; each counts as a client of the account."""

    def acquire(
        self, slot: str, *, max_duration: float, cap: int | None, interactive: bool, documents: int = 0
    ) -> tuple[Pause | None, float | None]:
        """Acquire a slot; exceptions of the store are raised to the caller.

        Returns:
            The reason why no slot is available, or None if one was acquired; and the seconds for which the next batch
            may linger for more texts, or None if no limit applies.
        """

        def acquire(window: SlidingWindow, now: float) -> tuple[Pause | None, float | None]:
            pause = window.acquire(
                now, slot, max_duration=max_duration, cap=cap, interactive=interactive, documents=documents
            )
            limit = window.effective_limit(cap)
            linger = LINGER_SHARE * window.period / limit if limit else 0.0
            return pause, linger if limit or window.probing else None

        return self.keeper.update(acquire, cap=cap)

    def acquire_unanswered(self, slot: str, *, max_duration: float, cap: int | None) -> Pause | None:
        """Acquire a slot for an interactive call whose end nobody reports; return why none is available, or None.

        Where a limit is known, the slot is held at once for the longest possible time. Otherwise it stays in flight, so
        that no other request starts until this one must have ended, or an answer to another one shows more.
        """

        def acquire(window: SlidingWindow, now: float) -> Pause | None:
            pause = window.acquire(now, slot, max_duration=max_duration, cap=cap, interactive=True)
            if pause is None and window.effective_limit(cap) is not None:
                window.complete(now, slot, RateLimitHeaders(), counted=now + max_duration, good=False)
            return pause

        return self.keeper.update(acquire, cap=cap)

    def complete(self, slot: str, result: Result) -> None:
        """Record the result of the request that used a slot."""

        def complete(window: SlidingWindow, now: float) -> None:
            if not result.sent:
                window.release(slot)
                return
            counted = None if result.status is None else now - (time.monotonic() - result.headers_at)
            window.complete(now, slot, result.headers, counted=counted, good=result.shows_capacity)
            if isinstance(result.error, RateLimitError):
                window.start_cooldown(now, result.error.retry_after or 0.0)

        self._update_safely(complete)

    def release(self, slot: str) -> None:
        """Release a slot that no request has used."""
        self._update_safely(lambda window, _: window.release(slot))

    def minimum_waits(self, requests: list[int], *, cap: int | None) -> list[float] | None:
        """Return, for each number of requests, the minimum seconds until the last can start; None: not known yet."""

        def minimum_waits(window: SlidingWindow, now: float) -> list[float] | None:
            return None if window.probing else [window.delay(now, cap=cap, calls=number) for number in requests]

        return self.keeper.update(minimum_waits, cap=cap)

    def look_ahead(self, cap: int | None) -> Outlook:
        """Return what the window allows from now on; exceptions of the store are raised to the caller."""
        return self.keeper.update(partial(look_ahead, cap=cap), cap=cap)

    def status(self, *, cap: int | None) -> LimitStatus:
        """Return what is known of the limit, and what is left of it; exceptions of the store are raised."""
        return self.keeper.update(partial(read_status, cap=cap), cap=cap)

    def _update_safely(self, change: Callable[[SlidingWindow, float], None]) -> None:
        """Update the window for an acquired slot; if the store fails, log the error and let the slot expire."""
        try:
            self.keeper.update(change)
        except Exception as error:  # noqa: BLE001 - any exception of a third-party store; its frames can hold a password
            logger.error("the rate limit store failed: %s", error)  # noqa: TRY400
