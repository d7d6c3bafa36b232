"""The output of a call: where its vectors are decoded to."""

import numpy as np
import pytest

from electronhub_embeddings._codec.distinct_texts import prepare_texts
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
    """The rows that are handed out are rows of the result, which is float32."""
    output = VectorOutput(prepare_texts(["cached", "sent"]), as_lists=False)
    output.put_known(np.zeros((1, 2), np.float32))
    rows = output.place(1, 2, 2)
    rows[:] = 1
    output.put(1, 2, rows)
    assert output.result().tolist() == [[0, 0], [1, 1]]
    assert output.result().dtype == np.float32


def test_vectors_are_stored_while_others_are_looked_at():
    """A caller that gives up looks while workers go on: it gets a part, whenever the first vectors come."""

    class Arrays(dict):
        def get(self, *arguments):
            found = super().get(*arguments)
            output.put(0, 1, np.ones((1, 2), np.float32))
            return found

    output = VectorOutput(prepare_texts(["a", "b"]), as_lists=False)
    output._arrays = Arrays()
    assert output.partial() == {}
    assert list(output.partial()) == [0]


def test_equal_texts_have_equal_vectors_of_their_own():
    """In lists and in an array: changing one does not change the other."""
    for as_lists in (False, True):
        output = VectorOutput(prepare_texts(["a", "b", "a", "a"]), as_lists=as_lists)
        assert (output.place(0, 2, 1) is None) == as_lists
        output.put(0, 2, np.array([[1], [2]], np.float32))
        vectors = output.result()
        assert [list(vector) for vector in vectors] == [[1.0], [2.0], [1.0], [1.0]]
        vectors[2][0] = 9.0
        assert [list(vector) for vector in vectors] == [[1.0], [2.0], [9.0], [1.0]]
        assert list(output.partial()) == [0, 1, 2, 3]


def test_lists_are_of_python_floats():
    """As the frameworks and JSON want them; without equal texts the same lists are handed out."""
    output = VectorOutput(prepare_texts(["a", "b"]), as_lists=True)
    output.put(1, 2, np.array([[0.5, 2]], np.float32))
    assert {index: (vector.dtype, vector.tolist()) for index, vector in output.partial().items()} == {
        1: (np.float32, [0.5, 2.0])
    }
    output.put(0, 1, np.zeros((1, 2), np.float32))
    assert output.result() == [[0.0, 0.0], [0.5, 2.0]]
    assert {type(number) for vector in output.result() for number in vector} == {float}


def test_vectors_are_kept_before_they_are_handed_out():
    """What is cached already is not kept again, and what could not be kept is not part of the result."""
    kept = []

    def keep(start, stop, vectors):
        if start == 2:
            raise OSError("disk full")
        kept.append((start, stop, vectors.tolist()))

    output = VectorOutput(prepare_texts(["a", "b", "c"]), as_lists=False, keep=keep)
    output.put_known(np.array([[1]], np.float32))
    output.put(1, 2, np.array([[2]], np.float32))
    with pytest.raises(OSError, match="disk full"):
        output.put(2, 3, np.array([[3]], np.float32))
    assert kept == [(1, 2, [[2.0]])]
    assert {index: vector.tolist() for index, vector in output.partial().items()} == {0: [1.0], 1: [2.0]}


def test_nothing_was_stored():
    """A call that fails at its first request has an empty `.partial`."""
    assert VectorOutput(prepare_texts(["a"]), as_lists=False).partial() == {}


def test_cached_vectors_are_forgotten():
    """They are not part of `.partial` until the same texts have vectors again, which are not kept unless wanted."""
    kept = []
    for as_lists in (False, True):
        output = VectorOutput(prepare_texts(["a", "b"]), as_lists=as_lists, keep=lambda *_: kept.append(True))
        output.put_known(np.array([[1]], np.float32))
        output.put(1, 2, np.array([[2]], np.float32), keep=False)
        output.forget_known()
        assert {index: vector.tolist() for index, vector in output.partial().items()} == {1: [2.0]}
        output.put(0, 1, np.array([[3]], np.float32), keep=False)
        assert [list(vector) for vector in output.result()] == [[3.0], [2.0]]
    assert kept == []


def test_without_cached_vectors_the_service_sets_the_length():
    """A model that has changed may also have another number of dimensions."""
    output = VectorOutput(prepare_texts(["cached", "sent"]), as_lists=False)
    output.put_known(np.ones((1, 2), np.float32))
    output.forget_known()
    output.put(0, 2, np.zeros((2, 3), np.float32))
    assert output.result().tolist() == [[0.0] * 3] * 2


def test_cached_vectors_are_forgotten_once():
    """Two answers at once can both say that the model has changed; the second finds nothing left to forget."""
    output = VectorOutput(prepare_texts(["cached", "sent"]), as_lists=False)
    output.put_known(np.ones((1, 2), np.float32))
    output.forget_known()
    output.put(0, 2, np.zeros((2, 3), np.float32))
    output.forget_known()
    assert output.result().tolist() == [[0.0] * 3] * 2
