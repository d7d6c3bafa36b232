"""The threads of an account's workers: started on demand, counted, and gone when the last client has closed."""

from __future__ import annotations

import _thread
import threading
import weakref
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from electronhub_embeddings._workers.heavy_imports import import_heavy_modules

if TYPE_CHECKING:
    from collections.abc import Callable

THREAD_NAME = "electronhub-worker"

_this_thread = threading.local()


def is_worker() -> bool:
    """Return whether the current thread is a worker."""
    return getattr(_this_thread, "is_worker", False)


class StartPermit:
    """The right to start the first worker. There is one; if an exception discards it, `__del__` puts it back."""

    def __init__(self, threads: WorkerThreads) -> None:
        self._threads = weakref.ref(threads)

    def __del__(self) -> None:
        if (threads := self._threads()) is not None:
            threads.permits.append(StartPermit(threads))


class WorkerThreads:
    """Starts and counts the threads of one account.

    `start_first` may be interrupted by a signal handler's exception at any statement.

    Args:
        work: What each thread runs. It calls `leave` before it returns.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self.permits: deque[StartPermit] = deque([StartPermit(self)])
        """Holds the permit while there is no worker; empty otherwise."""
        self.count = 0
        self._permit: StartPermit | None = None
        self._work = work
        self._lock = threading.Lock()

    @property
    def is_dormant(self) -> bool:
        """Whether there is no worker."""
        return bool(self.permits)

    def start_first(self) -> None:
        """Start the first worker if there is none.

        Raises:
            RuntimeError: The system cannot start a thread.
        """
        if self.permits:
            with suppress(IndexError):  # another caller has taken the permit
                # Not a threading.Thread: an exception inside its start() would leave a lock held for ever.
                _thread.start_new_thread(self._run_first, (self.permits.pop(),))

    def spawn(self) -> None:
        """Start another worker; called by a worker.

        Raises:
            RuntimeError: The system cannot start a thread.
        """
        worker = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)
        with self._lock:
            self.count += 1
        try:
            worker.start()
        except RuntimeError:
            with self._lock:
                self.count -= 1
            raise

    def leave(self) -> bool:
        """Take the current thread off the count; return whether it was the last one."""
        with self._lock:
            self.count -= 1
            return not self.count

    def become_dormant(self) -> None:
        """Let the next caller start a worker again; called by the last worker, when it has closed everything."""
        permit, self._permit = self._permit, None
        if permit is not None:
            self.permits.append(permit)

    def _run_first(self, permit: StartPermit) -> None:
        self._permit = permit
        try:
            self.spawn()
        except RuntimeError:  # the system cannot start another thread: work in this one
            with self._lock:
                self.count += 1
            self._run()

    def _run(self) -> None:
        _this_thread.is_worker = True
        with suppress(Exception):  # the first request imports them again, and its caller receives the error
            import_heavy_modules()
        self._work()
