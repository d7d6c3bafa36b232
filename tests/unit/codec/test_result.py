"""The result of one request: what it says of the service, and what callers see of a bug."""

import pytest

from electronhub_embeddings._codec.result import Result, unexpected_error
from electronhub_embeddings._rate_limit.wording import AFTER_BUG
from electronhub_embeddings.errors import APIConnectionError, ElectronHubError, RateLimitError, ServerError


@pytest.mark.parametrize(
    ("error", "sent"),
    [
        (None, True),
        (ServerError("x", status_code=500), True),
        (APIConnectionError("x", sent=True), True),
        (APIConnectionError("x", sent=False), False),
    ],
)
def test_whether_the_service_may_have_counted_it(error, sent):
    """Only a connection that was never made is certain."""
    assert Result(error=error).sent is sent


@pytest.mark.parametrize(
    ("status", "error", "shows"),
    [
        (200, None, True),
        (200, ElectronHubError("odd vectors"), True),
        (200, RateLimitError("a refusal inside", status_code=429), False),
        (429, RateLimitError("x", status_code=429), False),
        (None, APIConnectionError("x"), False),
    ],
)
def test_whether_the_service_accepts_requests_now(status, error, shows):
    """An answer that it has charged for says so, whatever is in it."""
    assert Result(error=error, status=status).shows_capacity is shows


def test_a_bug_becomes_an_error_of_ours():
    """With what happened, and with its traceback as text: frames hold the key."""
    with pytest.raises(KeyError) as caught:
        {}["x"]
    error = unexpected_error(caught.value)
    assert type(error) is ElectronHubError
    assert error.message == "Unexpected KeyError: 'x'"
    assert str(error) == f"Unexpected KeyError: 'x'. {AFTER_BUG}"
    assert error.__cause__.__traceback__ is None
    assert __file__ in str(error.__cause__.__cause__)


def test_a_worker_that_is_stopped_has_lost_its_request():
    """An exception that is no Exception, as SystemExit: the request may have been counted, and is not sent again."""
    stop = SystemExit(3)
    error = unexpected_error(stop)
    assert (type(error), error.sent, error.retries) == (APIConnectionError, True, 0)
    assert str(error) == "The request was interrupted. Embed it again."
    assert error.__cause__ is not None
