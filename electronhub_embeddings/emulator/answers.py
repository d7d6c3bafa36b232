"""The good answer: status 200, one row for each input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pybase64

from electronhub_embeddings.emulator.vectors import embed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from electronhub_embeddings.emulator.rules import Order


def answer(order: Order) -> dict[str, Any]:
    """Return the body of the answer, ready to become JSON."""
    return {
        "object": "list",
        "data": [
            {
                "object": "embedding",
                "embedding": encode(embed(text, order.model, order.dimensions), base64=order.base64),
                "index": index,
            }
            for index, text in enumerate(order.texts)
        ],
        "model": order.model.id,
        "usage": {"prompt_tokens": order.prompt_tokens, "total_tokens": order.prompt_tokens},
    }


def encode(vector: NDArray[np.float32], *, base64: bool) -> str | list[float]:
    """Return a vector as it travels: base64 of little-endian float32, or a list of numbers."""
    if base64:
        return pybase64.b64encode(vector.astype("<f4", copy=False).tobytes()).decode("ascii")
    numbers: list[float] = vector.tolist()
    return numbers
