"""What mkdocs does for this site beyond its own: addresses, files outside of docs/, and tables that fit a phone."""  # noqa: INP001 - no package

from __future__ import annotations

import html
import re
from importlib.metadata import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mkdocs.structure.files import File, InclusionLevel

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

LINKED = {
    "benchmarks/results/limit.png": "pictures/limit.png",
    "benchmarks/results/speed.png": "pictures/speed.png",
    "benchmarks/results/company.png": "pictures/company.png",
    "benchmarks/results/limit.json": "figures/limit.json",
    "benchmarks/results/company.json": "figures/company.json",
    "benchmarks/results/speed.json": "figures/speed.json",
    "benchmarks/results/forecast.json": "figures/forecast.json",
    "benchmarks/results/wire.json": "figures/wire.json",
    "benchmarks/results/ingestion.json": "figures/ingestion.json",
    "examples/fastapi_server.py": "examples/fastapi_server.py",
    "examples/ray_data.py": "examples/ray_data.py",
    "notebooks/1-langchain.ipynb": "notebooks/1-langchain.ipynb",
    "notebooks/2-llama-index.ipynb": "notebooks/2-llama-index.ipynb",
    "notebooks/3-the-rate-limit.ipynb": "notebooks/3-the-rate-limit.ipynb",
    "notebooks/4-dimensions.ipynb": "notebooks/4-dimensions.ipynb",
    "notebooks/5-clusters-and-map.ipynb": "notebooks/5-clusters-and-map.ipynb",
    "notebooks/6-classify-recommend-detect.ipynb": "notebooks/6-classify-recommend-detect.ipynb",
}
"""Where a file is -> where it is on the site."""

CARDS = 3
"""Columns from which on each row of a table becomes a card on a phone."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Take the addresses from pyproject.toml, where they stand once; a placeholder is not linked to."""
    known = dict(entry.split(", ") for entry in metadata("electronhub-embeddings").get_all("Project-URL"))
    if ".invalid" not in known["Documentation"]:
        config.site_url = f"{known['Documentation'].rstrip('/')}/"
    if ".invalid" not in known["Source"]:
        config.repo_url = known["Source"]
        config.repo_name = urlsplit(known["Source"]).path.strip("/")
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files under the path by which pages link to them, which is the right one for readers in git as well."""
    for source, target in LINKED.items():
        file = File.generated(
            config, f"../{source}", abs_src_path=str(_root(config) / source), inclusion=InclusionLevel.INCLUDED
        )
        file.dest_uri = target
        files.append(file)
    return files


def on_page_content(content: str, **_: Any) -> str:
    """Tell each cell of a wide table the head of its column, which the stylesheet shows on a phone."""
    return re.sub(r"<table>.*?</table>", _labelled, content, flags=re.DOTALL)


def _labelled(match: re.Match[str]) -> str:
    table = match[0]
    heads = [
        html.escape(html.unescape(re.sub("<.*?>", "", head)))
        for head in re.findall(r"<th.*?>(.*?)</th>", table, re.DOTALL)
    ]
    if len(heads) < CARDS:
        return table
    rows = re.split(r"(?=<tr>)", table.replace("<table>", "<table data-cards>"))
    return "".join(_label_cells(row, heads) for row in rows)


def _label_cells(row: str, heads: list[str]) -> str:
    labels = iter(heads)
    return re.sub("<td", lambda _: f'<td data-label="{label}"' if (label := next(labels, "")) else "<td", row)


def _root(config: MkDocsConfig) -> Path:
    return Path(config.config_file_path).parent
