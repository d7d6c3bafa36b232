"""Finds out whose request it is: a request below the base URL that carries a key takes a slot of that account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from electronhub_embeddings._config.account import Account
from electronhub_embeddings._config.import_lock import importing
from electronhub_embeddings._config.secret import Secret, reveal, without_frames

if TYPE_CHECKING:
    from electronhub_embeddings._config.pacing_options import PacingOptions
    from electronhub_embeddings._workers.rate_limiter import RateLimiter

BEARER = "bearer "


class Pacer:
    """Finds the rate limiters of accounts. While it lives, the registry treats it as a client of these accounts.

    Args:
        options: The checked options.
    """

    def __init__(self, options: PacingOptions) -> None:
        self.options = options

    def account_of(self, request: Any, base_url: Any) -> Account | None:
        """Return the account of a request; None: the request does not count against its limit.

        Args:
            request: A request of httpx or httpx2.
            base_url: The base URL as a URL of the same family, which normalises ports and international names.
        """
        if not _is_below(request.url, base_url):
            return None
        key = _key_in(Secret(request.headers.get("authorization", "")))
        return Account(self.options.base_url, key) if key.reveal() else None

    @without_frames
    def limiter(self, account: Account) -> RateLimiter:
        """Return the rate limiter of an account, which may change: another client may have brought a store.

        Raises:
            ValueError: Another client of the account uses another store.
        """
        with importing:
            from electronhub_embeddings._workers.account_registry import limiter_of  # noqa: PLC0415 - at the first use

        return limiter_of(account, reveal(self.options.rate_limit_store), user=self)

    def close(self) -> None:
        """Leave all accounts; a store that nobody uses any more is closed."""
        with importing:
            from electronhub_embeddings._workers.account_registry import leave  # noqa: PLC0415 - as above

        leave(self)


def _is_below(url: Any, base_url: Any) -> bool:
    if (url.scheme, url.raw_host, url.port) != (base_url.scheme, base_url.raw_host, base_url.port):
        return False
    return bool(f"{url.path}/".startswith(f"{base_url.path.rstrip('/')}/"))


def _key_in(header: Secret[str]) -> Secret[str]:
    """Return the key in an Authorization header, or an empty one."""
    is_bearer = header.reveal()[: len(BEARER)].lower() == BEARER
    return Secret(header.reveal()[len(BEARER) :].strip() if is_bearer else "")
