"""Builds a release: the core, and the names that install it for one framework. `make dist` runs it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
UV = Path(sys.executable).with_name("uv")

PLACEHOLDER = "0.0.0"
"""The version in the files of a distribution without code."""


def build(out: Path) -> None:
    """Build a wheel and an sdist of each distribution into a folder."""
    _build(ROOT, out)
    for pyproject in sorted(ROOT.glob("distributions/*/pyproject.toml")):
        with TemporaryDirectory() as folder:
            fill_in(pyproject.parent, Path(folder))
            _build(Path(folder), out)


def fill_in(source: Path, folder: Path) -> None:
    """Copy a distribution into a folder, with the version, the addresses and the licence of the core."""
    version = _find(r'^__version__ = "(.+)"', "electronhub_embeddings/_config/version.py")
    addresses = _find(r"^(\[project\.urls\]\n(?:.+\n)+)", "pyproject.toml")
    pyproject = (source / "pyproject.toml").read_text(encoding="utf-8").replace(PLACEHOLDER, version)
    (folder / "pyproject.toml").write_text(f"{pyproject}\n{addresses}", encoding="utf-8")
    for file in (source / "README.md", ROOT / "LICENSE"):
        (folder / file.name).write_bytes(file.read_bytes())


def _find(pattern: str, file: str) -> str:
    found = re.search(pattern, (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        sys.exit(f"{file} has no {pattern}")
    return found[1]


def _build(project: Path, out: Path) -> None:
    """Build the sdist, and the wheel from the sdist."""
    subprocess.run([UV, "build", "--quiet", "--out-dir", out, project], check=True)


if __name__ == "__main__":
    build(Path(sys.argv[1]).resolve())
