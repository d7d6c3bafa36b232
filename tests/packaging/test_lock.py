"""uv.lock, from which the Makefile's environments are installed, agrees with pyproject.toml and names one index."""

import os
import re
import subprocess

from support.packages import UV
from support.repository import ROOT

LOCK = ROOT / "uv.lock"


def test_it_agrees_with_pyproject():
    """The lock satisfies every requirement of pyproject.toml; if not, `.venv/bin/uv lock` brings it up to date."""
    settings = {name: value for name, value in os.environ.items() if not name.startswith("UV_")}
    command = [UV, "lock", "--check", "--offline", "--no-config"]
    done = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_it_names_one_index():
    """The index and the files are those of PyPI, not of a mirror that the machine of the last change has used."""
    hosts = set(re.findall(r"https?://[^/\"]+", LOCK.read_text(encoding="utf-8")))
    assert hosts == {"https://pypi.org", "https://files.pythonhosted.org"}
