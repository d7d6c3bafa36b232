"""Durations in words, as precise as a forecast can be."""

from __future__ import annotations

MINUTE = 60
HOUR = 3600


def in_words(seconds: float) -> str:
    """Return a duration in the unit that a reader would choose: "12 s", "4 min", "3 h 20 min", "2 days"."""
    if seconds < 2 * MINUTE:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / MINUTE)
    if minutes < 100:  # noqa: PLR2004 - beyond, hours are easier to imagine
        return f"{minutes} min"
    hours, minutes = divmod(10 * round(minutes / 10), 60)
    if hours < 48:  # noqa: PLR2004 - two days
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{round(seconds / (24 * HOUR))} days"
