"""The retry policy: which failures, how often, and how long between."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from electronhub_embeddings._scheduling.retry_policy import INITIAL_PAUSE, MAX_PAUSE, RetryPolicy
from electronhub_embeddings.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ElectronHubError,
    InputError,
    InsufficientBalanceError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
)

PASSING = [APIConnectionError, APITimeoutError, RateLimitError, ServerError, InvalidResponseError]
TERMINAL = [
    ElectronHubError,
    InputError,
    APIStatusError,
    BadRequestError,
    AuthenticationError,
    InsufficientBalanceError,
    PermissionDeniedError,
    NotFoundError,
    QuotaExceededError,
]


def attempts(error, max_retries):
    """Count the attempts of a request that always fails."""
    policy, made = RetryPolicy(max_retries), 1
    while policy.pause(error, made) is not None:
        made += 1
    return made


@pytest.mark.parametrize("kind", PASSING)
@given(max_retries=st.integers(0, 50))
def test_a_failure_that_can_pass_gets_max_retries_more_attempts(kind, max_retries):
    """max_retries=n means exactly n + 1 attempts."""
    assert max_retries + 1 == attempts(kind("x"), max_retries)


@pytest.mark.parametrize("kind", TERMINAL)
def test_a_terminal_error_costs_one_attempt(kind):
    """Permanent failures are not retried."""
    assert attempts(kind("x"), 6) == 1


@pytest.mark.parametrize(
    ("retries", "max_retries", "expected"),
    [(0, 6, 1), (1, 6, 2), (1, 0, 1), (3, 2, 3), (None, 6, 7), (None, 0, 1)],
)
def test_a_wrong_answer_says_how_often_asking_again_is_worth_it(retries, max_retries, expected):
    """The error's own number of retries applies if it is smaller."""
    assert expected == attempts(InvalidResponseError("x", retries=retries), max_retries)


@pytest.mark.parametrize("kind", sorted(set(PASSING) - {RateLimitError}, key=lambda kind: kind.__name__))
@given(attempt=st.integers(1, 60))
def test_pauses_double_up_to_half_a_minute(kind, attempt):
    """Pauses are 1, 2, 4 … 30 s, each plus up to one random second, and never over 30 s."""
    pause = RetryPolicy(100).pause(kind("x"), attempt)
    assert min(MAX_PAUSE, 2.0 ** (attempt - 1)) <= pause <= min(MAX_PAUSE, 2.0 ** (attempt - 1) + INITIAL_PAUSE)


def test_the_documented_numbers():
    """The first pause is a second, the longest half a minute."""
    assert (INITIAL_PAUSE, MAX_PAUSE) == (1.0, 30.0)


def test_pauses_differ():
    """Pauses differ at random, so that processes that failed together do not retry together."""
    assert len({RetryPolicy(6).pause(ServerError("x"), 1) for _ in range(20)}) > 1


def test_the_cooldown_is_not_in_the_pause():
    """The wait after a 429 applies to all requests and is the limiter's: the policy adds no second wait."""
    assert RetryPolicy(6).pause(RateLimitError("x", retry_after=180.0), 3) == 0.0


@pytest.mark.parametrize(
    ("asked", "least", "most"), [(None, 1, 2), (0.0, 1, 2), (0.5, 1, 2), (20.0, 20, 20), (90.0, 90, 90)]
)
def test_a_server_that_asks_for_time_gets_it(asked, least, most):
    """The Retry-After of a 503 applies if it is longer than the pause."""
    assert least <= RetryPolicy(6).pause(ServerError("x", retry_after=asked), 1) <= most


def test_a_policy_keeps_no_memory():
    """Requests do not affect each other's pauses."""
    policy = RetryPolicy(2)
    assert [policy.pause(ServerError("x"), 3) for _ in range(5)] == [None] * 5
    assert policy.pause(ServerError("x"), 2) is not None
