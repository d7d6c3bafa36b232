"""The account: requests with the same base URL and key share one rate limit."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from electronhub_embeddings._config.base_url import is_local

if TYPE_CHECKING:
    from electronhub_embeddings._config.secret import Secret


@dataclass(frozen=True)
class Account:
    """A base URL and a key. Each account has one scheduler and one rate limiter."""

    base_url: str
    api_key: Secret[str]

    @property
    def is_local(self) -> bool:
        """Whether the requests stay on this machine, unencrypted."""
        return is_local(self.base_url)

    @property
    def name(self) -> str:
        """The account's name in rate limit stores: a keyed hash that reveals neither the URL nor the key."""
        key = hashlib.sha256(self.api_key.reveal().encode()).digest()
        return hashlib.blake2b(self.base_url.encode(), key=key, digest_size=16).hexdigest()
