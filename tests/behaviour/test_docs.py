"""The pages in docs/ are correct."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from support.docs_pages import DOCS, blocks, read, table_rows
from support.readme import README, errors
from support.repository import ROOT

pytestmark = [
    # langchain-community's own, at each import: LangChain's FAISS is nowhere else.
    pytest.mark.filterwarnings("ignore:`langchain-community` is being sunset:DeprecationWarning"),
]

SNIPPETS, EXAMPLES = blocks(tests=False), blocks(tests=True)


@pytest.mark.parametrize("place", SNIPPETS)
def test_snippet_runs(place, monkeypatch, tmp_path, emulator):
    """Each snippet runs unchanged, against the service in the environment or one that it starts."""
    monkeypatch.chdir(tmp_path)
    service = emulator(plan="pro")
    monkeypatch.setenv("ELECTRONHUB_API_KEY", service.api_key)
    monkeypatch.setenv("ELECTRONHUB_BASE_URL", service.base_url)
    code = SNIPPETS[place]
    exec(compile(code, place, "exec"), {"__name__": "page"})  # noqa: S102 - our own text
    has_asked = sum(call.texts for call in service.calls) > 0
    assert has_asked is ("Emulator(" not in code)


@pytest.mark.slow
@pytest.mark.parametrize("place", EXAMPLES)
def test_example_of_a_test_passes(place, tmp_path):
    """Each example of a test passes as a user's own test."""
    (tmp_path / "test_example.py").write_text(EXAMPLES[place], encoding="utf-8")
    alone = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-W", "error", "-p", "pytest_electronhub", "test_example.py"]
    run = subprocess.run(command, cwd=tmp_path, env=alone, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stdout
    assert " passed" in run.stdout


def test_every_kind_of_page_has_snippets():
    """The search for code blocks finds some on each page with code."""
    pages = {place.partition(":")[0] for place in {**SNIPPETS, **EXAMPLES}}
    assert pages >= {"caching.md", "errors.md", "index.md", "migration.md", "rate-limits.md", "recipes.md"}
    assert "testing.md" in {place.partition(":")[0] for place in EXAMPLES}


def test_the_tree_is_the_readme_s():
    """The tree of errors is the same as in the README."""
    assert README.split("## Errors")[1].split("```")[1] == read("errors.md").split("```")[1]


def test_every_error_has_its_remedy():
    """The table of errors has exactly one row per error."""
    rows = [row.split("|")[1].strip() for row in table_rows(read("errors.md").split("## Each error")[1])]
    assert sorted(rows[1:]) == sorted(f"`{name}`" for name in errors() if name != "ElectronHubError")


def test_what_was_survived_stands_in_the_readme():
    """The table of endurance results is the same as in the README."""
    table = [row for row in table_rows(read("reliability.md")) if not row.startswith("| | what happened")]
    assert len(table) == 3
    assert [row for row in table if row not in README] == []


def test_figures_of_pacing_stand_in_the_readme():
    """Each duration and share in the section on pacing, and in the paragraph before it, is also in the README."""
    section = read("benchmarks.md").split("two more kinds of company.")[1].split("\n## Speed")[0]
    figures = re.findall(r"\d+\.\d+ (?:to \d+\.\d+ %|s)|\d+ s\b", section)
    assert len(figures) == 6
    assert [figure for figure in figures if figure not in README] == []


def test_figures_of_the_application_are_those_of_the_run():
    """What the README says of a RAG application at 20 a minute was measured."""
    said = README.split("In a RAG application")[1].split("\n\n")[0]
    table = (ROOT / "benchmarks" / "results" / "company.md").read_text(encoding="utf-8")
    ours, *others = [row.split(" | ") for row in table.splitlines() if row.startswith("| 20 |")]
    figures = [ours[2], *ours[8:10], *(row[column].removesuffix(" s") for row in others[:2] for column in (2, 9))]
    assert [figure for figure in figures if figure not in said] == []


def test_figures_of_forecasts_are_those_of_the_run():
    """What the page says of forecasts, in jobs of so many, was counted."""
    said = " ".join(read("benchmarks.md").split("## Forecasts")[1].split("\n## ")[0].split())
    results = ROOT / "benchmarks" / "results"
    jobs, tokens = (
        {row[0]: row[1:] for row in (line.strip("| ").split(" | ") for line in table_rows(text)[1:])}
        for text in ((results / name).read_text(encoding="utf-8") for name in ("forecast.md", "forecast-tokens.md"))
    )
    alone, unrefused, full = jobs["alone"], jobs["of these without a refused request"], tokens["as many as fit"]
    figures = [
        *(f"{alone[column]} of {alone[0]}" for column in (1, 3)),
        *(f"{unrefused[column]} of {unrefused[0]}" for column in (1, 3)),
        *(f"{jobs[name][5]} of {jobs[name][0]}" for name in ("beside a timer", "beside people")),
        f"{full[1]} of {full[0]}",
        f"{sum(int(row[2]) for row in tokens.values())} of {jobs['all'][0]}",
    ]
    assert [figure for figure in figures if figure not in said] == []
    assert sorted(set(re.findall(r"\d+ of \d+", said))) == sorted(set(figures))


def test_every_page_is_in_the_menu():
    """Every page is in the navigation of mkdocs.yml."""
    menu = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert [path.name for path in DOCS.glob("*.md") if f": {path.name}\n" not in menu] == []
