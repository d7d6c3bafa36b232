"""A submitted call: what happens at the moment when its caller's time is over, and when it cannot be submitted."""

import asyncio

import pytest

from electronhub_embeddings._workers.pending_call import AsyncPendingCall, PendingCall
from electronhub_embeddings.errors import APITimeoutError
from support.scheduler_driver import make_call

PASSED = 1e-9
"""A timeout that is over when somebody looks."""


class Workers:
    """Keeps what is handed over and withdrawn."""

    def __init__(self, error=None):
        self.error = error
        self.withdrawn = []

    def submit(self, _):
        """Take a call, or fail."""
        if self.error is not None:
            raise self.error

    def withdraw(self, call):
        """Withdraw a call."""
        self.withdrawn.append(call)


class Output:
    """Vectors that a worker is still receiving."""

    def __init__(self, meanwhile=lambda: None):
        self.meanwhile = meanwhile

    def result(self):
        """Return all vectors."""
        return "vectors"

    def partial(self):
        """Return what was received."""
        self.meanwhile()
        return {0: "vector"}


def wait_in_a_thread(call, workers):
    """Wait for a call whose time is over."""
    return PendingCall(call, workers, PASSED).result()


def wait_in_an_event_loop(call, workers):
    """Wait for a call whose time is over."""

    async def wait():
        return await AsyncPendingCall(call, workers, PASSED).result()

    return asyncio.run(wait())


@pytest.fixture(params=[wait_in_a_thread, wait_in_an_event_loop])
def wait(request):
    """Wait for a call in both ways."""
    return request.param


def test_the_time_is_over(wait):
    """The caller gets what was received, and the unsent texts are withdrawn."""
    call, workers = make_call(), Workers()
    call.output = Output()
    with pytest.raises(APITimeoutError) as caught:
        wait(call, workers)
    assert caught.value.partial == {0: "vector"}
    assert call.abandoned
    assert workers.withdrawn == [call]


def test_a_call_ends_while_its_caller_gives_up(wait):
    """Its result is returned, not lost: the vectors are no longer where partial ones are kept."""
    call, workers = make_call(), Workers()
    call.output = Output(meanwhile=call.resolve)
    assert wait(call, workers) == "vectors"
    assert workers.withdrawn == []


def test_a_call_that_cannot_be_submitted_is_withdrawn():
    """Its texts may have been handed over already, and would be sent with the next call although nobody waits."""
    call, workers = make_call(), Workers(RuntimeError("can't start new thread"))
    with pytest.raises(RuntimeError):
        PendingCall(call, workers).submit()
    assert call.abandoned
    assert workers.withdrawn == [call]
