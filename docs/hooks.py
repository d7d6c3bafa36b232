"""Puts files outside of docs/ that its pages link to onto the site, without a copy."""  # noqa: INP001 - no package

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

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
    "examples/fastapi_server.py": "examples/fastapi_server.py",
}
"""Where a file is -> where it is on the site."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files under the path by which pages link to them, which is the right one for readers in git as well."""
    root = Path(config.config_file_path).parent
    for source, target in LINKED.items():
        file = File.generated(
            config, f"../{source}", abs_src_path=str(root / source), inclusion=InclusionLevel.INCLUDED
        )
        file.dest_uri = target
        files.append(file)
    return files
