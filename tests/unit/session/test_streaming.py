"""Streaming: vectors of an endless iterable, in order, a few batches ahead, with none lost on failure."""

from itertools import count, islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from electronhub_embeddings._codec.distinct_texts import prepare_texts
from electronhub_embeddings._session.async_streaming import astream
from electronhub_embeddings._session.streaming import stream
from electronhub_embeddings.errors import BadRequestError, ElectronHubError, InputError, ServerError


def rows(texts):
    """Return the vectors of texts that are numbers."""
    return np.array([[float(text)] for text in texts], np.float32).reshape(-1, 1)


class Source:
    """An iterator of the texts "0", "1", … that records how far it was read and raises at `broken`."""

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


HELD = object()
"""Stands for a batch that a test holds back."""


class Pending:
    """A call that completes at once, or when a test releases it."""

    def __init__(self, texts):
        self.texts = texts
        self.outcome = None
        self.done = self.abandoned = False

    def end(self, finished, error=None):
        """Complete the call, with `count` vectors."""
        self.done = True
        if error is not None:
            error.partial = dict(enumerate(rows(self.texts[:finished])))
        self.outcome = error or rows(self.texts)

    def result(self):
        """Return the result or raise the error; fail if the call has not ended."""
        assert self.done
        if isinstance(self.outcome, ElectronHubError):
            raise self.outcome
        return self.outcome

    def withdraw(self):
        """Fail the call, if it was held back, with half of its vectors."""
        if not self.done:
            self.end(len(self.texts) // 2, ElectronHubError("The call was withdrawn."))

    def abandon(self):
        """Record that no caller waits for the call."""
        self.abandoned = True


class AsyncPending(Pending):
    """The same, for a task."""

    async def result(self):
        """Return the result or raise the error."""
        return super().result()


class Driven:
    """Consumes an asynchronous stream that never has to wait, like a synchronous one."""

    def __init__(self, vectors):
        self._vectors = vectors

    def __iter__(self):
        return self

    def __next__(self):
        try:
            return self._drive(self._vectors.__anext__())
        except StopAsyncIteration:
            raise StopIteration from None

    def close(self):
        """Leave the stream."""
        self._drive(self._vectors.aclose())

    @staticmethod
    def _drive(awaitable):
        try:
            awaitable.send(None)
        except StopIteration as stopped:
            return stopped.value
        raise AssertionError("It waits.")


async def awaited(source):
    """Turn a source into an asynchronous one."""
    for text in source:
        yield text


KINDS = {
    "sync": (Pending, stream),
    "async": (AsyncPending, lambda source, **options: Driven(astream(source, **options))),
    "async from an async source": (AsyncPending, lambda source, **options: Driven(astream(awaited(source), **options))),
}


@pytest.fixture(params=KINDS, scope="module", autouse=True)
def kind(request):
    """Run each test with both streams, and read both kinds of sources."""
    Workers.kind, run.stream = KINDS[request.param]


class Workers:
    """Answers each batch at once, except those that a test holds back or fails."""

    def __init__(self, **trouble):
        self.trouble = {int(number[5:]): error for number, error in trouble.items()}
        self.calls = []

    def submit(self, batch):
        """Submit a batch."""
        prepare_texts(batch)
        call, trouble = self.kind(batch), self.trouble.get(len(self.calls))
        self.calls.append(call)
        if trouble is None:
            call.end(len(batch))
        elif isinstance(trouble, ElectronHubError):
            call.end(1, trouble)
        return call


def run(source, workers=None, batch_size=4, ahead=2):
    """Return the stream of a source."""
    submit = (workers or Workers()).submit
    return run.stream(source, submit=submit, batch_size=batch_size, ahead=ahead)


def numbers(vectors):
    """Return the numbers whose vectors these are."""
    return [int(vector[0]) for vector in vectors]


@given(st.integers(0, 40), st.integers(1, 7), st.integers(1, 5))
def test_vectors_come_in_order(length, batch_size, ahead):
    """Each text gets its vector, in order, for any batch size."""
    workers = Workers()
    assert list(range(length)) == numbers(run(Source(length), workers, batch_size, ahead))
    sizes = [len(call.texts) for call in workers.calls]
    assert [batch_size] * (length // batch_size) + [length % batch_size] * (length % batch_size > 0) == sizes


@given(st.integers(1, 7), st.integers(1, 5), st.integers(1, 60))
def test_the_source_is_read_a_few_batches_ahead(batch_size, ahead, taken):
    """An endless source is read at most `ahead + 1` batches beyond the yielded vectors."""
    source = Source()
    vectors = run(source, batch_size=batch_size, ahead=ahead)
    for number in range(taken):
        next(vectors)
        whole = number // batch_size * batch_size
        assert whole + (ahead + 1) * batch_size == source.read
    vectors.close()


def test_nothing_is_read_before_the_first_vector_is_asked_for():
    """Creating a stream reads and sends nothing."""
    source = Source()
    run(source)
    assert source.read == 0


def test_a_stream_that_is_left_takes_back_what_is_under_way():
    """Breaking out of the loop withdraws the batches ahead."""
    workers = Workers(batch1=HELD, batch2=HELD)
    vectors = run(Source(), workers)
    assert numbers(islice(vectors, 2)) == [0, 1]
    vectors.close()
    assert [call.abandoned for call in workers.calls] == [False, True, True]


def test_an_error_counts_from_the_first_text_of_all():
    """`.index` and `.partial` are positions in the whole iterable, and all earlier vectors were yielded."""
    workers = Workers(batch1=BadRequestError("x", status_code=400, index=2))
    vectors = run(Source(20), workers)
    assert numbers(islice(vectors, 4)) == [0, 1, 2, 3]
    with pytest.raises(BadRequestError) as caught:
        next(vectors)
    assert caught.value.index == 6
    assert {4: 4, **{i: i for i in range(8, 16)}} == {i: int(row[0]) for i, row in caught.value.partial.items()}


def test_an_error_without_index_stays_without():
    """If no text is at fault, no index is set."""
    vectors = run(Source(20), Workers(batch1=ServerError("x", status_code=500)))
    with pytest.raises(ServerError) as caught:
        list(vectors)
    assert caught.value.index is None


def test_what_later_batches_had_got_is_not_lost():
    """Batches in flight are withdrawn, and their finished vectors are in the error."""
    workers = Workers(batch0=ServerError("x", status_code=500), batch1=HELD)
    with pytest.raises(ServerError) as caught:
        next(run(Source(), workers))
    assert [call.done for call in workers.calls] == [True, True, True]
    assert sorted(caught.value.partial) == [0, 4, 5, 8, 9, 10, 11]
    assert all(int(row[0]) == i for i, row in caught.value.partial.items())


def test_a_cause_stays_the_cause():
    """The connection's error is kept as the cause."""
    error = ServerError("x", status_code=500)
    error.__cause__ = cause = OSError("reset")
    with pytest.raises(ServerError) as caught:
        next(run(Source(), Workers(batch0=error)))
    assert cause is caught.value.__cause__


def test_a_wrong_text_is_named_after_all_before_it_were_handed_out():
    """Earlier batches are finished first; the index counts from the first text of the iterable."""
    texts = [str(i) for i in range(9)] + ["", "10"]
    handed_out = []
    with pytest.raises(InputError) as caught:
        handed_out.extend(numbers([vector]) for vector in run(texts))
    assert caught.value.index == 9
    vectors = run(texts)
    assert list(range(8)) == numbers(islice(vectors, 8))


def test_a_source_that_raises_is_heard_after_all_before_it():
    """All texts from the source get their vectors before the source's own error is raised."""
    vectors = run(Source(20, broken=10))
    assert list(range(10)) == numbers(islice(vectors, 10))
    with pytest.raises(OSError, match="the disk is gone"):
        next(vectors)


def test_a_source_that_raises_at_once():
    """If the source fails at once, only the error is raised."""
    with pytest.raises(OSError, match="the disk is gone"):
        next(run(Source(broken=0)))


def test_a_client_that_is_closed_in_the_middle():
    """Vectors in flight are yielded before the error of a batch that could not be submitted."""
    workers, limit = Workers(), 2

    def submit(inputs):
        if len(workers.calls) == limit:
            raise ElectronHubError("The client is closed.")
        return workers.submit(inputs)

    vectors = run.stream(Source(20), submit=submit, batch_size=4, ahead=3)
    assert list(range(8)) == numbers(islice(vectors, 8))
    with pytest.raises(ElectronHubError, match="closed"):
        next(vectors)
