"""Encodes the body of an embeddings request. No I/O.

Invariants:
- `input` is a list of strings, byte for byte the caller's texts; never tokens.
- Optional fields that the caller has not set are not sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence


def write_request(
    texts: Sequence[str],
    *,
    model: str,
    encoding_format: str | None,
    dimensions: int | None = None,
    user: str | None = None,
) -> bytes:
    """Return the body of `POST /embeddings`; fields that are None are omitted."""
    fields = {
        "model": model,
        "input": texts,
        "encoding_format": encoding_format,
        "dimensions": dimensions,
        "user": user,
    }
    return msgspec.json.encode({name: value for name, value in fields.items() if value is not None})
