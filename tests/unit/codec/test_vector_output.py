"""The output of a call: where its vectors are decoded to."""

import numpy as np
import pytest

from electronhub_embeddings._codec.text_preparation import prepare_texts
from electronhub_embeddings._codec.vector_output import VectorOutput
from electronhub_embeddings.errors import InvalidResponseError


def test_vectors_of_another_length_than_the_cached_ones_have_no_place():
    """Vectors are decoded elsewhere if the cached ones have another length, and are refused when they are stored."""
    output = VectorOutput(prepare_texts(["cached", "sent"]), as_lists=False)
    output.put_known(np.ones((1, 2), np.float32))
    assert output.place(1, 2, 3) is None
    with pytest.raises(InvalidResponseError, match="2 dimensions in the cache, 3 at the service"):
        output.put(1, 2, np.ones((1, 3), np.float32))
    assert list(output.partial()) == [0]


def test_vectors_of_the_same_length_are_decoded_in_place():
    """The rows that are handed out are rows of the result."""
    output = VectorOutput(prepare_texts(["cached", "sent"]), as_lists=False)
    output.put_known(np.zeros((1, 2), np.float32))
    rows = output.place(1, 2, 2)
    rows[:] = 1
    output.put(1, 2, rows)
    assert output.result().tolist() == [[0, 0], [1, 1]]
