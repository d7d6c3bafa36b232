"""The distance of two reference vectors: rounding is never taken for another model."""

import math
from dataclasses import replace

import numpy as np
import pytest

from electronhub_embeddings._codec.reference_vector import MAX_DISTANCE, REFERENCE_TEXT, relative_distance
from electronhub_embeddings.emulator._embeddings import MODELS, count_tokens
from electronhub_embeddings.emulator._vector_source import VectorSource

ANSWERS = 1_000_000
CHUNK = 10_000
DIMENSIONS = 256


def to_bfloat16(vectors):
    """Round float32 to the nearest bfloat16: the upper 16 bits."""
    bits = vectors.view(np.uint32)
    return (bits + 0x7FFF + (bits >> 16 & 1) & np.uint32(0xFFFF0000)).view(np.float32)


def to_digits(digits):
    """Return a function that rounds to a number of significant digits, as decimal text does."""

    def round_(vectors):
        scale = 10.0 ** (digits - 1 - np.floor(np.log10(np.abs(vectors, dtype=np.float64))))
        return np.float32(np.rint(vectors * scale) / scale)

    return round_


ROUNDINGS = {
    "float16": lambda vectors: vectors.astype(np.float16).astype(np.float32),
    "bfloat16": to_bfloat16,
    "float32": lambda vectors: (vectors.astype(np.float64) * (1 + 2.0**-24)).astype(np.float32),
    "6 digits": to_digits(6),
    "7 digits": to_digits(7),
    "8 digits": to_digits(8),
}

LARGEST = {"float16": 3e-4, "bfloat16": 2e-3, "float32": 1e-7, "6 digits": 2e-6, "7 digits": 3e-7, "8 digits": 1e-7}
"""The figures of docs/caching.md, rounded up."""


def distances(kept, received):
    """Return the relative distances of many pairs of vectors at once."""
    wide = kept.astype(np.float64)
    return np.linalg.norm(wide - received, axis=1) / np.linalg.norm(wide, axis=1)


def random_vectors(random, count):
    """Draw unit vectors, as float32."""
    vectors = random.standard_normal((count, DIMENSIONS), np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_rounding_is_far_below_the_bound(rounding):
    """Each rounding moves a vector by what the documents say."""
    vectors = random_vectors(np.random.default_rng(1), 1000)
    rounded = ROUNDINGS[rounding](vectors)
    most = max(relative_distance(kept, received) for kept, received in zip(vectors, rounded, strict=True))
    assert most <= LARGEST[rounding] < MAX_DISTANCE / 50
    assert most == pytest.approx(distances(vectors, rounded).max())


@pytest.mark.slow
def test_a_million_rounded_answers():
    """No answer that differs by rounding is taken for another model's, with the worst noise reported on top of it."""
    random = np.random.default_rng(2)
    seen, most = 0, 0.0
    while seen < ANSWERS:
        vectors = random_vectors(random, CHUNK)
        noise = random_vectors(random, CHUNK) * np.float32(0.035)
        received = list(ROUNDINGS.values())[seen // CHUNK % len(ROUNDINGS)](vectors + noise)
        most = max(most, distances(vectors, received).max())
        seen += CHUNK
    assert 0.034 < most < 0.036 < MAX_DISTANCE / 5


@pytest.mark.parametrize("dimensions", [256, 1536])
def test_another_model_is_far_above_the_bound(dimensions):
    """Other models and versions are as far apart as vectors that have nothing to do with each other."""
    model = MODELS["text-embedding-3-small"]
    others = [replace(model, version=version) for version in range(2, 12)] + [MODELS["text-embedding-ada-002"]]
    source = VectorSource("hashed")
    kept = source.embed([REFERENCE_TEXT], model, dimensions)[0]
    assert relative_distance(kept, source.embed([REFERENCE_TEXT], model, dimensions)[0]) == 0
    vectors = [source.embed([REFERENCE_TEXT], other, dimensions)[0] for other in others]
    assert min(relative_distance(kept, vector) for vector in vectors) > 6 * MAX_DISTANCE


def test_the_next_version_of_a_model_is_above_the_bound():
    """A cosine similarity of 0.92, as between two versions of a public model, is twice the bound."""
    angle = math.acos(0.92)
    kept, received = np.float32([1, 0]), np.float32([math.cos(angle), math.sin(angle)])
    assert relative_distance(kept, received) == pytest.approx(2 * MAX_DISTANCE, rel=0.01)


def test_vectors_at_the_edges():
    """Other lengths and directions from nothing are infinitely far, and no number is too large."""
    one, two, none = np.ones(2, np.float32), np.ones(3, np.float32), np.zeros(2, np.float32)
    huge = one * np.finfo(np.float32).max
    assert relative_distance(one, two) == relative_distance(none, one) == math.inf
    assert relative_distance(none, none) == relative_distance(huge, huge) == 0
    assert relative_distance(huge, -huge) == pytest.approx(2)
    assert relative_distance(one, 2 * one) == pytest.approx(1)  # a model that begins to normalise is another one


def test_the_text_is_cheap():
    """The text costs a handful of tokens."""
    assert count_tokens(REFERENCE_TEXT) <= 12
