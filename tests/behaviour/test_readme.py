"""The README is correct, short, and works on a package index. `test_docs.py` runs its snippets."""

from __future__ import annotations

import re

import pytest

from support.docs_pages import README, read, result, table_rows
from support.repository import ROOT

LINKS = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("https://")]


def test_it_is_a_landing_page():
    """It has at most 150 lines, and its first command is the one that continuous integration runs."""
    assert len(README.splitlines()) <= 150
    assert re.findall(r"^make (\w+)", README, re.MULTILINE) == ["test", "check", "demo"]


def test_its_parameters_are_those_of_the_page():
    """Its eight parameters say what the page of all of them says."""
    rows = table_rows(README.split("\n## Parameters\n")[1].split("\n## ")[0])
    assert len(rows) == 1 + 8
    assert [row for row in rows if row not in table_rows(read("parameters.md"))] == []


@pytest.mark.parametrize("link", sorted(set(LINKS)))
def test_link_leads_somewhere(link):
    """Each relative link names a file of the repository, and a heading in it."""
    path, _, anchor = link.partition("#")
    assert (ROOT / path).exists()
    if anchor:
        headings = re.findall(r"^#+ (.*)$", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)
        assert anchor in {re.sub(r"[^\w-]+", "-", heading.lower()).strip("-") for heading in headings}


def test_its_figures_were_measured():
    """What it says of speed is in the results."""
    (row,) = (row for row in result("speed.md").splitlines() if row.startswith("| electronhub, LangChain |"))
    assert f"{row.split(' | ')[2]} times the speed of langchain-openai" in README
