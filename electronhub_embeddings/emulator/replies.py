"""An answer before it travels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Reply:
    """Status, body and headers of one HTTP response."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def json_reply(status: int, payload: Any, headers: Mapping[str, str] | None = None) -> Reply:
    """Return `payload` as JSON; bytes are taken for JSON already."""
    body = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
    return Reply(status, body, headers=headers or {})
