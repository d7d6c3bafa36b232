"""Batching: no text lost, duplicated or oversized; and an estimate that is corrected in the right direction."""

from collections import deque

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from electronhub_embeddings._scheduling.batch_limits import (
    ESTIMATE_MARGIN,
    MAX_TOKENS,
    BatchLimits,
    take,
    take_one,
)
from support.scheduler_driver import size_of, sizes, texts_of, waiting_slices, whole_slice


@given(waiting_slices(), st.integers(1, 10), st.integers(1, 120))
def test_join_after_take_is_the_identity(queue, max_inputs, max_bytes):
    """The texts leave in the order in which they were queued, each exactly once."""
    before, gone = texts_of(queue), []
    while queue:
        taken = take(queue, max_inputs, max_bytes) or take_one(queue)
        gone += texts_of(taken)
        assert before == gone + texts_of(queue)


@given(waiting_slices(), st.integers(0, 10), st.integers(0, 120))
def test_a_batch_keeps_both_bounds(queue, max_inputs, max_bytes):
    """No batch has more texts or bytes than it may have."""
    taken = take(queue, max_inputs, max_bytes)
    assert len(texts_of(taken)) <= max_inputs
    assert sizes(taken) <= max_bytes


@given(waiting_slices(), st.integers(1, 10), st.integers(1, 120))
def test_a_batch_is_as_full_as_can_be(queue, max_inputs, max_bytes):
    """The first remaining text would not have fitted."""
    taken = take(queue, max_inputs, max_bytes)
    if queue and len(texts_of(taken)) < max_inputs:
        assert sizes(taken) + size_of(queue[0], queue[0].start) > max_bytes


@given(waiting_slices())
def test_the_first_text_can_always_go(queue):
    """The first text makes a batch on its own, whatever its size."""
    before = texts_of(queue)
    assert before[:1] == texts_of(take_one(queue))
    assert before[1:] == texts_of(queue)


def test_the_number_of_texts_is_bounded_over_several_calls():
    """Whole calls and the beginning of the next, up to the bound."""
    queue = deque([whole_slice(2), whole_slice(2), whole_slice(4)])
    assert [len(part) for part in take(queue, 5, 100)] == [2, 2, 1]
    assert [len(part) for part in queue] == [3]


def test_no_empty_part_stays_behind():
    """A queue that was emptied is empty."""
    queue = deque([whole_slice(1), whole_slice(2)])
    assert len(take(queue, 3, 3)) == 2
    assert not queue
    queue.append(whole_slice(1))
    take_one(queue)
    assert not queue


def test_the_first_estimate_is_one_token_a_byte():
    """Before the first answer, no request can be too large, whatever its texts."""
    assert BatchLimits(2048).max_bytes == MAX_TOKENS == 300_000


def test_the_first_answer_counts_in_full():
    """After the first answer with usage, requests are as full as the texts allow, minus a margin."""
    limits = BatchLimits(2048)
    limits.learn_tokens_per_byte(1000, 250)
    assert pytest.approx(ESTIMATE_MARGIN * 0.25) == limits.tokens_per_byte
    assert pytest.approx(1_142_857, rel=1e-5) == limits.max_bytes


@given(st.floats(0.05, 0.5), st.floats(0.05, 0.8))
def test_the_price_rises_at_once_and_falls_slowly(first, second):
    """More tokens per byte are adopted at once, because a refusal costs a request; fewer are adopted gradually."""
    limits = BatchLimits(2048)
    limits.learn_tokens_per_byte(10**6, int(first * 10**6))
    before, due = limits.tokens_per_byte, min(1.0, ESTIMATE_MARGIN * second)
    limits.learn_tokens_per_byte(10**6, int(second * 10**6))
    if due > before:
        assert pytest.approx(due, rel=1e-4) == limits.tokens_per_byte
    else:
        assert pytest.approx(before - 0.25 * (before - due), rel=1e-4) == limits.tokens_per_byte


@given(st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 10**7)), min_size=1))
def test_a_price_never_passes_a_token_a_byte(answers):
    """For any usage, the estimate is positive and at most one token per byte."""
    limits = BatchLimits(2048)
    for size, tokens in answers:
        limits.learn_tokens_per_byte(size, tokens)
        assert 0 < limits.tokens_per_byte <= 1


@pytest.mark.parametrize(("size", "tokens"), [(0, 5), (5, 0), (0, 0)])
def test_an_answer_without_a_charge_teaches_nothing(size, tokens):
    """Without usage the careful estimate stays."""
    limits = BatchLimits(2048)
    limits.learn_tokens_per_byte(size, tokens)
    assert BatchLimits(2048) == limits


@pytest.mark.parametrize(
    ("refused", "named", "left"),
    [(2048, 100, 100), (2048, None, 1024), (3, None, 1), (1, None, 1), (500, 2048, 500), (2, 1, 1)],
)
def test_a_refusal_of_inputs_tells_the_limit(refused, named, left):
    """The number in the message applies, else half of the refused number; a limit never grows and is never 0."""
    limits = BatchLimits(min(refused, 500) if named == 2048 else 2048)
    limits.learn_max_inputs(refused, named)
    assert left == limits.max_inputs


@given(st.integers(2, 2048), st.data())
def test_a_refusal_of_inputs_makes_the_next_request_smaller(refused, data):
    """After any refusal of several texts fewer fit."""
    limits = BatchLimits(2048)
    limits.learn_max_inputs(refused, data.draw(st.none() | st.integers(1, refused - 1)))
    assert limits.max_inputs < refused


TOKENS = st.none() | st.integers(1, 10**7)


@given(st.floats(0.01, 2.0), st.integers(2, 10**7), TOKENS, TOKENS)
@example(1.0, 16_384, 21_000, 20_000)  # with the margin the sum is the limit to the last bit
def test_a_refusal_of_tokens_makes_the_next_request_smaller(price, size, named, requested):
    """After any refusal fewer bytes fit, whatever numbers it names, so a series of refusals ends."""
    limits = BatchLimits(2048, tokens_per_byte=price)
    assume(size <= limits.max_bytes)
    limits.learn_max_tokens(size, named, requested)
    assert 1 <= limits.max_bytes < size


def test_a_refusal_of_tokens_tells_the_limit_and_the_price():
    """With both numbers in the message the next request just fits."""
    limits = BatchLimits(2048, tokens_per_byte=0.25)
    limits.learn_max_tokens(1_200_000, 100_000, 400_000)
    assert limits.max_tokens == 100_000
    assert 0.7 * 300_000 < limits.max_bytes < 300_000


@pytest.mark.parametrize("size", [1000, 200_000, 1_200_000])
def test_a_refusal_of_tokens_without_numbers_halves(size):
    """If the message names no number, the next request has half the bytes, not fewer."""
    limits = BatchLimits(2048, tokens_per_byte=0.25)
    limits.learn_max_tokens(size, None, None)
    assert (size // 2, MAX_TOKENS) == (limits.max_bytes, limits.max_tokens)


def test_a_limit_of_tokens_never_grows():
    """The smallest limit named so far applies."""
    limits = BatchLimits(2048)
    limits.learn_max_tokens(10_000, 5_000, 10_000)
    limits.learn_max_tokens(4_000, 300_000, 6_000)
    assert limits.max_tokens == 5_000
