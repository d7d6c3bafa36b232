"""The serialised form of a window: a version, a checksum, and every field by name. No I/O.

A state is decoded completely or not at all. Otherwise, a renamed field would silently return to its default, and a
cooldown could be lost. Layout: one byte of version, four bytes of checksum (CRC-32, big-endian), then MessagePack.
"""

from __future__ import annotations

import zlib
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, get_type_hints

import msgspec

from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow

VERSION = 1
"""Incremented with every change of the fields, their names or their meaning."""

PAYLOAD = 5
"""Offset of the fields, in bytes."""


TIME = b"updated_at\xcb"
"""The key of the time of the last change, and MessagePack's mark of the eight bytes of a float behind it."""


class UnreadableStateError(ValueError):
    """A state is empty, has another version, is damaged, or has other fields; the message says which."""


def encode(window: SlidingWindow) -> bytes:
    """Serialise a window."""
    payload = msgspec.msgpack.encode(window)
    return bytes([VERSION]) + zlib.crc32(payload).to_bytes(PAYLOAD - 1, "big") + payload


def decode(state: bytes) -> SlidingWindow:
    """Deserialise a window that `encode` has written.

    Raises:
        UnreadableStateError: The state is empty, has another version, is damaged, or has other fields.
    """
    if state[:1] != bytes([VERSION]):
        raise UnreadableStateError(f"version {state[0]}, not {VERSION}" if state else "empty")
    payload = state[PAYLOAD:]
    if zlib.crc32(payload).to_bytes(PAYLOAD - 1, "big") != state[1:PAYLOAD]:
        raise UnreadableStateError("damaged")
    try:
        strict = msgspec.msgpack.decode(payload, type=_with_all_fields_required(SlidingWindow))
    except msgspec.MsgspecError as error:
        raise UnreadableStateError(f"{error}") from error
    return msgspec.convert(strict, SlidingWindow, from_attributes=True)


def differ_only_in_time(one: bytes, other: bytes) -> bool:
    """Return whether two states of a window that `encode` has written are equal but for `updated_at`."""
    return len(one) == len(other) and _without_time(one) == _without_time(other)


def _without_time(state: bytes) -> tuple[bytes, bytes]:
    head, _, tail = state[PAYLOAD:].partition(TIME)
    return head, tail[8:]


@cache
def _with_all_fields_required(kind: Any) -> type[msgspec.Struct]:
    """Return a type that requires all fields of a dataclass, and allows no others."""
    hints = get_type_hints(kind)
    required = [
        (field.name, _with_all_fields_required(hints[field.name]) if is_dataclass(of := hints[field.name]) else of)
        for field in fields(kind)
    ]
    return msgspec.defstruct(kind.__name__, required, forbid_unknown_fields=True)
