"""The account: requests with the same base URL and key share one rate limit."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from electronhub_embeddings._config.base_url import DEFAULT_BASE_URL, is_local
from electronhub_embeddings.errors import (
    AuthenticationError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
)

if TYPE_CHECKING:
    from electronhub_embeddings._config.secret import Secret
    from electronhub_embeddings.errors import ElectronHubError

KEY_PREFIX = "ek-"
"""The beginning of all keys of the service."""

CODING_PLAN_PREFIX = "ek-dev-"
"""The beginning of keys that cannot do embeddings."""

CODING_PLAN_KEY = "This is a key of the coding plan, which cannot do embeddings. Use another key of the account."


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
    def has_coding_plan_key(self) -> bool:
        """Whether the key is one that cannot do embeddings."""
        return self.api_key.reveal().startswith(CODING_PLAN_PREFIX)

    def advise(self, error: ElectronHubError) -> None:
        """Say in an error what the base URL or the key has to do with it, if anything."""
        if isinstance(error, PermissionDeniedError) and self.has_coding_plan_key:
            error.next_step = CODING_PLAN_KEY
        elif isinstance(error, AuthenticationError) and not self.api_key.reveal().startswith(KEY_PREFIX):
            error.next_step = f"{error.next_step} Keys of Electron Hub begin with {KEY_PREFIX}, and this one does not."
        elif isinstance(error, (NotFoundError, InvalidResponseError)) and not self.base_url.endswith("/v1"):
            error.next_step = f"Check base_url, which does not end with /v1: it should look like {DEFAULT_BASE_URL}."

    @property
    def name(self) -> str:
        """The account's name in rate limit stores: a keyed hash that reveals neither the URL nor the key."""
        key = hashlib.sha256(self.api_key.reveal().encode()).digest()
        return hashlib.blake2b(self.base_url.encode(), key=key, digest_size=16).hexdigest()
