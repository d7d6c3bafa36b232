"""The files of a release: those in the folder that DIST names, or else built here once."""

import os
import sys
from email import message_from_bytes
from pathlib import Path
from zipfile import ZipFile

import pytest

from support.packages import run
from support.repository import ROOT


@pytest.fixture(scope="session")
def dist(tmp_path_factory):
    """The folder with a wheel and an sdist of each distribution; each wheel is built from its sdist."""
    if "DIST" in os.environ:
        return Path(os.environ["DIST"]).resolve()
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, ROOT / "distributions" / "build.py", out)
    return out


@pytest.fixture(scope="session")
def built(dist):
    """The wheel and the sdist of the core."""
    return {
        "wheel": next(dist.glob("electronhub_embeddings-*.whl")),
        "sdist": next(dist.glob("electronhub_embeddings-*.tar.gz")),
    }


@pytest.fixture(scope="session")
def metadata(dist):
    """The metadata in the wheels, by the name of the distribution."""
    found = {}
    for wheel in dist.glob("*.whl"):
        with ZipFile(wheel) as archive:
            name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
            message = message_from_bytes(archive.read(name))
        found[message["Name"]] = message
    return found
