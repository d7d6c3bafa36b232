"""Reads the README's snippets and tables for the tests that check them."""

from __future__ import annotations

import re

from support.repository import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
OLD_CORE = "<!-- needs llama-index-core 0.10 -->"


def snippets(*, old_core: bool = False) -> list[str]:
    """List the Python snippets: those for llama-index-core 0.10, or all others."""
    found = re.findall(rf"({OLD_CORE}\n)?```python\n(.*?)```", README, re.DOTALL)
    return [code for mark, code in found if bool(mark) == old_core]


def parameters() -> set[str]:
    """List the parameters in the table."""
    table = README.split("## Parameters")[1].split("## Errors")[0]
    cells = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


def errors() -> dict[str, int]:
    """List the errors in the tree with their depth."""
    tree = README.split("## Errors")[1].split("```")[1]
    lines = [line for line in tree.splitlines() if "Error" in line]
    return {re.search(r"\w+Error", line)[0]: re.search(r"\w", line).start() // 4 for line in lines}


def rows(section: str, header: str) -> list[str]:
    """List the rows of all tables in a section, from the given header onwards."""
    text = README.split(f"\n## {section}\n")[1].split("\n## ")[0]
    return [line for line in text[text.index(f"\n{header}") :].splitlines() if line.startswith("|")]


def measured(name: str) -> list[str]:
    """List the lines of a benchmark's results."""
    return (ROOT / "benchmarks" / "results" / name).read_text(encoding="utf-8").splitlines()
