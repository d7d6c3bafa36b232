"""One call: rows end where their texts stood, and an error carries what had come before it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from electronhub_embeddings.errors import BadRequestError, ElectronHubError, ServerError
from electronhub_embeddings.inputs import prepare
from electronhub_embeddings.job import Job
from electronhub_embeddings.packing import Piece
from electronhub_embeddings.progress import Progress
from electronhub_embeddings.usage import Usage

TEXTS = ["a", "b", "a", "c", "b", "d"]


def make(texts=TEXTS):
    """Return the call of some texts."""
    return Job(prepare(texts), is_query=False, max_wait=None, usage=Usage(), progress=Progress())


def vector(text):
    """Return the vector that a text has in these tests."""
    return [float(ord(text[0])), float(len(text))]


def land(job, start, stop):
    """Let the rows of some texts come; return whether the call is finished."""
    piece = Piece(job, start, stop)
    job.make_room(2)
    job.place(piece, np.array([vector(text) for text in job.inputs.texts[start:stop]], np.float32))
    return job.land(piece)


@given(st.lists(st.text("abcdef", min_size=1, max_size=3), min_size=1, max_size=12), st.data())
def test_rows_in_any_order_end_where_their_texts_stood(texts, data):
    """Pieces may come back in any order, and equal texts get the same vector: row i is of text i."""
    job = make(texts)
    count = len(job.inputs.texts)
    cuts = sorted({0, count, *data.draw(st.sets(st.integers(0, count)))})
    pieces = data.draw(st.permutations([(start, cuts[i + 1]) for i, start in enumerate(cuts[:-1])]))
    finished = [land(job, start, stop) for start, stop in pieces]
    job.resolve()
    assert [False] * (len(pieces) - 1) + [True] == finished
    assert np.float32 == job.result().dtype
    assert [vector(text) for text in texts] == job.result().tolist()
    assert count == job.progress.done


def test_no_texts_are_an_empty_array():
    """A call of nothing has no rows, of the width that was asked for."""
    job = make([])
    job.make_room(256)
    job.resolve()
    assert job.result().shape == (0, 256)


def test_an_error_carries_the_rows_before_it_by_input():
    """Each input whose text had come is in `.partial`, equal texts too; what was not sent is not."""
    job = make()
    land(job, 0, 1)
    land(job, 2, 3)
    job.fail(ServerError("x", status_code=500))
    job.settle(Piece(job, 1, 2))
    assert job.settle(Piece(job, 3, 4))
    job.resolve()
    with pytest.raises(ServerError) as caught:
        job.result()
    assert {i: vector(TEXTS[i]) for i in (0, 2, 3)} == {i: row.tolist() for i, row in caught.value.partial.items()}


def test_rows_that_come_after_the_error_are_carried_too():
    """What was on the wire when the call failed was paid for."""
    job = make()
    job.fail(ServerError("x", status_code=500))
    land(job, 1, 4)
    assert job.settle(Piece(job, 0, 1))
    job.resolve()
    assert sorted(job.future.exception().partial) == [1, 3, 4, 5]


def test_an_error_before_the_first_row_carries_nothing():
    """Without any row there is no partial result."""
    job = make()
    job.fail(ServerError("x", status_code=500))
    job.settle(Piece(job, 0, 4))
    job.resolve()
    assert job.future.exception().partial == {}


@pytest.mark.parametrize(("position", "index"), [(0, 0), (1, 1), (2, 3), (3, 5), (None, None)])
def test_the_guilty_text_is_named_as_the_caller_counts(position, index):
    """A position among the different texts becomes the place of the first input with that text."""
    job = make()
    job.fail(BadRequestError("x", status_code=400, index=position))
    assert index == job.error.index


def test_the_first_error_counts():
    """What fails later does not cover up what failed first."""
    job = make()
    for message in ("first", "second"):
        job.fail(ElectronHubError(message))
    assert job.error.message == "first"


def test_calls_do_not_share_an_error():
    """Two calls that fail by one request raise errors of their own, each with its own rows."""
    shared, jobs = ServerError("x", status_code=500), [make(), make()]
    land(jobs[0], 0, 1)
    for job in jobs:
        job.fail(shared)
        job.resolve()
    assert [sorted(job.future.exception().partial) for job in jobs] == [[0, 2], []]
    assert shared.partial == {}


def test_a_call_has_failed_once_it_has_an_error_or_nobody_waits():
    """Both make a retry worth nothing."""
    waiting, failed, cancelled = make(), make(), make()
    failed.fail(ElectronHubError("x"))
    cancelled.future.cancel()
    assert [job.failed for job in (waiting, failed, cancelled)] == [False, True, True]


@pytest.mark.parametrize("error", [None, ElectronHubError("x")])
def test_a_call_that_nobody_waits_for_ends_in_silence(error):
    """Resolving after a cancellation raises nothing in the worker."""
    job = make(["a"])
    land(job, 0, 1)
    job.future.cancel()
    if error is not None:
        job.fail(error)
    job.resolve()
    assert job.future.cancelled()


def test_giving_up_takes_back_what_was_not_sent():
    """A caller that is interrupted while it waits cancels its call."""
    job = make()

    def interrupted():
        raise KeyboardInterrupt

    job.future.result = interrupted
    with pytest.raises(KeyboardInterrupt):
        job.result()
    assert job.future.cancelled()


def test_waiting_tells_whether_the_call_is_finished():
    """A look at a call that is under way comes back empty-handed."""
    job = make(["a"])
    assert job.wait(0) is False
    land(job, 0, 1)
    job.resolve()
    assert job.wait(0) is True


def test_calls_are_numbered_in_order():
    """The older call has the smaller number."""
    older, younger = make(), make()
    assert older.number < younger.number
