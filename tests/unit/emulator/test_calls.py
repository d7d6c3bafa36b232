"""What becomes of a call: key, rate limit, fault and validation, in this order."""

import random

import pytest

from electronhub_embeddings.emulator import faults
from electronhub_embeddings.emulator._calls import CallProcessor
from electronhub_embeddings.emulator._fault_script import FaultScript
from electronhub_embeddings.emulator._rate_limit import RateLimitWindow
from electronhub_embeddings.emulator._request_rules import RequestRules

BODY = {"model": "text-embedding-3-small", "input": ["hello", "world"]}


def make_processor(*script, limit=1):
    """Return a processor with these faults to come."""
    return CallProcessor("ek-test", RateLimitWindow(limit), FaultScript(script), random.Random(0), RequestRules())


@pytest.mark.parametrize(
    ("authorization", "status"),
    [("Bearer ek-wrong", 401), ("Basic ek-test", 401), ("", 401), ("Bearer ek-dev-test", 403), ("bearer ek-test", 200)],
)
def test_the_key_is_checked_before_the_call_is_counted(authorization, status):
    """A call with a wrong key is not counted and uses up no fault."""
    processor = make_processor(None, faults.error(500))
    result = processor.process(authorization, BODY, 0.0)
    assert (result.status, result.admitted, result.limited) == (status, status == 200, False)
    assert processor.rate_limit.remaining(0.0) == (0 if status == 200 else 1)


def test_the_limit_is_checked_before_fault_and_body():
    """A call over the limit is a 429, whatever its body, and leaves the fault to the next admitted call."""
    processor = make_processor(None, faults.error(500))
    first, second, third, later = (processor.process("Bearer ek-test", BODY, now) for now in (0.0, 1.0, 2.0, 182.0))
    assert (first.status, first.prompt_tokens) == (200, 2)
    assert (second.status, second.limited, second.in_cooldown, second.prompt_tokens) == (429, True, False, 0)
    assert (third.status, third.limited, third.in_cooldown) == (429, True, True)
    assert (later.status, later.limited, later.prompt_tokens) == (500, False, 0)


def test_an_invalid_request_uses_up_a_fault():
    """A fault that responds takes the place of the validation error; without one the error is sent."""
    processor = make_processor(faults.error(500), faults.delay(1.0), faults.drop(), limit=9)
    assert [processor.process("Bearer ek-test", {}, 0.0).status for _ in range(4)] == [500, 400, None, 400]


def test_clear_forgets_limit_and_faults():
    """After `clear` a call is admitted and has no fault."""
    processor = make_processor(None, faults.error(500))
    processor.process("Bearer ek-test", BODY, 0.0)
    processor.clear()
    assert processor.process("Bearer ek-test", BODY, 0.0).status == 200
