"""What differs between httpx and httpx2: their classes and exceptions, which have the same names in both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from electronhub_embeddings._config.http_client import module_of

if TYPE_CHECKING:
    from types import ModuleType

NOT_SENT = ("ConnectError", "ConnectTimeout", "LocalProtocolError", "PoolTimeout", "ProxyError", "UnsupportedProtocol")
"""Errors raised before the first byte of the request was sent: the service cannot have counted the request."""

OWN_REQUEST = "electronhub_embeddings"
"""Marks the requests of this package among a request's extensions: they have a slot of the window already."""


class HTTPFamily:
    """The parts of httpx or httpx2 that this package uses.

    Args:
        module: The imported library.
    """

    def __init__(self, module: ModuleType) -> None:
        self.module: Any = module
        """The library."""
        self.timeout: type[Exception] = self.module.TimeoutException
        """The base class of all time-outs."""
        self.transport_error: type[Exception] = self.module.TransportError
        """The base class of all errors of the connection, time-outs included."""
        self.status_error: type[Exception] = self.module.HTTPStatusError
        """Raised by `raise_for_status()`."""
        self.not_sent: tuple[type[Exception], ...] = tuple(getattr(self.module, name) for name in NOT_SENT)
        """The errors named in `NOT_SENT`."""


def family_of(client: object, default: ModuleType) -> HTTPFamily:
    """Return the family of a user's client, or of `default` if there is no client."""
    return HTTPFamily(module_of(client) or default)
