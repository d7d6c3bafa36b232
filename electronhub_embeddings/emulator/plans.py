"""The plans and what they allow."""

from __future__ import annotations

from typing import Final

PLANS: Final = {
    "free": 5,
    "starter": 10,
    "plus": 15,
    "core": 20,
    "pro": 30,
    "business": 60,
    "enterprise": 100,
}
"""Requests per minute by plan. The real table changes often: a client learns its limit from the headers."""


def requests_per_minute(plan: str) -> int:
    """Return what `plan` allows in a minute.

    Raises:
        ValueError: there is no such plan.
    """
    if plan not in PLANS:
        raise ValueError(f"unknown plan {plan!r}: expected one of {', '.join(PLANS)}")
    return PLANS[plan]
