"""The memory that answers are decoded into."""

import threading

from electronhub_embeddings._workers.memory_pool import MAX_BLOCKS, MemoryPool


def test_memory_is_used_again_while_others_use_theirs():
    """A block that was given back is lent again, if it is long enough."""
    pool = MemoryPool()
    other, block = pool.take(10), pool.take(100)
    pool.give_back(block)
    assert pool.take(50) is block
    pool.give_back(block)
    assert len(pool.take(200)) == 200
    pool.give_back(other)


def test_memory_that_nobody_uses_is_freed():
    """Nothing is kept when the last block has come back."""
    pool = MemoryPool()
    block = pool.take(100)
    pool.give_back(block)
    assert pool.take(100) is not block


def test_no_more_than_two_at_once():
    """Whoever comes while all blocks are lent waits for the first that is given back."""
    pool, lent, asking = MemoryPool(), [], threading.Event()

    def take():
        asking.set()
        lent.append(pool.take(100))

    first, *_ = [pool.take(100) for _ in range(MAX_BLOCKS)]
    thread = threading.Thread(target=take)
    thread.start()
    assert asking.wait(10)
    while not pool._waiting:
        pass
    assert not lent
    pool.give_back(first)
    thread.join(10)
    assert lent[0] is first
