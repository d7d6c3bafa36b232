"""A call: how its result is assembled."""

import pytest

from electronhub_embeddings._rate_limit.wording import AFTER_BUG
from electronhub_embeddings._scheduling.call import Attachment, Call
from electronhub_embeddings.errors import ElectronHubError, ServerError
from electronhub_embeddings.usage import Usage
from support.scheduler_driver import Config, Progress, make_call


class Output:
    """An output without memory for the result, or for the vectors of a failed call."""

    def result(self):
        """Fail."""
        raise MemoryError("no room")

    partial = result


def test_a_call_keeps_what_its_caller_has_asked_for():
    """The workers read it when they send the texts, and when they collect the vectors."""
    attachment, context = Attachment(Config(), Usage(), raises_on_change=True), object()
    options = {"is_query": False, "max_wait": None, "progress": Progress()}
    call = Call(make_call().inputs, attachment, as_lists=True, on_request=print, trace_context=context, **options)
    assert (call.as_lists, call.on_request, call.trace_context) == (True, print, context)
    assert attachment.raises_on_change is True
    plain = make_call()
    assert (plain.as_lists, plain.on_request, plain.trace_context) == (False, None, None)
    assert plain.attachment.raises_on_change is False


def test_a_result_that_cannot_be_assembled():
    """The caller gets an error that names the cause, whether the call has succeeded or failed; nobody waits forever."""
    for error in (None, ServerError("x", status_code=503)):
        call, ended = make_call(), []
        call.output, call.on_done = Output(), lambda: ended.append(True)  # noqa: B023 - called at once
        if error is not None:
            call.fail(error)
        call.resolve()
        assert ended == [True]
        assert type(call.error) is ElectronHubError
        assert (call.error.message, call.error.next_step) == ("Unexpected MemoryError: no room", AFTER_BUG)
        assert type(call.error.__cause__) is MemoryError


def test_a_call_returns_its_vectors_or_raises_its_error():
    """The error is raised with what was stored, and the call keeps neither it nor the frames that it passed.

    Until then its caller can look at what was stored.
    """

    class Stored:
        @staticmethod
        def result():
            return "vectors"

        @staticmethod
        def partial():
            return {0: "vector"}

    good, bad = make_call(), make_call()
    assert good.partial() == {}
    good.output = bad.output = Stored()
    assert good.partial() == {0: "vector"}
    bad.fail(ServerError("x", status_code=503))
    bad.fail(ServerError("later", status_code=500))
    good.resolve()
    bad.resolve()
    assert good.result() == "vectors"
    assert good.partial() is None
    with pytest.raises(ServerError, match="x") as caught:
        bad.result()
    assert caught.value.partial == {0: "vector"}
    assert bad.error is None
