"""Reads the README and the pages in docs/ for the tests that check them."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version

from support.repository import ROOT

DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"(?:<!-- needs ([\w.-]+)(?: ([\d.]+))? -->\n)?```python\n(.*?)```", re.DOTALL)


def read(page: str) -> str:
    """Read a page."""
    return (DOCS / page).read_text(encoding="utf-8")


def is_installed(package: str, release: str | None = None) -> bool:
    """Return whether a package is installed, of any version or of a release such as "0.10"."""
    try:
        installed = version(package)
    except PackageNotFoundError:
        return False
    return release is None or installed.startswith(f"{release}.")


def blocks(*, tests: bool) -> dict[str, str]:
    """Return the Python blocks for installed packages, by file and line: those that are tests, or all others."""
    found = {}
    for path in (ROOT / "README.md", *sorted(DOCS.glob("*.md"))):
        text = path.read_text(encoding="utf-8")
        for match in BLOCK.finditer(text):
            package, release, code = match.groups()
            if (package is None or is_installed(package, release)) and ("\ndef test_" in code) == tests:
                found[f"{path.name}:{text.count(chr(10), 0, match.start(3)) + 1}"] = code
    return found


def table_rows(text: str) -> list[str]:
    """List the rows of all tables, without the separator rows."""
    return [line for line in text.splitlines() if line.startswith("|") and not line.startswith(("|-", "|:-"))]


def parameters() -> set[str]:
    """List the parameters in the table of all of them."""
    table = read("parameters.md").split("## All of them")[1].split("\n## ")[0]
    return {name for row in table_rows(table)[1:] for name in re.findall(r"`(\w+)`", row.split("|")[1])}


def errors() -> dict[str, int]:
    """List the errors in the tree with their depth."""
    lines = [line for line in read("errors.md").split("```")[1].splitlines() if "Error" in line]
    return {re.search(r"\w+Error", line)[0]: re.search(r"\w", line).start() // 4 for line in lines}


def result(name: str) -> str:
    """Read a result of a benchmark."""
    return (ROOT / "benchmarks" / "results" / name).read_text(encoding="utf-8")
