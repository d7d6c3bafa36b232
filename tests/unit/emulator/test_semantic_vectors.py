"""Vectors by meaning: with the extra `semantic`, without a download, at the angles of the model."""

import logging
import socket
import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from electronhub_embeddings.emulator import Emulator, _semantic_vectors
from electronhub_embeddings.emulator._embeddings import MODELS
from electronhub_embeddings.emulator._vector_source import VectorSource

pytest.importorskip("wordllama", reason="the extra `semantic` is not installed")

SMALL = MODELS["text-embedding-3-small"]
ANSWERS = {
    "shrink a file": "Data compression with the zlib library.",
    "make an appointment for next month": "Calendar printing functions: days and weeks of a year.",
    "hide my passwords": "Generate cryptographically strong pseudo-random numbers for managing secrets.",
    "launch another program": "Subprocesses with accessible I/O streams.",
    "the average of several measurements": "Basic statistics module: mean, median and variance.",
}
"""Questions that share no word with their answers."""
WORDS = ("copy", "file", "folder", "number", "date", "thread", "socket", "mail", "table", "color", "river", "bread")
ODD_TEXTS = ["!!!", "日本語", " ", "\n", "\ud800", "\x00", "🎉", "_", "<s>", "</s>", "x" * 9000, "word " * 8000]

WATCHED = """
import logging, os, sys
seen = []
NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname")
def audit(event, args):
    if event in NETWORK or event == "os.mkdir" or (event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR)):
        seen.append((event, args))
sys.dont_write_bytecode = True
from electronhub_embeddings.emulator import Emulator
assert "wordllama" not in sys.modules
sys.addaudithook(audit)
Emulator(embed="semantic").vector("hello")
assert seen == [], seen
assert logging.getLogger().handlers == [] and logging.getLogger().level == logging.WARNING
"""


@pytest.fixture(scope="module")
def source():
    """Return the vectors; the model is loaded once in a process."""
    return VectorSource("semantic")


@pytest.mark.slow
def test_nothing_is_loaded_without_need_or_from_elsewhere():
    """The import of the emulator loads no model; loading one asks no host, writes nothing and configures no logging."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", WATCHED], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_angles_are_those_of_the_model(source):
    """At full length, and in every model, a cosine is that of wordllama's own vectors, to the accuracy of float32."""
    model = _semantic_vectors.load_model()
    texts = [*ANSWERS, *ANSWERS.values(), *(text for text in ODD_TEXTS if text != "\ud800")]
    theirs = np.concatenate([model.embed([text], norm=True) for text in texts]).astype(np.float64)
    for name in ("text-embedding-3-small", "text-embedding-3-large", "mistral-embed"):
        ours = source.embed(texts, MODELS[name]).astype(np.float64)
        np.testing.assert_allclose(ours @ ours.T, theirs @ theirs.T, atol=1e-6)


@pytest.mark.parametrize("question", ANSWERS)
def test_meaning_is_found(source, question):
    """A question finds the answer that shares no word with it."""
    answers = list(ANSWERS.values())
    vectors = source.embed([question, *answers], SMALL)
    assert answers[int(np.argmax(vectors[1:] @ vectors[0]))] == ANSWERS[question]


def test_dimensions_trade_recall_for_size(source):
    """The fewer numbers are kept, the fewer of the nearest texts are found; from 256 on, all of them."""
    texts = [f"{one} {other}" for one, other in combinations(WORDS, 2)]
    whole = source.embed(texts, SMALL)

    def nearest(vectors):
        scores = vectors @ vectors.T - 2 * np.eye(len(texts))
        return [set(row) for row in np.argsort(-scores, axis=1)[:, :10].tolist()]

    wanted = nearest(whole)
    recall = []
    for dimensions in (4, 16, 64, 128, 256):
        found = nearest(source.embed(texts, SMALL, dimensions))
        recall.append(np.mean([len(a & b) / 10 for a, b in zip(wanted, found, strict=True)]))
    assert recall == sorted(recall)
    assert recall[0] < 0.5 < recall[1] < 0.8 < recall[2] < recall[3] < 0.99 < recall[4]


@given(st.lists(st.text(min_size=1, max_size=60), min_size=1, max_size=4))
@settings(deadline=None)
def test_any_text_has_a_finite_unit_vector(texts):
    """Every text has a direction."""
    vectors = VectorSource("semantic").embed(texts, SMALL)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)


def test_odd_texts(source):
    """Texts without words and long ones have a direction, the same one alone and in a request, to the bit."""
    together = source.embed(ODD_TEXTS, SMALL)
    assert np.isfinite(together).all()
    np.testing.assert_array_equal(together, np.concatenate([source.embed([text], SMALL) for text in ODD_TEXTS]))


def test_loading_is_quiet(monkeypatch, tmp_path):
    """The model is loaded without a home folder or a download, and leaves a program's logging as it is."""

    def refuse(*_, **__):
        raise AssertionError

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(socket.socket, "connect", refuse)
    root = logging.getLogger()
    before = list(root.handlers), root.level
    _semantic_vectors.load_model.cache_clear()
    VectorSource("semantic")
    assert list(tmp_path.iterdir()) == []
    assert (list(root.handlers), root.level) == before


def test_without_the_extra_it_is_named(monkeypatch):
    """Without the extra, semantic vectors are refused in the constructor, with the command that installs it."""
    monkeypatch.setitem(sys.modules, "wordllama", None)
    _semantic_vectors.load_model.cache_clear()
    with pytest.raises(ImportError, match=r'pip install "electronhub-embeddings\[semantic\]"'):
        Emulator(embed="semantic")
