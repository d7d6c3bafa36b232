"""Checks `default_headers`: they must be valid and must not override headers that this package sets. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeGuard

from electronhub_embeddings._config.checks import kind

HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+", re.IGNORECASE)

FRAMING = {"host", "connection", "content-length", "content-type", "transfer-encoding", "accept-encoding"}
"""Headers that control the framing and encoding of requests and responses; only this package sets them."""


def check_headers(name: str, value: Any) -> tuple[tuple[str, str], ...] | None:
    """Return headers as a hashable value; Authorization is rejected, because the key has its own option."""
    if value is None:
        return None
    if not _is_mapping(value):
        raise ValueError(f'{name} must be a mapping, as {{"X-Name": "value"}}, not {kind(value)}.')
    frozen: dict[str, str] = {}
    for header, text in value.items():
        lower = _check_header(name, header, text)
        if lower in frozen:
            raise ValueError(f"{name} has {header} twice, in upper and lower case.")
        frozen[lower] = text
    return tuple(sorted(frozen.items()))


def _is_mapping(value: object) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(value, Mapping)


def _check_header(name: str, header: Any, text: Any) -> str:
    """Return a header's name in lower case."""
    if not isinstance(header, str) or not isinstance(text, str):
        raise ValueError(f"{name}: names and values must be str, not {kind(header)} and {kind(text)}.")  # noqa: TRY004
    if not HEADER_NAME.fullmatch(header):  # not quoted: a whole "name: value" line may have been passed as the name
        raise ValueError(f"{name} has a name that is not one of a header: letters, digits and hyphens, without colon.")
    lower = header.lower()
    if lower == "authorization":
        raise ValueError(f"{name} must not set Authorization: pass api_key.")
    if lower in FRAMING:
        raise ValueError(f"{name} must not set {header}: it says how the request is packed.")
    if not text.isascii() or not text.isprintable() or text != text.strip():
        raise ValueError(f"{name}[{header!r}] has white space at an end, or characters that cannot stand in a header.")
    return lower
