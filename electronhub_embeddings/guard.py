"""Two locks of this process that a fork must not break."""

from __future__ import annotations

import os
import threading

_guard = threading.RLock()

importing = threading.RLock()
"""Held while heavy modules are imported, at the first text: a fork waits for it. A child that was forked in the middle
of an import could never import that module: the thread that had begun is not there to end."""


def guard() -> threading.RLock:
    """Return the lock under which clients join and leave; a forked child has a new one."""
    return _guard


def _after_fork_in_child() -> None:
    global _guard  # noqa: PLW0603 - the lock may be held by a thread that does not exist here
    _guard = threading.RLock()
    importing.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=importing.acquire, after_in_parent=importing.release, after_in_child=_after_fork_in_child
    )
