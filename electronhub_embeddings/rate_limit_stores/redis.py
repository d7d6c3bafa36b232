"""Keeps the window in Redis, for the processes of many machines."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

from electronhub_embeddings._config.secret import Secret, without_frames
from electronhub_embeddings._rate_limit.foreign_share import FOREIGN_SHARE_TTL
from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow
from electronhub_embeddings._rate_limit.window_state import encode
from electronhub_embeddings.rate_limit_stores.window_reader import WindowReader

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

TIMEOUT = 5.0
"""Seconds for connecting, and for each reply."""

KEY_TTL = 10 * FOREIGN_SHARE_TTL
"""Seconds after the last change at which Redis deletes a window, long after all of its entries have expired."""

MAX_CLOCK_CORRECTION = 0.5
"""Largest correction of the estimated server clock, in seconds. A larger difference means that the clock has jumped,
and is ignored by every process that shares the window."""

COMPARE_AND_SWAP = """
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
"""Compare and swap, atomic and in one round trip, so that the rules of the window stay in Python for every store.
If another process has changed the window first, the script returns the new state, to which the change is reapplied."""


class RedisStore:
    """Keeps the window in a Redis server.

    The clock is the server's, extrapolated from its replies with this machine's monotonic clock. The estimate is late
    by at most the network delay of a reply and never early, so that no slot is considered free too soon.

    Args:
        url: A URL that redis-py accepts: redis://, rediss:// or unix://.
        account: The account of the window, as in `Account.name`: a keyed hash.
        window: The initial state, if the server has none.
    """

    poll: float | None = 0.1

    @without_frames
    def __init__(self, url: str, account: str, window: SlidingWindow | None = None) -> None:
        try:
            import redis  # noqa: PLC0415 - an optional dependency
        except ImportError as error:
            raise ImportError(
                'rate_limit_store="redis://…" needs: pip install "electronhub-embeddings[redis]"'
            ) from error
        self._url = Secret(url)
        self._account = account
        self._initial = window or SlidingWindow()
        self._reader = WindowReader(self._initial)
        self._lost_state: bytes | None = None
        self._lock = threading.Lock()
        try:
            library: Any = redis  # its options have no types
            self._redis = library.Redis.from_url(url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT)
        except ValueError:  # the original message may quote a part of the password
            raise ValueError("rate_limit_store is not an address that redis-py can read.") from None
        self._swap: Any = self._redis.register_script(COMPARE_AND_SWAP)
        self._state = b""
        self._offset: float | None = None

    def update(self, change: Callable[[SlidingWindow, float], T]) -> T:
        """Apply `change(window, now)` atomically and return its result; retried if another process was faster.

        Raises:
            redis.RedisError: The server cannot be reached.
        """
        with self._lock:
            if self._offset is None:
                self._exchange(b"-", b"-")
            while True:
                before = self._state
                now = time.monotonic() + (self._offset or 0.0)
                window = self._reader.read(before or self._lost_state, now)
                result = change(window, now)
                if self._exchange(before, encode(window)):
                    return result
                if before and not self._state:  # the server was restarted without its data; we still know the state
                    self._lost_state = before

    @without_frames  # the frames of redis-py hold the password
    def _exchange(self, before: bytes, after: bytes) -> bool:
        """Swap the state if it is still `before`; update the known state and the clock in any case."""
        swapped, self._state, (seconds, micros) = self._swap(
            keys=[f"electronhub:window:{self._account}"], args=[before, after, int(1000 * KEY_TTL)]
        )
        offset = int(seconds) + int(micros) / 1e6 - time.monotonic()
        if self._offset is None or self._offset < offset < self._offset + MAX_CLOCK_CORRECTION:
            self._offset = offset
        return bool(swapped)

    def after_fork(self) -> RedisStore:
        """Return a store with its own connections."""
        return RedisStore(self._url.reveal(), self._account, self._initial)

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()
