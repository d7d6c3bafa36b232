"""Waits for a slot, in a thread or in an event loop."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from electronhub_embeddings._pacing import store_threads

if TYPE_CHECKING:
    from electronhub_embeddings._pacing.slot import Slot


def acquire(slot: Slot) -> None:
    """Wait in the current thread until the slot is acquired; an exception raised by a signal handler ends the wait.

    Raises:
        RateLimitError: The wait is longer than `max_wait`.
        ElectronHubError: The store failed.
        ValueError: Another client of the account uses another store.
    """
    try:
        while (seconds := slot.try_acquire()) is not None:
            time.sleep(seconds)
    except BaseException:
        slot.release()
        raise


async def aacquire(slot: Slot) -> None:
    """Wait in the event loop; raises as `acquire`. A cancelled wait acquires nothing."""
    has_io = slot.is_shared
    try:
        while (seconds := await store_threads.call(slot.try_acquire, has_io=has_io)) is not None:  # noqa: ASYNC110
            await asyncio.sleep(seconds)
    except BaseException:
        store_threads.call_soon(slot.release, has_io=has_io)
        raise
