"""The emulator's vectors and token counts: the same everywhere, and plausible."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from electronhub_embeddings.emulator._embeddings import MODELS, count_tokens, decode_vector, embed, encode_vector

SMALL = MODELS["text-embedding-3-small"]
LARGE = MODELS["text-embedding-3-large"]
GOLDEN = "6f8e1e70ef29deca6d4d1bd0d99a78604140bdee4fcb364d779b6866beaa68d2"
ENGLISH = "The quick brown fox jumps over the lazy dog. It was a bright cold day in April, and the clocks struck."
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
    """Vectors do not depend on the hash seed of the process."""
    code = (
        "import sys; from electronhub_embeddings.emulator._embeddings import MODELS, embed;"
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


def test_shorter_vector_is_the_renormalised_beginning():
    """With `dimensions` a vector is the beginning of the full vector, at norm 1."""
    whole, short = embed("read the options", LARGE), embed("read the options", LARGE, 256)
    np.testing.assert_allclose(short, whole[:256] / np.linalg.norm(whole[:256]), atol=1e-6)


def test_models_are_unrelated():
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


@pytest.mark.parametrize("base64", [True, False])
def test_a_decoded_vector_is_the_one_that_was_encoded(base64):
    """Both encodings keep every bit, and a decoded vector can be changed."""
    vector = embed("read the options", SMALL)
    decoded = decode_vector(encode_vector(vector, base64=base64))
    np.testing.assert_array_equal(decoded, vector)
    decoded[0] = 0.0


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("a", 1),
        ("hello", 1),
        ("hello world", 2),
        ("internationalisation", 3),
        ("1234567", 3),
        (" ", 1),
        ("日本語", 3),
    ],
)
def test_known_token_counts(text, tokens):
    """Words, digits, spaces and CJK count as the module says."""
    assert count_tokens(text) == tokens


def test_english_has_about_four_characters_a_token():
    """Ordinary prose lies between three and a half and five."""
    assert 3.5 < len(ENGLISH) / count_tokens(ENGLISH) < 5.0


@given(st.text(min_size=1))
def test_tokens_are_between_one_and_the_bytes(text):
    """A text has at least one token and at most as many as UTF-8 bytes."""
    assert 1 <= count_tokens(text) <= len(text.encode())
