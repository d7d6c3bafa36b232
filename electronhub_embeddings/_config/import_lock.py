"""The lock held while heavy modules are imported after start-up; a fork waits for this lock.

A child forked during an import could never import that module, because the importing thread does not exist in the child
and never finishes the import.
"""

from __future__ import annotations

import os
import threading

importing = threading.RLock()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=importing.acquire, after_in_parent=importing.release, after_in_child=importing.release)
