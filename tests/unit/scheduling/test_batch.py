"""Slices and batches: whole after each division, and tokens shared to the last one."""

from hypothesis import assume, given
from hypothesis import strategies as st

from electronhub_embeddings._scheduling.batch import Slice, divide, halve
from support.scheduler_driver import make_call, sizes, texts_of, waiting_slices


@given(waiting_slices())
def test_halves_are_halves(queue):
    """The two halves contain all texts in order, and their lengths differ by one at most."""
    left, right = halve(list(queue))
    assert texts_of(queue) == texts_of(left) + texts_of(right)
    assert 0 <= len(texts_of(right)) - len(texts_of(left)) <= 1
    assert all(len(part) for part in [*left, *right])


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8), st.data())
def test_a_part_splits_into_its_texts_of(lengths, data):
    """The two parts add up to the slice; their sizes are correct, and the attempts are kept."""
    part = Slice(make_call(lengths), 0, len(lengths), attempts=3)
    _, part = part.split(data.draw(st.integers(0, len(part) - 1)))
    count = data.draw(st.integers(0, len(part)))
    head, tail = part.split(count)
    assert (count, texts_of([part])) == (len(head), texts_of([head, tail]))
    assert {3} == {head.attempts, tail.attempts}
    assert sizes([part]) == part.size
    assert sum(lengths[: part.start]) == part.before


@given(st.integers(0, 10**12), st.lists(st.integers(0, 10**6), min_size=1, max_size=20))
def test_shares_add_up(total, weights):
    """The parts add up to the total, and each differs from its exact share by less than one."""
    assume(sum(weights))
    parts = divide(total, weights)
    assert total == sum(parts)
    assert all(
        abs(part * sum(weights) - total * weight) < sum(weights) for part, weight in zip(parts, weights, strict=True)
    )


def test_largest_remainders_come_first():
    """Two tokens for three texts go to the two larger texts."""
    assert divide(2, [1, 3, 2]) == [0, 1, 1]


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=8))
def test_no_tokens_are_no_tokens_each(weights):
    """An answer without usage charges no client."""
    assert [0] * len(weights) == divide(0, weights)
