"""Where the vectors of a batch are decoded to."""

from types import SimpleNamespace

from electronhub_embeddings._workers.batch_sender import MIN_POOLED_TEXTS, _Allocation
from electronhub_embeddings._workers.memory_pool import MAX_BLOCKS, MemoryPool


def test_a_query_does_not_wait_for_memory():
    """While all blocks of the pool are lent to documents, the vectors of a few texts have an array of their own."""
    pool = MemoryPool()
    for _ in range(MAX_BLOCKS):
        pool.take(1)
    output = SimpleNamespace(place=lambda *_: None)
    part = SimpleNamespace(call=SimpleNamespace(output=output), start=0, stop=1)
    allocation = _Allocation(SimpleNamespace(slices=[part], reference_for=None), pool)
    assert allocation.allocate(MIN_POOLED_TEXTS - 1, 4).shape == (MIN_POOLED_TEXTS - 1, 4)
    assert allocation.block is None
