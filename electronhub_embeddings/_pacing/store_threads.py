"""Threads for the I/O of rate limit stores, so that an event loop never waits for a file or a server.

The loop's own executor is not used: its threads can all be waiting for a slot that is only released here.
"""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

MAX_THREADS = 4

_executors: dict[int, ThreadPoolExecutor] = {}
"""By process id, because threads do not survive a fork."""


def start(function: Callable[[], T]) -> asyncio.Future[T]:
    """Call a function in a thread; it runs to its end even if the caller is cancelled."""
    executor = _executors.get(os.getpid())
    if executor is None:
        executor = _executors.setdefault(os.getpid(), ThreadPoolExecutor(MAX_THREADS, "electronhub-store"))
    return asyncio.shield(asyncio.wrap_future(executor.submit(function)))


async def call(function: Callable[[], T], *, has_io: bool) -> T:
    """Call a function, in a thread if it does I/O."""
    return await start(function) if has_io else function()


def call_soon(function: Callable[[], None], *, has_io: bool) -> None:
    """Call a function that never raises, without waiting for its end if it does I/O."""
    if not has_io:
        function()
        return
    try:
        start(function)
    except RuntimeError:  # there is no event loop any more, or the interpreter is shutting down
        function()
