"""The emulator's vectors: same everywhere, near what is similar."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from electronhub_embeddings.emulator.models import MODELS
from electronhub_embeddings.emulator.vectors import embed

SMALL = MODELS["text-embedding-3-small"]
LARGE = MODELS["text-embedding-3-large"]
GOLDEN = "6f8e1e70ef29deca6d4d1bd0d99a78604140bdee4fcb364d779b6866beaa68d2"
ODD_TEXTS = [
    "!!!",
    "???",
    "日本語",
    "日本",
    " ",
    "  ",
    "\n",
    "a",
    "A",
    " a",
    "\ud800",
    "\x00",
    "🎉",
    "_",
    "x" * 9000,
]


def digest(vector):
    """Return the SHA-256 of a vector's bytes."""
    return hashlib.sha256(vector.astype("<f4").tobytes()).hexdigest()


def test_golden_value():
    """The bits of a vector are the same on every machine and in every release."""
    assert digest(embed("Electron Hub embeds texts.", SMALL)) == GOLDEN


def test_same_in_another_process():
    """No hash seed of the process enters a vector."""
    code = (
        "import sys; from electronhub_embeddings.emulator.vectors import embed;"
        "from electronhub_embeddings.emulator.models import MODELS;"
        "vector = embed('Electron Hub embeds texts.', MODELS['text-embedding-3-small']);"
        "sys.stdout.buffer.write(vector.astype('<f4').tobytes())"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert hashlib.sha256(there.stdout).hexdigest() == GOLDEN


@pytest.mark.parametrize("model", [model for model in MODELS.values() if model.embeds], ids=lambda model: model.id)
def test_unit_float32_of_the_models_length(model):
    """Every model's vectors have its length, norm 1 and the type float32."""
    vector = embed("read command line options", model)
    assert (vector.shape, vector.dtype) == ((model.dimensions,), np.float32)
    assert float(vector @ vector) == pytest.approx(1.0, abs=1e-5)


@given(st.text(min_size=1, max_size=60))
@settings(deadline=None)
def test_any_text_has_a_finite_unit_vector(text):
    """There is no text without a direction."""
    vector = embed(text, SMALL)
    assert np.isfinite(vector).all()
    assert float(vector @ vector) == pytest.approx(1.0, abs=1e-5)


def test_different_texts_differ():
    """Texts without words, and such that differ in case or blanks alone, are all told apart."""
    vectors = np.stack([embed(text, SMALL) for text in ODD_TEXTS])
    distances = np.linalg.norm(vectors[:, None] - vectors[None, :], axis=2)
    assert distances[~np.eye(len(ODD_TEXTS), dtype=bool)].min() > 0.1


def test_case_differs_slightly():
    """A change of case moves a vector, not far."""
    one, other = embed("Command Line Options", SMALL), embed("command line options", SMALL)
    assert 0.98 < float(one @ other) < 0.995


def test_shorter_vector_is_the_renormalised_beginning():
    """`dimensions` gives the first numbers of the long vector, at norm 1."""
    whole, short = embed("read the options", LARGE), embed("read the options", LARGE, 256)
    np.testing.assert_allclose(short, whole[:256] / np.linalg.norm(whole[:256]), atol=1e-6)


def test_models_are_strangers():
    """The same text in two models of one length has unrelated vectors."""
    one = embed("read command line options", SMALL)
    other = embed("read command line options", MODELS["codestral-embed"])
    assert abs(float(one @ other)) < 0.15


@pytest.mark.parametrize("dimensions", [256, 1536])
@pytest.mark.parametrize(
    ("query", "nearest"),
    [
        ("read command line options", "Command line option and argument parsing"),
        ("how do I write a csv file?", "Reading and writing of CSV files"),
        ("compress data", "Data compression with the zlib library"),
        ("server for sockets", "Generic socket server classes"),
    ],
)
def test_similar_texts_rank_first(query, nearest, dimensions):
    """A query finds the text that speaks of the same, also when the vectors are shortened."""
    texts = [
        "Generic socket server classes",
        "Command line option and argument parsing",
        "Reading and writing of CSV files",
        "Data compression with the zlib library",
        "How to do what you should do with it if you are in the mood for it",
    ]
    asked = embed(query, SMALL, dimensions)
    assert max(texts, key=lambda text: float(asked @ embed(text, SMALL, dimensions))) == nearest
