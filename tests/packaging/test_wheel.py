"""The built wheel: what is in it, and how it gets on with pytest."""

from __future__ import annotations

import sys
import zipfile

from support.packages import PACKAGES, UV, run

SECOND_PATH = "llama_index/embeddings/electronhub"


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


def test_pytest_finds_the_fixture(built, tmp_path):
    """With the emulator's extra and pytest, a test has the fixture `electronhub`; nothing else is needed."""
    python = tmp_path / "environment" / "bin" / "python"
    run(UV, "venv", "--quiet", "--python", sys.executable, python.parents[1])
    what = f"electronhub-embeddings[emulator] @ {built['wheel'].as_uri()}"
    run(UV, "pip", "install", "--quiet", "--python", python, what, "pytest")
    (tmp_path / "test_users.py").write_text(
        "from electronhub_embeddings import EmbeddingsClient\n"
        "def test_one(electronhub):\n"
        "    EmbeddingsClient().embed_query('hello')\n"
        "    assert len(electronhub.calls) == 1\n"
    )
    for by_hand in ([], ["-p", "pytest_electronhub"]):  # which is not needed, and no error
        test = tmp_path / "test_users.py"
        said = run(python, "-W", "error", "-m", "pytest", "-q", "-W", "error", *by_hand, test)
        assert "1 passed" in said
