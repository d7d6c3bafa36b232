"""The README's snippet for ServiceContext is correct."""

from __future__ import annotations

import pytest
from readme import snippets

from electronhub_embeddings.emulator import Emulator


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_service_context_snippet_runs(monkeypatch, capsys):
    """The snippet runs unchanged and finds the only text."""
    (code,) = snippets(old_core=True)
    with Emulator() as service:
        monkeypatch.setenv("ELECTRONHUB_API_KEY", service.api_key)
        monkeypatch.setenv("ELECTRONHUB_BASE_URL", service.base_url)
        exec(compile(code, "README.md", "exec"), {"__name__": "readme"})  # noqa: S102 - our own text
    assert "Paris is the capital of France." in capsys.readouterr().out
