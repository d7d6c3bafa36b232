"""Divides the usage of a request among the clients that share it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from electronhub_embeddings.errors import RateLimitError

if TYPE_CHECKING:
    from electronhub_embeddings._codec.result import Result
    from electronhub_embeddings._scheduling.batch import Batch


def count_usage(batch: Batch, result: Result) -> None:
    """Add a request to the usage counters of the clients whose texts it carried.

    The request itself is counted for the client of the first text; tokens are divided by the size of the texts.
    """
    if not result.sent:
        return
    first = batch.slices[0].call.attachment.usage
    first.attempts += 1
    first.requests += result.error is None
    first.rate_limited += isinstance(result.error, RateLimitError)
    prompt, total = batch.shares(result.prompt_tokens), batch.shares(result.total_tokens)
    for part, prompt_tokens, total_tokens in zip(batch.slices, prompt, total, strict=True):
        usage = part.call.attachment.usage
        usage.prompt_tokens += prompt_tokens
        usage.total_tokens += total_tokens
        usage.texts += len(part) if result.error is None else 0
