"""What a store keeps of a window: a version, a checksum, and every field by its name. No I/O.

A state that cannot be read is never read in part: a field that was renamed would silently be back at its default, a
cooldown be forgotten. The layout: one byte of version, four of checksum (CRC-32, big-endian), then MessagePack.
"""

from __future__ import annotations

import zlib
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, get_type_hints

import msgspec

from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow

VERSION = 1
"""Raised with every change of the fields, their names or their meaning."""

PAYLOAD = 5
"""Bytes before the fields."""


class UnreadableStateError(ValueError):
    """A state is of another version, damaged, or has other fields: why is the message."""


def encode(window: SlidingWindow) -> bytes:
    """Write a window as bytes."""
    payload = msgspec.msgpack.encode(window)
    return bytes([VERSION]) + zlib.crc32(payload).to_bytes(PAYLOAD - 1, "big") + payload


def decode(state: bytes) -> SlidingWindow:
    """Read a window that `encode` has written.

    Raises:
        UnreadableStateError: The state is of another version, damaged, or has other fields.
    """
    if state[:1] != bytes([VERSION]):
        raise UnreadableStateError(f"version {state[0]}, not {VERSION}" if state else "nothing")
    payload = state[PAYLOAD:]
    if zlib.crc32(payload).to_bytes(PAYLOAD - 1, "big") != state[1:PAYLOAD]:
        raise UnreadableStateError("damaged")
    try:
        strict = msgspec.msgpack.decode(payload, type=_with_all_fields_required(SlidingWindow))
    except msgspec.MsgspecError as error:
        raise UnreadableStateError(f"{error}") from error
    return msgspec.convert(strict, SlidingWindow, from_attributes=True)


@cache
def _with_all_fields_required(kind: Any) -> type[msgspec.Struct]:
    """Make a type that reads the fields of a dataclass: all of them, and no others."""
    hints = get_type_hints(kind)
    required = [
        (field.name, _with_all_fields_required(hints[field.name]) if is_dataclass(of := hints[field.name]) else of)
        for field in fields(kind)
    ]
    return msgspec.defstruct(kind.__name__, required, forbid_unknown_fields=True)
