"""Faults by name: `service.script(faults.error(503), faults.drop(), None, faults.shuffled())`.

Each takes one call that the limit admitted, and counts like any other call. None stands for a good answer.
"""

from electronhub_embeddings.emulator.faults.answered import (
    balance_spent,
    budget_spent,
    detail,
    empty,
    error,
    error_with_200,
    html,
    text,
    wrapped_error,
)
from electronhub_embeddings.emulator.faults.edited import (
    duplicate_index,
    edit,
    extra,
    infinite,
    integers,
    invalid_base64,
    missing_index,
    negative_index,
    not_a_number,
    null,
    odd_base64,
    short,
    shuffled,
    without_usage,
    wrong_dimension,
)
from electronhub_embeddings.emulator.faults.fault import Fault, Manner
from electronhub_embeddings.emulator.faults.network import (
    delay,
    drop,
    nonsense,
    reset,
    stall,
    trickle,
    truncate,
)

__all__ = [
    "Fault",
    "Manner",
    "balance_spent",
    "budget_spent",
    "delay",
    "detail",
    "drop",
    "duplicate_index",
    "edit",
    "empty",
    "error",
    "error_with_200",
    "extra",
    "html",
    "infinite",
    "integers",
    "invalid_base64",
    "missing_index",
    "negative_index",
    "nonsense",
    "not_a_number",
    "null",
    "odd_base64",
    "reset",
    "short",
    "shuffled",
    "stall",
    "text",
    "trickle",
    "truncate",
    "without_usage",
    "wrapped_error",
    "wrong_dimension",
]
