"""The README is correct."""

from __future__ import annotations

import inspect

import pytest

import electronhub_embeddings
from electronhub_embeddings import ElectronHubError, EmbeddingsClient
from electronhub_embeddings.emulator import Emulator
from support.readme import errors, measured, parameters, rows, snippets


@pytest.mark.parametrize("code", snippets(), ids=lambda code: code.splitlines()[0])
def test_snippet_runs(code, monkeypatch, tmp_path):
    """Each snippet runs unchanged, against the service in the environment."""
    monkeypatch.chdir(tmp_path)
    with Emulator(plan="pro", window=6.0) as service:  # a tenth: beside queries, documents leave evenly spread over it
        monkeypatch.setenv("ELECTRONHUB_API_KEY", service.api_key)
        monkeypatch.setenv("ELECTRONHUB_BASE_URL", service.base_url)
        exec(compile(code, "README.md", "exec"), {"__name__": "readme"})  # noqa: S102 - our own text
        assert sum(call.texts for call in service.calls) > 0


def test_table_has_every_parameter():
    """The table of parameters names exactly those that the client takes."""
    assert parameters() == set(inspect.signature(EmbeddingsClient).parameters)


def test_tree_has_every_error():
    """The tree of errors is the real one."""
    exported = {name: getattr(electronhub_embeddings, name) for name in electronhub_embeddings.__all__}
    real = {
        name: len([base for base in kind.__mro__ if base.__module__ == "electronhub_embeddings.errors"]) - 1
        for name, kind in exported.items()
        if inspect.isclass(kind) and issubclass(kind, ElectronHubError)
    }
    assert errors() == real


@pytest.mark.parametrize(
    ("section", "header", "results"),
    [("The limit", "| a minute", "limit.md"), ("As fast as the wire", "| | vectors/s", "speed.md")],
)
def test_figures_were_measured(section, header, results):
    """Every row of figures is in the benchmark's results."""
    quoted, written = rows(section, header), measured(results)
    assert len(quoted) > 10
    assert [row for row in quoted if row not in written] == []
