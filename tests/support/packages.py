"""The packages of a release, and the commands that build and install them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PACKAGES = ["electronhub_embeddings", "langchain_electronhub", "llama_index_electronhub", "pytest_electronhub"]
NAME_OF = {"langchain": "langchain-electronhub", "llama-index": "llama-index-embeddings-electronhub"}
"""The distributions without code, by the extra of the core that each of them installs."""
UV = Path(sys.executable).with_name("uv")


def run(*command: object) -> str:
    """Run a command and return its output; its error fails the test."""
    arguments = [str(part) for part in command]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()
