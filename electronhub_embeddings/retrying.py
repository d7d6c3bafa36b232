"""The one layer of retries: which failures are worth another attempt, and after how long. Pure, on tenacity's terms.

tenacity decides and the line waits: a worker that slept here would hold its texts and its thread, while texts that
wait in the line can be joined by others. So the strategies of a fresh tenacity controller are asked for each failure,
and nothing in this module sleeps.
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

FIRST_PAUSE = 1.0
"""Seconds before the second attempt; doubled before each later one, plus up to one second at random."""

LONGEST_PAUSE = 30.0
"""Seconds at most. Every attempt spends one of few requests a minute, so patience is cheaper than haste."""

WORTH_RETRYING = retry_if_exception_type((APIConnectionError, InvalidResponseError, RateLimitError, ServerError))


@dataclass(frozen=True)
class RetryPolicy:
    """At most `max_retries` more attempts after the first, with 1 s, 2 s, 4 s … 30 s and jitter between them."""

    max_retries: int

    def pause(self, error: ElectronHubError, attempt: int) -> float | None:
        """Seconds until the next attempt, or None when there is to be none.

        Args:
            error: Why the attempt failed.
            attempt: How many attempts were made, the failed one included.

        The cooldown after a `RateLimitError` is not in the pause: it holds for everybody, so the limiter keeps it.
        """
        attempts = self.max_retries + 1
        if error.retries is not None:
            attempts = min(attempts, error.retries + 1)
        controller = Retrying(
            retry=WORTH_RETRYING,
            stop=stop_after_attempt(attempts),
            wait=wait_exponential(FIRST_PAUSE, LONGEST_PAUSE) + wait_random(0, FIRST_PAUSE),
        )
        state = RetryCallState(controller, None, (), {})
        state.attempt_number = attempt
        state.set_exception((type(error), error, error.__traceback__))
        if not controller.retry(state) or controller.stop(state):
            return None
        if isinstance(error, RateLimitError):
            return 0.0
        asked = error.retry_after if isinstance(error, ServerError) else None
        return max(min(controller.wait(state), LONGEST_PAUSE), asked or 0.0)
