"""Asks the service for the price of a model.

No document says whether such a request counts against the limit of the key, which it does not carry: it takes a slot,
and teaches the limiter nothing.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from electronhub_embeddings._codec.result import Result
from electronhub_embeddings._config.secret import drop_frames
from electronhub_embeddings._rate_limit.wording import AFTER_STORE_FAILURE
from electronhub_embeddings._workers.rate_limiter import new_slot
from electronhub_embeddings._workers.slot_wait import seconds_to_sleep
from electronhub_embeddings.errors import ElectronHubError

if TYPE_CHECKING:
    from collections.abc import Callable

    from electronhub_embeddings._workers.rate_limiter import RateLimiter


def ask_price(
    ask: Callable[[], float | None],
    limiter: RateLimiter,
    *,
    max_duration: float,
    cap: int | None,
    max_wait: float | None,
    is_given_up: Callable[[], bool] = lambda: False,
) -> float | None:
    """Wait for a slot, and ask; the calling thread does both.

    Args:
        ask: Sends the request.
        limiter: The account's rate limiter.
        max_duration: Seconds after which the request must have ended.
        cap: The client's own limit, in requests per minute.
        max_wait: Seconds to wait for the limit at most; None: as long as it takes.
        is_given_up: Tells whether nobody waits for the price any more.

    Raises:
        RateLimitError: The wait is longer than `max_wait`.
        ElectronHubError: The store failed, or any error of `ask`.
    """
    slot = new_slot()
    result = Result(error=ElectronHubError("The request was interrupted."))
    try:
        _wait(slot, limiter, max_duration=max_duration, cap=cap, max_wait=max_wait, is_given_up=is_given_up)
    except BaseException:
        limiter.release(slot)
        raise
    try:
        price = ask()
        result = Result()
    except ElectronHubError as error:
        result = Result(error=error)
        raise
    finally:
        limiter.complete(slot, result)
    return price


def _wait(
    slot: str,
    limiter: RateLimiter,
    *,
    max_duration: float,
    cap: int | None,
    max_wait: float | None,
    is_given_up: Callable[[], bool],
) -> None:
    since = time.monotonic()
    while not is_given_up():
        try:
            pause, _ = limiter.acquire(slot, max_duration=max_duration, cap=cap, interactive=False)
        except Exception as error:  # noqa: BLE001 - any exception of a third-party store
            raise ElectronHubError(
                f"The rate limit store failed: {error}", next_step=AFTER_STORE_FAILURE
            ) from drop_frames(error)
        if pause is None:
            return
        time.sleep(seconds_to_sleep("The price", pause, waited=time.monotonic() - since, max_wait=max_wait))
    raise ElectronHubError("The client was closed, or nobody waits for the price any more.")
