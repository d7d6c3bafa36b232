"""Warnings name the line of the caller."""

import warnings

import pytest

from electronhub_embeddings._config import caller_warning
from electronhub_embeddings._config.caller_warning import warn_caller


def test_the_line_outside_of_the_package_is_named():
    """Frames of the package and its adapters are left out, however many there are."""
    namespace = {"__name__": "langchain_electronhub.embeddings", "warn_caller": warn_caller}
    exec("def one(): warn_caller(UserWarning('x'))\ndef two(): one()", namespace)  # noqa: S102
    with pytest.warns(UserWarning, match="x") as caught:
        namespace["two"]()
    assert caught[0].filename == __file__


def test_a_program_of_package_frames_alone(monkeypatch):
    """If there is no other frame, the outermost one is named."""
    monkeypatch.setattr(caller_warning, "_package_of", lambda _: "electronhub_embeddings")
    with pytest.warns(UserWarning, match="x"):
        warn_caller(UserWarning("x"))


def test_a_filter_turns_it_into_an_exception():
    """The caller's filters hold."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="x"):
            warn_caller(UserWarning("x"))
