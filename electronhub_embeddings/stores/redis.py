"""The window in Redis: for the processes of many machines."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from electronhub_embeddings.limits import GRUDGE, Window

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

TIMEOUT = 5.0
"""Seconds for connecting and for an answer."""

FORGET = 10 * GRUDGE
"""Seconds after the last change at which Redis may forget a window: long after all in it is over."""

LONGEST_LAG = 0.5
"""Seconds by which the estimate of the server's clock may still be improved; a larger difference is a clock that
jumped, and is not followed: all who share the window keep the time they began with."""

SWAP = """
local state = redis.call('GET', KEYS[1]) or ''
local swapped = 0
if state == ARGV[1] then
    swapped = 1
    if ARGV[2] ~= state then
        state = ARGV[2]
        redis.call('SET', KEYS[1], state, 'PX', ARGV[3])
    end
end
return {swapped, state, redis.call('TIME')}
"""
"""Compare and swap, atomic in one round trip: the window's rules stay in one place, in Python, for every store.
A change that somebody else was quicker with comes back with the state it must be applied to, for another try."""


class RedisStore:
    """Keeps the window in a Redis server.

    The clock is the server's, carried on from its answers by the monotonic clock of this machine: late by one way of
    the network at most, so that no slot is taken for free before it is.

    Args:
        url: As redis-py takes it: redis://, rediss:// or unix://.
        account: Whose window it is, as `Account.name` gives it: no key.
        window: The state to begin with, where the server has none.
    """

    poll: float | None = 0.1

    def __init__(self, url: str, account: str, window: Window | None = None) -> None:
        try:
            import redis  # noqa: PLC0415 - an extra that only those need who share a limit this way
        except ImportError as error:
            raise ImportError(
                'rate_limit_store="redis://…" needs: pip install "electronhub-embeddings[redis]"'
            ) from error
        self._url = url
        self._account = account
        self._fresh = msgspec.msgpack.encode(window or Window())
        self._lock = threading.Lock()
        self._redis: Any = redis.Redis.from_url(url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT)
        self._swap: Any = self._redis.register_script(SWAP)
        self._state = b""
        self._offset: float | None = None

    def update(self, change: Callable[[Window, float], T]) -> T:
        """Apply `change(window, now)` atomically and return what it returns; it is called again if others were quicker.

        Raises:
            redis.RedisError: The server cannot be reached.
        """
        with self._lock:
            if self._offset is None:
                self._exchange(b"-", b"-")
            while True:
                before = self._state
                window = msgspec.msgpack.decode(before or self._fresh, type=Window)
                now = time.monotonic() + (self._offset or 0.0)
                result = change(window, now)
                if self._exchange(before, msgspec.msgpack.encode(window)):
                    return result
                if before and not self._state:  # the server was started anew and has forgotten; we have not
                    self._fresh = before

    def _exchange(self, before: bytes, after: bytes) -> bool:
        """Swap the state if it is still `before`; learn the state and the time in any case."""
        swapped, self._state, (seconds, micros) = self._swap(
            keys=[f"electronhub:window:{self._account}"], args=[before, after, int(1000 * FORGET)]
        )
        offset = int(seconds) + int(micros) / 1e6 - time.monotonic()
        if self._offset is None or self._offset < offset < self._offset + LONGEST_LAG:
            self._offset = offset
        return bool(swapped)

    def after_fork(self) -> RedisStore:
        """Return a store with connections of its own."""
        return RedisStore(self._url, self._account, msgspec.msgpack.decode(self._fresh, type=Window))

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()
