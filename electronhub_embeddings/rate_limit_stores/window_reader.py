"""Reads the window that a shared store keeps; one that cannot be read is begun anew, with care and a warning."""

from __future__ import annotations

import copy
import logging

from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow
from electronhub_embeddings._rate_limit.window_state import UnreadableStateError, decode

logger = logging.getLogger("electronhub_embeddings")

WARNING_INTERVAL = 60.0
"""Seconds between two warnings: clients of two versions overwrite each other's state several times a second."""


class WindowReader:
    """Turns the bytes of a store into a window.

    Args:
        fresh: The window to begin with, where the store has none; None: the service's own period, and no limit.
    """

    def __init__(self, fresh: SlidingWindow | None = None) -> None:
        self._fresh = fresh or SlidingWindow()
        self._warned_at: float | None = None

    def read(self, state: bytes | None, now: float) -> SlidingWindow:
        """Return the window; of an unreadable state, one that takes the whole limit to have been spent just now.

        It starts nothing for one period, then one call at a time until an answer shows more. That keeps to the limit
        whatever the lost state said. (If it said that a cooldown was in force, one call may meet its rest: to wait out
        a whole cooldown for every damaged byte would silence the caller for minutes.)
        """
        if state is None:
            return copy.deepcopy(self._fresh)
        try:
            return decode(state)
        except UnreadableStateError as error:
            window = copy.deepcopy(self._fresh)
            window.distrust(now)
            if self._warned_at is None or now - self._warned_at >= WARNING_INTERVAL:
                self._warned_at = now
                logger.warning(
                    "the state in the rate limit store cannot be read (%s): nothing is sent for %.0f s, as if the "
                    "whole limit had been spent; if processes of several versions of this package share the store, "
                    "update all of them",
                    error,
                    window.hold,
                )
            return window
