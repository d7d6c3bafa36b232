"""Packing: nothing lost, nothing doubled, nothing too large; and an estimate that learns in the right direction."""

from collections import deque

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from pieces import Call, call, texts, waiting

from electronhub_embeddings.packing import MAX_TOKENS, SAFETY, Capacity, Piece, halve, share, take, take_one


def sizes(pieces):
    """Sum up the bytes of pieces, text by text."""
    return sum(piece.job.sizes[i] for piece in pieces for i in range(piece.start, piece.stop))


@given(waiting(), st.integers(1, 10), st.integers(1, 120))
def test_join_after_take_is_the_identity(queue, max_inputs, max_bytes):
    """Request after request the texts leave in the order in which they waited, each exactly once."""
    before, gone = texts(queue), []
    while queue:
        taken = take(queue, max_inputs, max_bytes) or take_one(queue)
        gone += texts(taken)
        assert before == gone + texts(queue)


@given(waiting(), st.integers(0, 10), st.integers(0, 120))
def test_a_request_keeps_both_bounds(queue, max_inputs, max_bytes):
    """No request has more texts or bytes than it may have."""
    taken = take(queue, max_inputs, max_bytes)
    assert len(texts(taken)) <= max_inputs
    assert sizes(taken) <= max_bytes


@given(waiting(), st.integers(1, 10), st.integers(1, 120))
def test_a_request_is_as_full_as_can_be(queue, max_inputs, max_bytes):
    """What stays behind begins with a text that did not fit any more."""
    taken = take(queue, max_inputs, max_bytes)
    if queue and len(texts(taken)) < max_inputs:
        assert sizes(taken) + queue[0].job.sizes[queue[0].start] > max_bytes


@given(waiting())
def test_the_first_text_can_always_go(queue):
    """However large it is, the first text alone makes a request."""
    before = texts(queue)
    assert before[:1] == texts(take_one(queue))
    assert before[1:] == texts(queue)


def test_no_empty_piece_stays_behind():
    """A queue that was emptied is empty."""
    queue = deque([call(1).whole(), call(2).whole()])
    assert len(take(queue, 3, 3)) == 2
    assert not queue
    queue.append(call(1).whole())
    take_one(queue)
    assert not queue


@given(waiting())
def test_halves_are_halves(queue):
    """Two halves have all texts in order, and differ by one text at most."""
    left, right = halve(list(queue))
    assert texts(queue) == texts(left) + texts(right)
    assert 0 <= len(texts(right)) - len(texts(left)) <= 1
    assert all(len(piece) for piece in [*left, *right])


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8), st.data())
def test_a_piece_splits_into_its_texts(lengths, data):
    """Both parts together are the piece; sizes are those of the texts, attempts stay."""
    piece = Piece(Call("a", lengths), 0, len(lengths), attempts=3)
    _, piece = piece.split(data.draw(st.integers(0, len(piece) - 1)))
    count = data.draw(st.integers(0, len(piece)))
    head, tail = piece.split(count)
    assert (count, texts([piece])) == (len(head), texts([head, tail]))
    assert {3} == {head.attempts, tail.attempts}
    assert sizes([piece]) == piece.size
    assert sum(lengths[: piece.start]) == piece.before


@given(st.integers(0, 10**12), st.lists(st.integers(0, 10**6), min_size=1, max_size=20))
def test_shares_add_up(total, weights):
    """The parts sum up to the whole, and none is a whole token from its due."""
    assume(sum(weights))
    parts = share(total, weights)
    assert total == sum(parts)
    assert all(
        abs(part * sum(weights) - total * weight) < sum(weights) for part, weight in zip(parts, weights, strict=True)
    )


def test_largest_remainders_come_first():
    """Of two tokens for three texts the larger ones get one each."""
    assert share(2, [1, 3, 2]) == [0, 1, 1]


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=8))
def test_no_tokens_are_no_tokens_each(weights):
    """An answer without usage charges nobody."""
    assert [0] * len(weights) == share(0, weights)


def test_the_first_estimate_is_one_token_a_byte():
    """Before the first answer no request can be too large, whatever the texts are."""
    assert Capacity(2048).max_bytes == MAX_TOKENS == 300_000


