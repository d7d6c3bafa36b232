"""Resolves a user's paths once, when a client is created, so that their meaning does not change later."""

from __future__ import annotations

import os
import re
from typing import Any

URL = re.compile(r"file:|[a-z][a-z0-9+.-]+://", re.IGNORECASE)
"""SQLite URIs and other URLs; used as a path, a URL would create an empty file with a strange name."""


def absolute_path(argument: str, value: str | os.PathLike[Any], none_means: str) -> str:
    """Make a path absolute, so that it names the same file after a chdir, in a fork and in a copy.

    Args:
        argument: The name of the caller's argument.
        value: The path as given.
        none_means: The meaning of None in a few words; part of every error message.

    Raises:
        ValueError: The value is not a path to a file.
    """
    path = os.fspath(value)
    if not isinstance(path, str):
        raise _refusal(argument, "bytes (os.fsdecode makes a string of them)", none_means)
    if not path:
        raise _refusal(argument, "an empty string", none_means)
    if "\0" in path:
        raise _refusal(argument, "a string with a null byte", none_means)
    if path == ":memory:":
        raise _refusal(argument, "':memory:'", none_means)
    if URL.match(path):
        raise _refusal(argument, "a URL", none_means)  # not quoted: a URL may contain a password
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        raise _refusal(argument, "a string that the file system cannot encode", none_means) from None
    if path.endswith(("/", os.sep)) or os.path.isdir(path):  # noqa: PTH112 - the path is a str
        raise _refusal(argument, f"the directory {path!r} (name a file in it)", none_means)
    return os.path.abspath(path)  # noqa: PTH100 - a link stays one: its target may be made later


def file_identity(path: str) -> str:
    """Return a value that is equal for all paths of one file; links are resolved, also to a missing file."""
    return os.path.normcase(os.path.realpath(path))


def _refusal(argument: str, what: str, none_means: str) -> ValueError:
    return ValueError(f"{argument} must be a path to a file, not {what}; {none_means}.")
