"""The demo, `make demo`: with both frameworks, each question finds the modules that a reader would name."""

import runpy

import pytest

from support.repository import ROOT

pytest.importorskip("wordllama", reason="the extra `semantic` is not installed")

ANSWERS = {
    "compress a file": {"zlib", "gzip", "bz2", "lzma"},
    "run another program as a subprocess": {"subprocess"},
    "plan an appointment in the calendar": {"calendar"},
    "keep secrets safe": {"secrets"},
    "hide what is typed as a password": {"getpass"},
    "the average of some measurements": {"statistics"},
    "parse command line arguments": {"argparse", "getopt"},
    "parse an XML document": {"xml"},
}
"""What has to come first, in any order: Python has other modules beside them from version to version."""


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["langchain", "llama_index"])
async def test_answers(framework, monkeypatch, capsys):
    """The best modules are those that a question is about, and the documents and all questions take few requests."""
    for name in ("API_KEY", "BASE_URL"):
        monkeypatch.setenv(f"ELECTRONHUB_{name}", "")  # the demo sets them, for the life of its process
    demo = runpy.run_path(str(ROOT / "examples" / "quickstart.py"))
    documents = demo["read_docstrings"]()
    with demo["service"]() as emulator:
        await demo[f"search_with_{framework}"](documents)
        requests = len(emulator.calls)
    said = capsys.readouterr().out
    assert "finds texts by their meaning" in said
    found = {line[2:38].strip(): line[39:].split(", ") for line in said.splitlines() if line.startswith("  ")}
    assert {question: set(found[question][: len(best)]) for question, best in ANSWERS.items()} == ANSWERS
    assert demo["QUESTIONS"] == list(ANSWERS)
    assert requests <= 3
