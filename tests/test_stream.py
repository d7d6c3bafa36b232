"""Vectors of an endless iterable: in order, a few batches ahead, and nothing lost when something fails."""

from functools import partial
from itertools import count, islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from electronhub_embeddings.errors import BadRequestError, ElectronHubError, InputError, ServerError
from electronhub_embeddings.inputs import prepare
from electronhub_embeddings.job import Job
from electronhub_embeddings.packing import Piece
from electronhub_embeddings.progress import Progress
from electronhub_embeddings.stream import stream
from electronhub_embeddings.usage import Usage


def rows(texts):
    """Return the vectors of texts that are numbers."""
    return np.array([[float(text)] for text in texts], np.float32).reshape(-1, 1)


class Source:
    """Texts "0", "1", … that note how far they were read; at `broken` they raise."""

    def __init__(self, length=None, broken=None):
        self.read = 0
        self._numbers = count() if length is None else range(length)
        self._broken = broken

    def __iter__(self):
        for number in self._numbers:
            if number == self._broken:
                raise OSError("the disk is gone")
            self.read += 1
            yield str(number)


class Desk:
    """Takes batches as a line does: each is answered at once, except for what a test holds back or lets fail."""

    def __init__(self, **trouble):
        self.trouble = {int(number[5:]): error for number, error in trouble.items()}
        self.jobs = []
        self.withdrawn = []

    def submit(self, batch):
        """Take a batch."""
        inputs = prepare(batch)
        number = len(self.jobs)
        job = Job(inputs, is_query=False, max_wait=None, usage=Usage(), progress=Progress())
        job.withdraw = partial(self.withdraw, number)
        self.jobs.append(job)
        job.make_room(1)
        job.future.result = partial(job.future.result, timeout=0)  # who asks too early is told so, and does not hang
        trouble = self.trouble.get(number)
        if trouble is None:
            self.land(job, len(inputs.texts))
            job.resolve()
        elif isinstance(trouble, ElectronHubError):
            self.land(job, 1)
            job.fail(trouble)
            job.resolve()
        return job

    def withdraw(self, number):
        """Let a batch fail, half of which had come."""
        self.withdrawn.append(number)
        job = self.jobs[number]
        if not job.future.done():
            self.land(job, len(job.inputs.texts) // 2)
            job.fail(ElectronHubError("The call was withdrawn."))
            job.resolve()

    @staticmethod
    def land(job, many):
        """Let the first rows of a batch come."""
        piece = Piece(job, 0, many)
        job.place(piece, rows(job.inputs.texts[:many]))
        job.land(piece)


HELD = "held back"


def run(source, desk=None, batch_size=4, ahead=2):
    """Return the stream of a source."""
    submit = (desk or Desk()).submit
    return stream(source, submit=submit, batch_size=batch_size, ahead=ahead)


def numbers(vectors):
    """Return the numbers whose vectors these are."""
    return [int(vector[0]) for vector in vectors]


@given(st.integers(0, 40), st.integers(1, 7), st.integers(1, 5))
def test_vectors_come_in_order(length, batch_size, ahead):
    """Each text gets its vector, in order, however the batches fall."""
    desk = Desk()
    assert list(range(length)) == numbers(run(Source(length), desk, batch_size, ahead))
    sizes = [len(job.inputs.texts) for job in desk.jobs]
    assert [batch_size] * (length // batch_size) + [length % batch_size] * (length % batch_size > 0) == sizes


@given(st.integers(1, 7), st.integers(1, 5), st.integers(1, 60))
def test_the_source_is_read_a_few_batches_ahead(batch_size, ahead, taken):
    """An endless source is read `ahead + 1` batches beyond what was handed out, never more."""
    source = Source()
    vectors = run(source, batch_size=batch_size, ahead=ahead)
    for number in range(taken):
        next(vectors)
        whole = number // batch_size * batch_size
        assert whole + (ahead + 1) * batch_size == source.read
    vectors.close()


def test_nothing_is_read_before_the_first_vector_is_asked_for():
    """Making a stream costs nothing."""
    source = Source()
    run(source)
    assert source.read == 0


def test_a_stream_that_is_left_takes_back_what_is_under_way():
    """Whoever breaks out of the loop does not pay for the batches ahead."""
    desk = Desk(batch1=HELD, batch2=HELD)
    vectors = run(Source(), desk)
    assert numbers(islice(vectors, 2)) == [0, 1]
    vectors.close()
    assert [job.future.cancelled() for job in desk.jobs] == [False, True, True]


def test_an_error_counts_from_the_first_text_of_all():
    """Index and partial are positions in the whole iterable, and every vector before was handed out."""
    desk = Desk(batch1=BadRequestError("x", status_code=400, index=2))
    vectors = run(Source(20), desk)
    assert numbers(islice(vectors, 4)) == [0, 1, 2, 3]
    with pytest.raises(BadRequestError) as caught:
        next(vectors)
    assert caught.value.index == 6
    assert {4: 4, **{i: i for i in range(8, 16)}} == {i: int(row[0]) for i, row in caught.value.partial.items()}


def test_an_error_without_index_stays_without():
    """Where no text is to blame none is named."""
    vectors = run(Source(20), Desk(batch1=ServerError("x", status_code=500)))
    with pytest.raises(ServerError) as caught:
        list(vectors)
    assert caught.value.index is None


def test_what_later_batches_had_got_is_not_lost():
    """Batches under way are withdrawn, and what had come of them is in the error."""
    desk = Desk(batch0=ServerError("x", status_code=500), batch1=HELD)
    with pytest.raises(ServerError) as caught:
        next(run(Source(), desk))
    assert desk.withdrawn == [1]  # the third had come whole
    assert sorted(caught.value.partial) == [0, 4, 5, 8, 9, 10, 11]
    assert all(int(row[0]) == i for i, row in caught.value.partial.items())


def test_a_cause_stays_the_cause():
    """The error of the connection is still below ours."""
    error = ServerError("x", status_code=500)
    error.__cause__ = cause = OSError("reset")
    with pytest.raises(ServerError) as caught:
        next(run(Source(), Desk(batch0=error)))
    assert cause is caught.value.__cause__


def test_a_wrong_text_is_named_after_all_before_it_were_handed_out():
    """Batches that were good are finished first; the index counts from the first text of all."""
    texts = [str(i) for i in range(9)] + ["", "10"]
    handed_out = []
    with pytest.raises(InputError) as caught:
        handed_out.extend(numbers([vector]) for vector in run(texts))
    assert caught.value.index == 9
    vectors = run(texts)
    assert list(range(8)) == numbers(islice(vectors, 8))


def test_a_source_that_raises_is_heard_after_all_before_it():
    """Every text that the source gave has its vector before the source's own error comes up."""
    vectors = run(Source(20, broken=10))
    assert list(range(10)) == numbers(islice(vectors, 10))
    with pytest.raises(OSError, match="the disk is gone"):
        next(vectors)


def test_a_source_that_raises_at_once():
    """Without any text there is only the error."""
    with pytest.raises(OSError, match="the disk is gone"):
        next(run(Source(broken=0)))


def test_a_client_that_is_closed_in_the_middle():
    """What was under way is handed out before the error of the batch that was not taken any more."""
    desk, limit = Desk(), 2

    def submit(inputs):
        if len(desk.jobs) == limit:
            raise ElectronHubError("The client is closed.")
        return desk.submit(inputs)

    vectors = stream(Source(20), submit=submit, batch_size=4, ahead=3)
    assert list(range(8)) == numbers(islice(vectors, 8))
    with pytest.raises(ElectronHubError, match="closed"):
        next(vectors)
