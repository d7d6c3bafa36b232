"""The waiting texts: which of them make up the next batch."""

import pytest

from electronhub_embeddings._scheduling.batch import Slice
from electronhub_embeddings._scheduling.batch_limits import BatchLimits
from electronhub_embeddings._scheduling.waiting_texts import WaitingTexts
from support.scheduler_driver import make_call, texts_of


def waiting(*calls):
    """Return the waiting texts of calls."""
    texts = WaitingTexts()
    for call in calls:
        texts.add(call)
    return texts


def batches(texts, *, limited=False, hold_documents=False):
    """Take all texts, batch by batch, as for four connections; return the number of texts in each."""
    counts = []
    while texts.documents or texts.queries:
        taken = texts.take(BatchLimits(2048), limited=limited, connections=4, hold_documents=hold_documents)
        counts.append(len(texts_of(taken)))
    return counts


def test_documents_are_divided_among_the_connections():
    """Without a limit: each batch is a connection's share of what is left, but at least half of its share of all."""
    assert batches(waiting(make_call(1003))) == [251, 188, 141, 125, 125, 125, 48]


def test_small_batches_are_not_divided():
    """A request of 64 texts takes hardly longer than one of 16."""
    assert batches(waiting(make_call(100))) == [64, 36]


def test_where_requests_are_scarce_they_are_full():
    """With a limit, a query takes as many documents along as fit."""
    assert batches(waiting(make_call(3000), make_call(2, is_query=True)), limited=True) == [2048, 954]
    assert batches(waiting(make_call(100), make_call(2, is_query=True))) == [2, 64, 36]


@pytest.mark.parametrize(
    ("calls", "requests"),
    [([], 0), ([1], 1), ([2048], 1), ([2049], 2), ([2048, 2048], 2), ([100_000], 49), ([[700_000, 300_000]], 4)],
)
def test_how_many_requests_documents_need(calls, requests):
    """By their number or by their size, whichever needs more."""
    assert waiting(*map(make_call, calls)).document_batches(BatchLimits(2048)) == requests


def test_queries_travel_with_documents():
    """Without documents no request has any; beside them, queries take their places."""
    query = make_call(1, is_query=True)
    assert waiting(query).document_batches(BatchLimits(8)) == 0
    assert waiting(query, make_call(8)).document_batches(BatchLimits(8)) == 2


def test_how_many_batches_leave_until_a_call_is_sent():
    """By the number of texts, and by their size as soon as an answer has told what a byte costs."""
    queued = make_call(7), make_call(3), make_call([100] * 5), make_call(is_query=True)
    texts, careful = waiting(*queued), BatchLimits(10, max_tokens=100)
    assert [texts.batches_until_last(call, careful) for call in (*queued, make_call())] == [1, 1, 2, 1, 0]
    known = BatchLimits(10, max_tokens=100, observed=True)
    assert [texts.batches_until_last(call, known) for call in queued] == [1, 1, 6, 1]
    alone = make_call([100] * 5)
    assert waiting(alone).batches_until_last(alone, known) == 5


def test_what_was_taken_out_is_no_longer_counted():
    """The number and the size of what waits decide about full batches, and how many requests are needed."""
    gone, left = make_call([7] * 3000), make_call([7] * 20)
    texts = waiting(gone, left)
    texts.take_out(lambda part: part.call is gone)
    assert (texts.depth, texts.document_batches(BatchLimits(10))) == (20, 2)
    assert [texts.fills(BatchLimits(2048, max_tokens=tokens)) for tokens in (141, 140)] == [False, True]


@pytest.mark.parametrize(("texts", "is_full"), [(7, False), (8, True), (9, True)])
def test_when_a_batch_is_full(texts, is_full):
    """A full batch need not wait for further texts."""
    assert waiting(make_call(texts)).fills(BatchLimits(8)) is is_full


def test_documents_beside_queries_have_what_is_left_of_a_request():
    """Of its places and of its size."""
    for limits in (BatchLimits(8, max_tokens=100), BatchLimits(2)):
        texts = waiting(make_call([60], is_query=True), make_call([30, 30]))
        assert len(texts_of(texts.take(limits, limited=True, connections=4, hold_documents=False))) == 2


def test_older_calls_come_first_whenever_they_came():
    """After a lookup, or after a pause: each takes its place among those that wait, and is counted once."""
    calls = [make_call(2) for _ in range(6)]
    first, second, third, fourth, fifth, sixth = calls
    texts = waiting(first, fifth, sixth, second, third)
    assert [part.call for part in texts.documents] == [first, second, third, fifth, sixth]
    texts.put_back(Slice(fourth, 1, 2), due=5.0)
    texts.put_back(Slice(fourth, 0, 1), due=5.0)
    texts.end_pauses(4.0)
    assert (len(texts.documents), texts.depth, texts.next_due()) == (5, 12, 5.0)
    texts.end_pauses(5.0)
    assert texts_of(texts.documents) == [(call.number, place) for call in calls for place in range(2)]
    assert (texts.depth, texts.document_batches(BatchLimits(12)), texts.next_due()) == (12, 1, None)
