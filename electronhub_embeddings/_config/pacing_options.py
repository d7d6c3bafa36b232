"""The options of whatever paces other libraries: some of the client's, with the client's checks."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from electronhub_embeddings._config.base_url import check_scheme
from electronhub_embeddings._config.options import DECLARED

if TYPE_CHECKING:
    import os

    from electronhub_embeddings._config.secret import Secret
    from electronhub_embeddings._rate_limit.store import RateLimitStore


@dataclass(frozen=True, kw_only=True, eq=False)
class PacingOptions:
    """The checked options of the same names; see `Options`.

    Raises:
        ValueError: An option cannot be used.
        ImportError: An option needs an extra that is not installed.
    """

    base_url: str
    rate_limit_store: Secret[RateLimitStore | str] | None
    requests_per_minute: int | None
    max_wait: float | None
    allow_http: bool

    def __post_init__(self) -> None:
        for it in fields(self):
            object.__setattr__(self, it.name, check_option(it.name, getattr(self, it.name)))
        check_scheme(self.base_url, allow_http=self.allow_http)


def pacing_options(
    *,
    base_url: str | None,
    rate_limit_store: RateLimitStore | str | os.PathLike[str] | None,
    requests_per_minute: int | None,
    max_wait: float | None = None,
    allow_http: bool,
) -> PacingOptions:
    """Check and resolve options; raises the errors of `PacingOptions`."""
    given: dict[str, Any] = {**locals()}
    return PacingOptions(**given)


def check_option(name: str, value: Any) -> Any:
    """Return the value to keep of one of the client's options."""
    return DECLARED[name].metadata["check"](name, value)
