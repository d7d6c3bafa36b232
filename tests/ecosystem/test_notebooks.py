"""The notebooks run from top to bottom, and their committed outputs match such a run."""

import re
import shutil
from copy import deepcopy

import nbformat
import pytest
from nbclient import NotebookClient

from support.repository import ROOT

FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(path.name for path in FOLDER.glob("*.ipynb"))

TIMEOUT = 300
"""Seconds after which a cell has failed."""

LARGEST = 300_000
"""Bytes of a notebook: pictures are committed, so they have to be small."""

OF_A_MACHINE = re.compile(r"(?<![\w.~])/(home|root|tmp|work|Users)/|127\.0\.0\.1:\d|\bek-\w")
"""Paths, ports and keys of the machine on which a notebook was run."""


@pytest.fixture(params=NOTEBOOKS)
def committed(request):
    """Return each notebook in turn, as it is committed."""
    return nbformat.read(FOLDER / request.param, nbformat.NO_CONVERT)


def code(notebook):
    """Return the cells that are run."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds(notebook):
    """Return what kinds of output each cell has: text that is printed in two halves is one output."""
    return [
        {(output.output_type, *sorted(output.get("data", ()))) for output in cell.outputs} for cell in code(notebook)
    ]


def spoken(notebook):
    """Return all text in the outputs, without pictures."""
    texts = []
    for output in (output for cell in code(notebook) for output in cell.outputs):
        texts += [output.get("text", ""), *output.get("traceback", ())]
        texts += [str(data) for kind, data in output.get("data", {}).items() if not kind.startswith("image/")]
    return "\n".join(texts)


def complaints(notebook):
    """Return the outputs that are errors, or warnings: they go to the standard error output."""
    outputs = [output for cell in code(notebook) for output in cell.outputs]
    return [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]


def test_there_are_notebooks():
    """There are notebooks; otherwise, all other tests here would pass."""
    assert NOTEBOOKS[:3] == ["1-langchain.ipynb", "2-llama-index.ipynb", "3-the-rate-limit.ipynb"]


def test_a_run_without_a_key_shows_what_is_committed(committed, tmp_path, monkeypatch):
    """Each cell runs against the emulator without warnings, with the same kinds of output as committed."""
    shutil.copy(FOLDER / "corpus.py", tmp_path)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "1")  # beside other tests, threads that wait for each other take twice the time
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))  # nothing of whoever runs this, and no history for them
    fresh = deepcopy(committed)
    for cell in code(fresh):
        cell.outputs = []
    NotebookClient(fresh, kernel_name="python3", timeout=TIMEOUT, resources={"metadata": {"path": tmp_path}}).execute()
    assert complaints(fresh) == []
    assert kinds(fresh) == kinds(committed)


def test_what_is_committed_was_run_in_order(committed):
    """Execution counts start at one without gaps: every cell was run once."""
    assert [cell.execution_count for cell in code(committed)] == list(range(1, len(code(committed)) + 1))


def test_what_is_committed_is_clean(committed):
    """The outputs contain no error, no warning, and nothing about the machine or the key."""
    assert complaints(committed) == []
    assert OF_A_MACHINE.findall(spoken(committed)) == []
    assert spoken(committed) != ""


def test_a_key_goes_first(committed):
    """The first cell uses the service if a key is set."""
    assert 'not os.getenv("ELECTRONHUB_API_KEY")' in code(committed)[0].source


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_small(name):
    """Notebooks are small enough to clone."""
    assert (FOLDER / name).stat().st_size < LARGEST
