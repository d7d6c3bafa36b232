"""The emulator's hashed vectors: the same everywhere, and plausible."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from electronhub_embeddings.emulator._embeddings import MODELS
from electronhub_embeddings.emulator._vector_source import VectorSource

SMALL = MODELS["text-embedding-3-small"]
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


SOURCE = VectorSource("hashed")


def embed(text, model, dimensions=None):
    """Return the vector of one text."""
    return SOURCE.embed([text], model, dimensions)[0]


def digest(vector):
    """Return the SHA-256 of a vector's bytes."""
    return hashlib.sha256(vector.astype("<f4").tobytes()).hexdigest()


def test_golden_value():
    """The bits of a vector are the same on every machine and in every release."""
    assert digest(embed("Electron Hub embeds texts.", SMALL)) == GOLDEN


def test_same_in_another_process():
    """Vectors do not depend on the hash seed of the process."""
    code = (
        "import sys; from electronhub_embeddings.emulator import Emulator;"
        "vector = Emulator().vector('Electron Hub embeds texts.');"
        "sys.stdout.buffer.write(vector.astype('<f4').tobytes())"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert hashlib.sha256(there.stdout).hexdigest() == GOLDEN


@given(st.text(min_size=1, max_size=60))
@settings(deadline=None)
def test_any_text_has_a_finite_unit_vector(text):
    """Every text has a direction."""
    vector = embed(text, SMALL)
    assert np.isfinite(vector).all()
    assert float(vector @ vector) == pytest.approx(1.0, abs=1e-5)


def test_different_texts_differ():
    """Texts without words, and texts that differ only in case or spaces, have different vectors."""
    vectors = np.stack([embed(text, SMALL) for text in ODD_TEXTS])
    distances = np.linalg.norm(vectors[:, None] - vectors[None, :], axis=2)
    assert distances[~np.eye(len(ODD_TEXTS), dtype=bool)].min() > 0.1


def test_case_differs_slightly():
    """A change of case moves a vector a little."""
    title, lower = embed("Command Line Options", SMALL), embed("command line options", SMALL)
    assert 0.98 < float(title @ lower) < 0.995


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
    """A query finds the text about the same subject, also with shortened vectors."""
    texts = [
        "Generic socket server classes",
        "Command line option and argument parsing",
        "Reading and writing of CSV files",
        "Data compression with the zlib library",
        "How to do what you should do with it if you are in the mood for it",
    ]
    asked = embed(query, SMALL, dimensions)
    assert max(texts, key=lambda text: float(asked @ embed(text, SMALL, dimensions))) == nearest
