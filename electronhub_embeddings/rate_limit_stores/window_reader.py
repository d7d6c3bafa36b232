"""Reads the window of a shared store; an unreadable one is replaced by a cautious new one, unless it must be kept."""

from __future__ import annotations

import copy
import logging

from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow
from electronhub_embeddings._rate_limit.window_state import UnreadableStateError, decode

logger: logging.Logger = logging.getLogger("electronhub_embeddings")

WARNING_INTERVAL = 60.0
"""Seconds between two warnings: clients of two versions overwrite each other's state several times a second."""


class WindowReader:
    """Decodes the state that a store keeps.

    Args:
        initial: The window to use if the store has none; None: one with the service's period and no known limit.
        replaces_unreadable: Whether an unreadable window is replaced, with a warning, or an error is raised.
    """

    def __init__(self, initial: SlidingWindow | None = None, *, replaces_unreadable: bool = True) -> None:
        self._initial = initial or SlidingWindow()
        self._replaces_unreadable = replaces_unreadable
        self._warned_at: float | None = None

    def read(self, state: bytes | None, now: float) -> SlidingWindow:
        """Return the window; if the state is unreadable, return one that assumes that the whole limit was just used.

        Such a window starts nothing for one period, then one call at a time until an answer shows more. This respects
        the limit, whatever the lost state was. Only a lost cooldown can be violated, by one call: waiting out a whole
        cooldown for every damaged state would block the caller for minutes.

        Raises:
            UnreadableStateError: The state is unreadable, and is not to be replaced.
        """
        if state is None:
            return copy.deepcopy(self._initial)
        try:
            return decode(state)
        except UnreadableStateError as error:
            if not self._replaces_unreadable:
                raise
            window = copy.deepcopy(self._initial)
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
