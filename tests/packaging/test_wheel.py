"""The built wheel: what is in it, and how it gets on with pytest and with other integrations."""

from __future__ import annotations

import sys
import zipfile

import pytest

from support.packages import PACKAGES, UV, run

SECOND_PATH = "llama_index/embeddings/electronhub"


@pytest.fixture(scope="module")
def environment(tmp_path_factory, built):
    """Makes an empty environment with the wheel, one extra and others; returns a function that runs code in it."""

    def make(extra: str, *others: str):
        python = tmp_path_factory.mktemp(extra) / "bin" / "python"
        run(UV, "venv", "--quiet", "--python", sys.executable, python.parents[1])
        what = f"electronhub-embeddings[{extra}] @ {built['wheel'].as_uri()}"
        run(UV, "pip", "install", "--quiet", "--python", python, what, *others)
        return lambda code: run(python, "-W", "error", "-c", code)

    return make


def test_wheel_holds_four_typed_packages(built):
    """The wheel has four typed packages and the licence, and one name among those of LlamaIndex."""
    with zipfile.ZipFile(built["wheel"]) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert {*PACKAGES, "llama_index"} == tops
    assert {f"{package}/py.typed" for package in [*PACKAGES, SECOND_PATH]} <= set(names)
    ours = {f"{SECOND_PATH}/{name}" for name in ("__init__.py", "py.typed")}
    assert {name for name in names if name.startswith("llama_index/")} == ours  # an __init__.py above hides the core
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_pytest_finds_the_fixture(environment, tmp_path):
    """With the emulator's extra and pytest, a test has the fixture `electronhub`; nothing else is needed."""
    (tmp_path / "test_users.py").write_text(
        "from electronhub_embeddings import EmbeddingsClient\n"
        "def test_one(electronhub):\n"
        "    EmbeddingsClient().embed_query('hello')\n"
        "    assert len(electronhub.calls) == 1\n"
    )
    python = environment("emulator", "pytest")
    for by_hand in ([], ["-p", "pytest_electronhub"]):  # which is not needed, and no error
        said = python(f"import pytest; pytest.main({['-q', '-W', 'error', *by_hand, str(tmp_path)]})")
        assert "1 passed" in said


def test_second_import_path(environment):
    """The adapter is also in LlamaIndex's namespace, and hides neither the core nor other integrations."""
    python = environment("llama-index", "llama-index-embeddings-openai")
    said = python(
        "import llama_index.core, llama_index.embeddings.openai, llama_index_electronhub\n"
        "from llama_index.embeddings.electronhub import ElectronHubEmbedding\n"
        "print(ElectronHubEmbedding is llama_index_electronhub.ElectronHubEmbedding)"
    )
    assert said == "True"
