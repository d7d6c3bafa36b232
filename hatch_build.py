"""Makes the README of a package index: relative links lead to the repository, whose address is in pyproject.toml."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"(?P<picture>!?)\[(?P<text>[^]]*)\]\((?!https?:|#)(?P<path>[^)]+)\)")


class Readme(MetadataHookInterface):
    """Sets `readme`."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set it, with absolute links."""
        source = metadata["urls"]["Source"]

        def absolute(link: re.Match[str]) -> str:
            folder = "raw" if link["picture"] else "blob"
            return f"{link['picture']}[{link['text']}]({source}/{folder}/main/{link['path']})"

        readme = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": LINK.sub(absolute, readme)}
