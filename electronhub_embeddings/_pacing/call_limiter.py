"""The rate limiter behind the frameworks' own limiters, which are asked before a call and see nothing of its answer.

A slot is therefore held from the earliest moment at which the service can count the call to the latest: for as long as
the call can last, and one period more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from electronhub_embeddings._config.account import Account
from electronhub_embeddings._config.pacing_options import check_option, pacing_options
from electronhub_embeddings._config.secret import without_frames
from electronhub_embeddings._pacing import store_threads
from electronhub_embeddings._pacing.pacer import Pacer
from electronhub_embeddings._pacing.slot import Slot
from electronhub_embeddings._pacing.waiting import aacquire, acquire

if TYPE_CHECKING:
    import os

    from electronhub_embeddings._rate_limit.store import RateLimitStore


class CallLimiter:
    """Takes a slot of the account's window for each call.

    Args:
        api_key: The key of your account. None: the environment variable ELECTRONHUB_API_KEY.
        base_url: Where the service is. None: ELECTRONHUB_BASE_URL, else https://api.electronhub.ai/v1.
        rate_limit_store: Where the rate limiter keeps its window, as in `EmbeddingsClient`.
        requests_per_minute: The most requests to send in a minute. None: what the headers say that other clients of
            the account have seen; as long as they have seen none, one call is made at a time.
        timeout: Seconds that one call can last.
        allow_http: Let `base_url` begin with http:// for other hosts than this one.

    Raises:
        ValueError: An argument is out of range, or there is no key.
    """

    @without_frames
    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        rate_limit_store: RateLimitStore | str | os.PathLike[str] | None = None,
        requests_per_minute: int | None = None,
        timeout: float = 60.0,
        allow_http: bool = False,
    ) -> None:
        options = pacing_options(
            base_url=base_url,
            rate_limit_store=rate_limit_store,
            requests_per_minute=requests_per_minute,
            allow_http=allow_http,
        )
        self._pacer = Pacer(options)
        self._account = Account(options.base_url, check_option("api_key", api_key))
        self._timeout: float = check_option("timeout", timeout)

    def acquire(self, *, blocking: bool = True) -> bool:
        """Take a slot; wait for it if `blocking`, else return whether one was free.

        Raises:
            ElectronHubError: The store failed.
            ValueError: Another client of the account uses another store.
        """
        slot = self._slot()
        if not blocking:
            return slot.attempt() is None
        acquire(slot)
        return True

    async def aacquire(self, *, blocking: bool = True) -> bool:
        """Take a slot without blocking the event loop; otherwise the same as `acquire`."""
        slot = self._slot()
        if not blocking:
            return await store_threads.call(slot.attempt, has_io=slot.is_shared) is None
        await aacquire(slot)
        return True

    def _slot(self) -> Slot:
        return Slot(self._pacer, self._account, max_duration=self._timeout, is_unanswered=True)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self._account.base_url!r})"
