"""The only layer of retries: decides which failures are retried, and after how long.

tenacity decides, and the scheduler waits. A sleeping thread would hold back its texts, while waiting texts in the queue
can share a request with others. Each failure is therefore passed to the strategies of a new tenacity controller, and
nothing in this module sleeps.
"""

from __future__ import annotations

from dataclasses import dataclass

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential,
    wait_random,
)

from electronhub_embeddings.errors import (
    APIConnectionError,
    ElectronHubError,
    InvalidResponseError,
    RateLimitError,
    ServerError,
)

INITIAL_PAUSE = 1.0
"""Seconds before the second attempt; doubled before each later one, plus up to one second at random."""

MAX_PAUSE = 30.0
"""Longest pause, in seconds. Each attempt spends one of few requests per minute, so long pauses are cheaper."""

RETRYABLE = retry_if_exception_type((APIConnectionError, InvalidResponseError, RateLimitError, ServerError))


@dataclass(frozen=True)
class RetryPolicy:
    """At most `max_retries` more attempts after the first, with 1 s, 2 s, 4 s … 30 s and jitter between them."""

    max_retries: int

    def pause(self, error: ElectronHubError, attempt: int) -> float | None:
        """Return the seconds until the next attempt; None: no further attempt.

        The cooldown after a `RateLimitError` is not part of the pause. It applies to all requests, so the rate limiter
        enforces it.

        Args:
            error: Why the attempt failed.
            attempt: How many attempts were made, the failed one included.
        """
        attempts = self.max_retries + 1
        if error.retries is not None:
            attempts = min(attempts, error.retries + 1)
        controller = Retrying(
            retry=RETRYABLE,
            stop=stop_after_attempt(attempts),
            wait=wait_exponential(INITIAL_PAUSE, MAX_PAUSE) + wait_random(0, INITIAL_PAUSE),
        )
        state = RetryCallState(controller, None, (), {})
        state.attempt_number = attempt
        state.set_exception((type(error), error, error.__traceback__))
        if not controller.retry(state) or controller.stop(state):
            return None
        if isinstance(error, RateLimitError):
            return 0.0
        requested = error.retry_after if isinstance(error, ServerError) else None
        return max(min(controller.wait(state), MAX_PAUSE), requested or 0.0)
