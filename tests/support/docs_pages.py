"""Reads the pages in docs/ for the tests that check them."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version

from support.repository import ROOT

DOCS = ROOT / "docs"
BLOCK = re.compile(r"(?:<!-- needs ([\w.-]+) -->\n)?```python\n(.*?)```", re.DOTALL)


def read(page: str) -> str:
    """Read a page."""
    return (DOCS / page).read_text(encoding="utf-8")


def is_installed(package: str) -> bool:
    """Return whether a package is installed."""
    try:
        return bool(version(package))
    except PackageNotFoundError:
        return False


def blocks(*, tests: bool) -> dict[str, str]:
    """Return the Python blocks for installed packages, by page and line: those that are tests, or all others."""
    found = {}
    for path in sorted(DOCS.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        for match in BLOCK.finditer(text):
            package, code = match.groups()
            if (package is None or is_installed(package)) and ("\ndef test_" in code) == tests:
                found[f"{path.name}:{text.count(chr(10), 0, match.start(2)) + 1}"] = code
    return found


def table_rows(text: str) -> list[str]:
    """List the rows of all tables, without the separator rows."""
    return [line for line in text.splitlines() if line.startswith("|") and not line.startswith(("|-", "|:-"))]
