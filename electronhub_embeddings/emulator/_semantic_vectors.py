"""Vectors that know what words mean: those of wordllama, a small model whose weights and tokenizer are in its wheel.

The vector of a text is the mean of the trained vectors of its tokens: 256 numbers, of which the first say the most
(Matryoshka), so the first d of them, renormalised, are a valid shorter vector that finds less. Word order is ignored:
"dog bites man" is "man bites dog". Nothing is downloaded, and a text has the same vector in every request.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def is_installed() -> bool:
    """Return whether the extra `semantic` is installed, without an import."""
    return find_spec("wordllama") is not None


def embed_meaning(texts: list[str]) -> NDArray[np.float32]:
    """Return a row of 256 numbers for each text, of any length.

    Raises:
        ImportError: the extra `semantic` is not installed.
    """
    model = load_model()
    rows = np.empty((len(texts), model.embedding.shape[1]), np.float32)
    for row, text in zip(rows, texts, strict=True):
        # The tokenizer takes no half of a surrogate pair. One text at a time: `encode_batch` starts threads, of which a
        # later fork would complain, and would pad all texts to the longest one.
        tokens = model.tokenizer.encode(text.encode(errors="replace").decode(), add_special_tokens=False)
        row[:] = model.embedding[tokens.ids].mean(axis=0)
    return rows


@lru_cache(maxsize=1)
def load_model() -> Any:
    """Load the model, once in a process: 0.5 seconds.

    Raises:
        ImportError: the extra `semantic` is not installed.
    """
    root = logging.getLogger()
    # The import would configure the logging of the whole program, unless that is configured already.
    configured = logging.NullHandler()
    root.addHandler(configured)
    try:
        wordllama = import_module("wordllama")  # only for those who ask for it
    except ImportError as error:
        raise ImportError('semantic vectors need wordllama: pip install "electronhub-embeddings[semantic]"') from error
    finally:
        root.removeHandler(configured)
    # Its own folder, for by itself it looks for its tokenizer in the user's cache, and downloads it.
    model = wordllama.WordLlama.load(cache_dir=Path(str(wordllama.__file__)).parent, disable_download=True)
    model.tokenizer.no_padding()
    return model
