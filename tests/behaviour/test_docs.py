"""The README and the pages in docs/ are correct."""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import re
import subprocess
import sys

import pytest

import electronhub_embeddings
from electronhub_embeddings import ElectronHubError, EmbeddingsClient
from support.docs_pages import DOCS, README, blocks, errors, parameters, read, result, table_rows
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
    assert pages >= {"README.md", "langchain.md", "llama-index.md", "client.md", "errors.md", "recipes.md"}
    assert "testing.md" in {place.partition(":")[0] for place in EXAMPLES}


def test_table_has_every_parameter():
    """The table of parameters names exactly those that the client takes."""
    assert parameters() == set(inspect.signature(EmbeddingsClient).parameters)


def test_tree_has_every_error():
    """The tree of errors is the real one."""
    exported = {name: getattr(electronhub_embeddings, name) for name in electronhub_embeddings.__all__}
    real = {
        name: len([base for base in kind.__mro__ if base.__module__ == "electronhub_embeddings.errors"]) - 1
        for name, kind in exported.items()
        if inspect.isclass(kind) and issubclass(kind, ElectronHubError)
    }
    assert errors() == real


def test_every_error_has_its_remedy():
    """The table of errors has exactly one row per error."""
    rows = [row.split("|")[1].strip() for row in table_rows(read("errors.md").split("## Each error")[1])]
    assert sorted(rows[1:]) == sorted(f"`{name}`" for name in errors() if name != "ElectronHubError")


def test_the_picture_of_the_limit_is_that_of_the_run():
    """The picture shows the measured figures, and its description in the README and on the first page quotes them."""
    path = ROOT / "benchmarks" / "overview.py"
    spec = importlib.util.spec_from_file_location("overview", path)
    overview = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(overview)
    rows = json.loads(result("limit.json"))
    assert (DOCS / "pictures" / "limit.svg").read_text(encoding="utf-8") == overview.draw(rows)
    ours = next(row for row in rows if row["limit"] == 20 and row["contender"] == "electronhub, LangChain")
    said = f"{ours['texts']:,} texts at 20 requests a minute: this package finishes in {ours['seconds']:.0f} s"
    assert (ours["finished"], ours["refused"], ours["lost"]) == (True, 0, 0)
    assert said in README
    assert said in read("index.md")


def test_figures_of_the_application_are_those_of_the_run():
    """What the page says of a RAG application at 20 a minute was measured."""
    said = read("benchmarks.md").split("What this shows, at 20 a minute")[1].split("\n\n")[0]
    ours, *others = [row.split(" | ") for row in result("company.md").splitlines() if row.startswith("| 20 |")]
    figures = [ours[2], *ours[8:10], *(row[column].removesuffix(" s") for row in others[:2] for column in (2, 9))]
    assert [figure for figure in figures if figure not in said] == []


def test_figures_of_forecasts_are_those_of_the_run():
    """What the page says of forecasts, in jobs of so many, was counted."""
    said = " ".join(read("benchmarks.md").split("## Forecasts")[1].split("\n## ")[0].split())
    jobs, tokens = (
        {row[0]: row[1:] for row in (line.strip("| ").split(" | ") for line in table_rows(text)[1:])}
        for text in map(result, ("forecast.md", "forecast-tokens.md"))
    )
    alone, unrefused, full = jobs["alone"], jobs["of these without a refused request"], tokens["as many as fit"]
    figures = [
        *(f"{jobs['all'][column]} of {jobs['all'][0]}" for column in (1, 2)),
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
    pages = [path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")]
    assert [page for page in pages if f" {page}\n" not in menu] == []
