"""The store of clients that name none: a file in the user's state folder; if there can be none, memory."""

from __future__ import annotations

import logging
from contextlib import suppress

from electronhub_embeddings._config.storage_options import MEMORY
from electronhub_embeddings._rate_limit.window_state import UnreadableStateError
from electronhub_embeddings._storage.file_opening import is_busy
from electronhub_embeddings._storage.state_folder import create_folder, state_file
from electronhub_embeddings.errors import ElectronHubError
from electronhub_embeddings.rate_limit_stores.memory_fallback import MemoryFallback
from electronhub_embeddings.rate_limit_stores.sqlite import SQLiteStore

logger: logging.Logger = logging.getLogger("electronhub_embeddings")

NAME = "rate-limit"
"""The name of the file, without what `state_file` adds."""

BUSY_TIMEOUT = 0.5
"""Seconds to wait for another process's write: nobody has asked for this file, so nobody waits long for it."""

_warnings: set[str] = set()
"""The warnings logged by this process: in a server, the accounts of many users have the same cause."""


def open_default_store(account: str) -> MemoryFallback:
    """Return the store for an account; no file is opened before the first update.

    Args:
        account: The account of the window, as in `Account.name`: a keyed hash.
    """
    store = SQLiteStore(_create_path, account, busy_timeout=BUSY_TIMEOUT, replaces_unreadable=False)
    return MemoryFallback(store, on_failed_start=_warn)


def _create_path() -> str:
    path = state_file(NAME)
    create_folder(path)
    return str(path)


def _warn(error: Exception) -> None:
    """Log once why the limit is not remembered, and what to do about it."""
    where = "the state folder"
    with suppress(OSError):
        where = str(state_file(NAME))
    reason = error.__cause__ if isinstance(error, ElectronHubError) else error
    message = (
        f"the rate limit cannot be kept in {where} ({reason}): this process limits itself alone, and forgets its "
        f'requests when it ends; {_cure(error)}, set rate_limit_store to another path, or set it to "{MEMORY}"'
    )
    if message not in _warnings:
        _warnings.add(message)
        logger.warning("%s", message)


def _cure(error: Exception) -> str:
    if isinstance(error, UnreadableStateError):
        return "update this package wherever this user has it, or delete the file"
    if is_busy(error):
        return "close the program that locks the file"
    if isinstance(error, OSError) or "unable to open" in str(error) or "readonly" in str(error):
        return "make the folder and the file writable"
    return "delete the file"
