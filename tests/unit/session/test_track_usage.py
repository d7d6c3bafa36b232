"""Blocks of `track_usage`: which of them the current context is in, and what they cost."""

import asyncio
import contextvars
import math

import pytest

from electronhub_embeddings import Usage, track_usage
from electronhub_embeddings.usage import tracked_usages


def test_a_block_begins_at_zero_and_ends():
    """A block's counters are new ones, and nothing is left in the context."""
    with track_usage() as usage:
        assert usage == Usage()
        assert tracked_usages.get() == (usage,)
    assert tracked_usages.get() == ()


def test_a_block_that_fails_ends():
    """An exception goes through unchanged."""
    with pytest.raises(KeyError), track_usage():
        raise KeyError
    assert tracked_usages.get() == ()


def test_blocks_are_nested():
    """Code is in all blocks around it."""
    with track_usage() as outer, track_usage() as inner:
        first, second = tracked_usages.get()
        assert first is outer
        assert second is inner


def test_blocks_in_generators_end_in_any_order():
    """The block that ends is the generator's own, although another one began later."""

    def numbers():
        with track_usage() as usage:
            yield usage

    first, second = numbers(), numbers()
    next(first)
    kept = next(second)
    first.close()
    assert [usage is kept for usage in tracked_usages.get()] == [True]
    second.close()
    assert tracked_usages.get() == ()


def test_a_block_ends_in_another_context():
    """A web framework can end a generator in another context than it began in."""
    block = track_usage()
    contextvars.copy_context().run(block.__enter__)
    block.__exit__(None, None, None)
    assert tracked_usages.get() == ()


def test_tasks_are_in_the_block_in_which_they_were_created():
    """Tasks that run at the same time are in their own blocks and in those around them all."""

    async def task():
        with track_usage() as usage:
            await asyncio.sleep(0)
            return tracked_usages.get()[-1] is usage, len(tracked_usages.get())

    async def main():
        with track_usage():
            return await asyncio.gather(task(), task())

    assert asyncio.run(main()) == [(True, 2), (True, 2)]


def test_cost():
    """The price is that of a million tokens; without one, the cost is not known."""
    with track_usage(price=0.02) as usage:
        usage.prompt_tokens = 500_000
        assert usage.cost == 0.01
    with track_usage(price=0) as usage:
        assert usage.cost == 0
    with track_usage() as usage:
        assert usage.cost is None
    assert Usage().cost is None


@pytest.mark.parametrize("price", [-1, math.inf, math.nan, True, "0.02", [1]])
def test_a_price_is_a_number(price):
    """Anything else is refused when the block begins, and no block is left."""
    with pytest.raises(ValueError, match="price must be None or a number, at least 0"), track_usage(price=price):
        pass
    assert tracked_usages.get() == ()
