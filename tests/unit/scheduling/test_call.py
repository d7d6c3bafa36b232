"""A call: how its result is assembled."""

from electronhub_embeddings.errors import ElectronHubError, ServerError
from support.scheduler_driver import make_call


class Output:
    """An output without memory for the result, or for the vectors of a failed call."""

    def result(self):
        """Fail."""
        raise MemoryError("no room")

    partial = result


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
        assert str(call.error) == "Unexpected MemoryError: no room"
        assert type(call.error.__cause__) is MemoryError
