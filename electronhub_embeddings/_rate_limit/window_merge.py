"""Merges the windows of several stores, and moves a window to another clock. No I/O; the time is an argument."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow


def merge(window: SlidingWindow, other: SlidingWindow, shift: float) -> None:
    """Merge another window of the same account, whose clock is behind that of `window` by `shift` seconds."""
    shift_clock(other, shift)
    window.limit = other.limit or window.limit
    window.guess.merge(other.guess)
    window.margin_growth.merge(other.margin_growth)
    window.cooldown.until = max(window.cooldown.until, other.cooldown.until)
    window.unknown_until = max(window.unknown_until, other.unknown_until)
    window.probing = window.probing and other.probing
    window.slots.merge(other.slots)
    window.foreign.merge(other.foreign)
    window.spacing.merge(other.spacing)
    window.wait_queue.merge(other.wait_queue)


def note_time(window: SlidingWindow, now: float) -> None:
    """Record the time of a change; a time before the last change means that a reboot has restarted the clock.

    In that case, all times are shifted as if no time had passed, which can only be too careful.
    """
    if now < window.updated_at:
        shift_clock(window, now - window.updated_at)
    window.updated_at = now


def shift_clock(window: SlidingWindow, shift: float) -> None:
    """Shift all times by `shift` seconds, to convert them to another clock."""
    window.cooldown.until += shift
    window.unknown_until += shift
    window.slots.shift_clock(shift)
    window.foreign.shift_clock(shift)
    window.spacing.shift_clock(shift)
    window.wait_queue.shift_clock(shift)
    window.margin_growth.good.since = window.guess.full.since = None
