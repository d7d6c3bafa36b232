"""Blocks of memory."""

import pytest

from electronhub_embeddings._http.large_memory import MIN_MAPPED_BYTES, new_memory


@pytest.mark.parametrize("platform", ["linux", "darwin"])
@pytest.mark.parametrize("size", [0, 1, MIN_MAPPED_BYTES - 1, MIN_MAPPED_BYTES, 3 * MIN_MAPPED_BYTES + 1])
def test_blocks_can_be_written(monkeypatch, platform, size):
    """A block has the size that was asked for, and takes what is written to it."""
    monkeypatch.setattr("sys.platform", platform)
    block = new_memory(size)
    assert len(block) == size
    block[:] = b"x" * size
    assert bytes(block) == b"x" * size
