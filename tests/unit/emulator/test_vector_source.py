"""Vectors of any origin, made as long as a model's: of norm 1, at the same angles, other ones for each model."""

import ssl
import threading
from dataclasses import replace

import httpx
import numpy as np
import pytest

from electronhub_embeddings import EmbeddingsClient
from electronhub_embeddings.emulator import Emulator
from electronhub_embeddings.emulator import _vector_source as module
from electronhub_embeddings.emulator._embeddings import MODELS
from electronhub_embeddings.emulator._vector_source import VectorSource

SMALL = MODELS["text-embedding-3-small"]
EMBEDDING_MODELS = [model for model in MODELS.values() if model.embeds]
TEXTS = [f"text {number}" for number in range(40)]
# No certificates: reading them takes 20 ms, and no test uses any.
TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def drawn(length):
    """Return a function that draws vectors of a length, other ones for other texts."""
    return lambda texts: [np.random.default_rng(list(text.encode())).standard_normal(length) for text in texts]


def cosines(rows):
    """Return the cosine of each pair of rows."""
    rows = np.asarray(rows, np.float64)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return rows @ rows.T


@pytest.mark.parametrize("model", EMBEDDING_MODELS, ids=lambda model: model.id)
@pytest.mark.parametrize("embed", ["hashed", drawn(256)], ids=["hashed", "function"])
def test_unit_float32_of_the_models_length(model, embed):
    """Every model's vectors have its length, norm 1 and the type float32."""
    vectors = VectorSource(embed).embed(TEXTS, model)
    assert (vectors.shape, vectors.dtype) == ((len(TEXTS), model.dimensions), np.float32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize("length", [1, 2, 100, 256, 300, 1000, 1535, 1536])
def test_no_angle_changes(length):
    """Vectors that are not longer than the model's keep the cosine of each pair, to the accuracy of float32."""
    vectors = VectorSource(drawn(length)).embed(TEXTS, SMALL)
    np.testing.assert_allclose(cosines(vectors), cosines(drawn(length)(TEXTS)), atol=1e-6)
    assert vectors.all()


def test_longer_vectors_are_cut():
    """Of vectors that are longer than the model's, the beginning is sent, at the angles of the beginning."""
    vectors = VectorSource(drawn(2000)).embed(TEXTS, SMALL)
    np.testing.assert_allclose(cosines(vectors), cosines(np.array(drawn(2000)(TEXTS))[:, :1536]), atol=1e-6)


@pytest.mark.parametrize("embed", ["hashed", drawn(256)], ids=["hashed", "function"])
def test_shorter_vector_is_the_renormalised_beginning(embed):
    """With `dimensions` a vector is the beginning of the full vector, at norm 1."""
    source = VectorSource(embed)
    whole, short = source.embed(TEXTS, SMALL), source.embed(TEXTS, SMALL, 100)
    begins = whole[:, :100]
    np.testing.assert_allclose(short, begins / np.linalg.norm(begins, axis=1, keepdims=True), atol=1e-6)


@pytest.mark.parametrize("embed", ["hashed", drawn(256)], ids=["hashed", "function"])
@pytest.mark.parametrize("other", [MODELS["codestral-embed"], replace(SMALL, version=2)], ids=["model", "version"])
def test_models_are_unrelated(embed, other):
    """The same text in two models or versions of one length has unrelated vectors, and angles that are equal."""
    source = VectorSource(embed)
    one, two = source.embed(TEXTS, SMALL), source.embed(TEXTS, other)
    assert np.abs((one * two).sum(axis=1)).max() < 0.3
    if embed != "hashed":
        np.testing.assert_allclose(cosines(one), cosines(two), atol=1e-6)


@pytest.mark.parametrize("embed", ["hashed", drawn(256)], ids=["hashed", "function"])
def test_bits_do_not_depend_on_the_request(embed):
    """A text has the same vector, to the bit, alone and among others."""
    source = VectorSource(embed)
    together = source.embed(TEXTS, SMALL, 300)
    alone = np.concatenate([source.embed([text], SMALL, 300) for text in TEXTS])
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("dimensions", [None, 2])
def test_a_text_without_a_direction_gets_one(dimensions):
    """A row of zeros, or one whose beginning is zeros, becomes the direction of its exact text, not a division by 0."""
    rows = [[0, 0, 0], [0, 0, 0], [0, 0, 1]]
    vectors = VectorSource(lambda _: rows).embed(["!", "?", "word"], SMALL, dimensions)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    assert dimensions or np.abs(cosines(vectors)[~np.eye(3, dtype=bool)]).max() < 0.2


def test_a_function_sees_a_whole_request():
    """A function is called once for a request, with its texts, one call at a time, and not by the server's thread."""
    seen, threads = [], set()

    def embed(texts):
        assert service._app.source._lock.locked()  # without it, calls overlap once in a while
        seen.append(texts)
        threads.add(threading.current_thread().name)
        return [[len(text), 1.0] for text in texts]

    with (
        Emulator(rpm=0, embed=embed) as service,
        EmbeddingsClient(api_key=service.api_key, base_url=service.base_url) as client,
    ):
        vectors = client.embed(["a", "bb", "ccc"])
        np.testing.assert_array_equal(vectors[1], service.vector("bb"))
    assert seen == [["a", "bb", "ccc"], ["bb"]]
    assert "electronhub-emulator" not in threads
    np.testing.assert_allclose(cosines(vectors), cosines([[1, 1], [2, 1], [3, 1]]), atol=1e-6)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([[1.0]], r"shape \(2, length\), not \(1, 1\)"),
        ([1.0, 2.0], r"not \(2,\)"),
        ([[], []], r"not \(2, 0\)"),
        ([[1.0], [float("nan")]], "not finite"),
    ],
    ids=["too few", "numbers", "empty", "not a number"],
)
def test_a_function_that_returns_something_else(rows, reason):
    """What is not one finite vector for each text is an error that says so."""
    with pytest.raises(ValueError, match=reason):
        VectorSource(lambda _: rows).embed(["a", "b"], SMALL)


def test_an_error_of_a_function_is_the_service_s():
    """For a client, an error in the function is a 500 of the service."""
    with Emulator(rpm=0, embed=lambda _: []) as service:
        body = {"model": SMALL.id, "input": ["a"]}
        headers = {"Authorization": f"Bearer {service.api_key}"}
        assert httpx.post(f"{service.base_url}/embeddings", json=body, headers=headers, verify=TLS).status_code == 500


def test_an_unknown_string():
    """A string that is no choice is refused with the choices."""
    with pytest.raises(ValueError, match=r"embed must be 'auto', 'semantic', 'hashed' or a function, not 'words'"):
        Emulator(embed="words")


@pytest.mark.parametrize("installed", [True, False])
def test_auto(monkeypatch, installed):
    """Without the extra, "auto" is hashed; a choice that is named stays."""
    monkeypatch.setattr(module, "is_installed", lambda: installed)
    assert module.chosen("auto") == ("semantic" if installed else "hashed")
    assert module.chosen("hashed") == "hashed"
