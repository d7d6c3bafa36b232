"""The type of a decoded JSON value."""

from __future__ import annotations

from typing import TypeAlias, Union

JSON: TypeAlias = Union["dict[str, JSON]", "list[JSON]", str, int, float, bool, None]
