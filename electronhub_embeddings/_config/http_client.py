"""Checks the option `http_client`: a client of httpx or of httpx2, neither of which is imported here."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType

FAMILIES = ("httpx", "httpx2")
"""The libraries whose clients can be used. httpx2 is the maintained successor of httpx, with the same interface."""


def module_of(client: object) -> ModuleType | None:
    """Return the library of a sync client; None: the object is something else. A user's client has imported it."""
    for name in FAMILIES:
        module = sys.modules.get(name)
        if module is not None and isinstance(client, getattr(module, "Client", ())):
            return module
    return None


def check_http_client(name: str, value: Any) -> Any:
    """Check that a value is an open client of one of the families.

    Raises:
        ValueError: The value is something else; the message says what to pass.
    """
    if value is None:
        return None
    if module_of(value) is None:
        what = f"the class {value.__qualname__}" if isinstance(value, type) else _full_kind(value)
        raise ValueError(
            f"{name} must be an httpx.Client(…) or an httpx2.Client(…), which serves async calls as well, not {what}."
        )
    if value.is_closed is True:
        raise ValueError(f"{name} is closed: pass one that stays open as long as this client is used.")
    return value


def _full_kind(value: Any) -> str:
    return f"an instance of {type(value).__module__.partition('.')[0]}.{type(value).__name__}"
