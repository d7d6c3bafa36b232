"""Checks of one argument each: take its name and value, and return the value to keep or raise a ValueError.

Errors are raised here, with a message that says what to write, and not by httpx, redis-py, msgspec or SQLite at the
first call. Messages never quote a value that may be confidential or long; for a wrong type, they name only the type.
"""

from __future__ import annotations

import inspect
import math
import os
from numbers import Integral, Real
from typing import Any

from electronhub_embeddings._config.secret import Secret

MAX_BATCH_SIZE = 2048
"""Inputs in one request: the limit of the OpenAI models behind the service."""

MAX_TIMEOUT = 86_400.0
"""Seconds; a longer time-out than a day is a mistake."""

MAX_COUNT = 1_000_000
"""Upper bound of counts that have no other bound; a larger number is a mistake, and JSON cannot hold 2**64."""

MAX_SHOWN = 10**12
"""Largest number that an error message quotes."""

MAX_SHOWN_DIGITS = 6
"""Longest number in a str that an error message quotes; a longer one can be confidential."""

QUOTATION_MARKS = "\"'`"
"""What no key begins with, but a line that was copied from a file of settings."""


def check_api_key(name: str, value: Any) -> Secret[str]:
    """Return the key, or else ELECTRONHUB_API_KEY; no other environment variable is read."""
    if value is not None and not isinstance(value, str):
        how = {"bytes": ": key.decode() makes one", "SecretStr": ": its get_secret_value() is one"}.get(kind(value), "")
        raise ValueError(f"{name} must be a str, not {kind(value)}{how}.")
    name = name if value else "ELECTRONHUB_API_KEY"
    key = value or os.environ.get("ELECTRONHUB_API_KEY")
    if not key:
        raise ValueError("No API key: pass api_key or set ELECTRONHUB_API_KEY.")
    if key != key.strip():
        raise ValueError(f"{name} begins or ends with white space, perhaps a line break: remove it, as with strip().")
    if key.lower().startswith("bearer ") or key[0] in QUOTATION_MARKS:
        raise ValueError(f"{name} must be the key alone, without 'Bearer' or quotation marks.")
    if not key.isascii() or not key.isprintable():
        raise ValueError(f"{name} has characters that cannot stand in a header: copy the key once more.")
    return Secret(key)


def check_id(name: str, value: Any) -> str:
    """Check that a value is a non-empty str that can be encoded."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} must be a str that is not empty, not {describe(value)}.")
    return check_text(name, value)


def check_text(name: str, value: Any) -> str:
    """Check that a value is a str that can be encoded."""
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a str, not {kind(value)}.")  # noqa: TRY004 - one exception type for all arguments
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{name} has half of a surrogate pair at position {error.start}, which cannot be encoded as UTF-8."
        ) from None
    return value


def check_encoding_format(name: str, value: Any) -> str:
    """Check that a value is one of the two encodings of the service."""
    return _check_choice(name, value, {"base64", "float"}, "'base64' or 'float'")


def check_count(name: str, value: Any, least: int = 1, most: int = MAX_COUNT) -> int:
    """Check that a value is an integer within bounds, of Python or of NumPy; return it as an int."""
    if not _is_number(value, Integral) or not least <= value <= most:
        raise ValueError(f"{name} must be an int from {least} to {most:,}, not {describe(value)}.")
    return int(value)


def check_timeout(name: str, value: Any) -> float:
    """Check the seconds of one attempt."""
    if not _is_number(value) or not 0 < value <= MAX_TIMEOUT:
        raise ValueError(
            f"{name} must be a number of seconds above 0, at most {MAX_TIMEOUT:,.0f}, not {describe(value)}."
        )
    return float(value)


def check_max_wait(name: str, value: Any) -> float | None:
    """Check the seconds that a call may wait; None and infinity mean no bound."""
    if value is not None and not (_is_number(value) and value >= 0):
        raise ValueError(f"{name} must be None or a number of seconds, at least 0, not {describe(value)}.")
    seconds: float | None = value
    return seconds


def check_price(name: str, value: Any) -> float | None:
    """Check the price of a million tokens; None means that it is not known."""
    if value is not None and not (_is_number(value) and 0 <= value < math.inf):
        raise ValueError(f"{name} must be None or a number, at least 0, not {describe(value)}.")
    price: float | None = value
    return price


def check_flag(name: str, value: Any) -> bool:
    """Check that a value is a bool; the str "false" would count as true."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be True or False, not {describe(value)}.")  # noqa: TRY004
    return value


def check_on_model_change(name: str, value: Any) -> str:
    """Check that a value says what to do about another model."""
    return _check_choice(name, value, {"warn", "raise", "ignore"}, "'warn', 'raise' or 'ignore'")


def check_hook(name: str, value: Any) -> Any:
    """Check that a value is callable and not an async function."""
    if value is not None and not callable(value):
        raise ValueError(f"{name} must be callable, not {kind(value)}.")
    if inspect.iscoroutinefunction(value) or inspect.iscoroutinefunction(getattr(value, "__call__", None)):  # noqa: B004
        raise ValueError(f"{name} must be a plain function, not an async one: nothing would await it.")
    return value


def _check_choice(name: str, value: Any, choices: set[str], in_words: str) -> str:
    if not isinstance(value, str) or value not in choices:
        given = "another str" if isinstance(value, str) else describe(value)
        raise ValueError(f"{name} must be {in_words}, not {given}.")
    return value


def _is_number(value: Any, of: type = Real) -> bool:
    """Return whether a value is a real number, of Python or of NumPy; a bool is none."""
    return isinstance(value, of) and not isinstance(value, bool)


def describe(value: Any) -> str:
    """Return the repr of a short, harmless value, or the type name of any other value."""
    if value is None or isinstance(value, bool):
        return repr(value)
    if isinstance(value, float):
        return repr(float(value))
    if isinstance(value, str):
        is_number = value.replace(".", "", 1).isdecimal() and len(value) <= MAX_SHOWN_DIGITS
        return repr(value) if is_number or not value else kind(value)
    if type(value) is int:
        return str(value) if abs(value) <= MAX_SHOWN else "a number of many digits"
    return kind(value)


def kind(value: Any) -> str:
    """Return the name of a value's type."""
    return "None" if value is None else type(value).__name__