def test_the_first_answer_counts_in_full():
    """From the first charge on requests are as full as the texts allow, with a margin."""
    capacity = Capacity(2048)
    capacity.learn_price(1000, 250)
    assert pytest.approx(SAFETY * 0.25) == capacity.tokens_per_byte
    assert pytest.approx(1_142_857, rel=1e-5) == capacity.max_bytes


@given(st.floats(0.05, 0.5), st.floats(0.05, 0.8))
def test_the_price_rises_at_once_and_falls_slowly(first, second):
    """Denser texts are believed at once, for a refusal costs a request; lighter ones only bit by bit."""
    capacity = Capacity(2048)
    capacity.learn_price(10**6, int(first * 10**6))
    before, due = capacity.tokens_per_byte, min(1.0, SAFETY * second)
    capacity.learn_price(10**6, int(second * 10**6))
    if due > before:
        assert pytest.approx(due, rel=1e-4) == capacity.tokens_per_byte
    else:
        assert pytest.approx(before - 0.25 * (before - due), rel=1e-4) == capacity.tokens_per_byte


@given(st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 10**7)), min_size=1))
def test_a_price_never_passes_a_token_a_byte(answers):
    """Whatever is charged, the estimate is positive and at most one token for each byte."""
    capacity = Capacity(2048)
    for size, tokens in answers:
        capacity.learn_price(size, tokens)
        assert 0 < capacity.tokens_per_byte <= 1


@pytest.mark.parametrize(("size", "tokens"), [(0, 5), (5, 0), (0, 0)])
def test_an_answer_without_a_charge_teaches_nothing(size, tokens):
    """Without usage the careful estimate stays."""
    capacity = Capacity(2048)
    capacity.learn_price(size, tokens)
    assert Capacity(2048) == capacity


@pytest.mark.parametrize(
    ("refused", "named", "left"),
    [(2048, 100, 100), (2048, None, 1024), (3, None, 1), (1, None, 1), (500, 2048, 500), (2, 1, 1)],
)
def test_a_refusal_of_inputs_tells_the_limit(refused, named, left):
    """The number in the message counts, else half of what was refused; a limit never grows, and never is 0."""
    capacity = Capacity(min(refused, 500) if named == 2048 else 2048)
    capacity.learn_inputs(refused, named)
    assert left == capacity.max_inputs


@given(st.integers(2, 2048), st.data())
def test_a_refusal_of_inputs_makes_the_next_request_smaller(refused, data):
    """After any refusal of several texts fewer fit."""
    capacity = Capacity(2048)
    capacity.learn_inputs(refused, data.draw(st.none() | st.integers(1, refused - 1)))
    assert capacity.max_inputs < refused


TOKENS = st.none() | st.integers(1, 10**7)


@given(st.floats(0.01, 2.0), st.integers(2, 10**7), TOKENS, TOKENS)
@example(1.0, 16_384, 21_000, 20_000)  # with the margin the sum is the limit to the last bit
def test_a_refusal_of_tokens_makes_the_next_request_smaller(price, size, named, requested):
    """After any refusal fewer bytes fit, whatever numbers stand in it: so a loop of refusals ends."""
    capacity = Capacity(2048, tokens_per_byte=price)
    assume(size <= capacity.max_bytes)
    capacity.learn_tokens(size, named, requested)
    assert 1 <= capacity.max_bytes < size


def test_a_refusal_of_tokens_tells_the_limit_and_the_price():
    """With both numbers in the message the next request just fits."""
    capacity = Capacity(2048, tokens_per_byte=0.25)
    capacity.learn_tokens(1_200_000, 100_000, 400_000)
    assert capacity.max_tokens == 100_000
    assert 0.7 * 300_000 < capacity.max_bytes < 300_000


@pytest.mark.parametrize("size", [1000, 200_000, 1_200_000])
def test_a_refusal_of_tokens_without_numbers_halves(size):
    """Where the message names no number, the next request has half the bytes, not less."""
    capacity = Capacity(2048, tokens_per_byte=0.25)
    capacity.learn_tokens(size, None, None)
    assert (size // 2, MAX_TOKENS) == (capacity.max_bytes, capacity.max_tokens)


def test_a_limit_of_tokens_never_grows():
    """The smallest limit that was ever named holds."""
    capacity = Capacity(2048)
    capacity.learn_tokens(10_000, 5_000, 10_000)
    capacity.learn_tokens(4_000, 300_000, 6_000)
    assert capacity.max_tokens == 5_000
