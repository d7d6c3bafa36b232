"""The distributions of a release: one version, metadata that an index takes, and names that install the core."""

import os
import tarfile
from zipfile import ZipFile

import pytest

import electronhub_embeddings
from support.packages import NAME_OF, UV, run

NAMES = {"electronhub-embeddings", *NAME_OF.values()}

ADDRESSES = {"Documentation", "Source", "Issues", "Changelog"}
"""The addresses that each distribution names."""


def test_each_has_a_wheel_and_an_sdist(dist):
    """A release is six files, all of one version."""
    stems = [f"{name.replace('-', '_')}-{electronhub_embeddings.__version__}" for name in NAMES]
    wanted = {stem + kind for stem in stems for kind in ("-py3-none-any.whl", ".tar.gz")}
    assert {file.name for file in dist.iterdir() if file.name != ".gitignore"} == wanted


def test_an_index_would_take_them(dist):
    """Twine accepts the metadata and the READMEs."""
    run(UV, "tool", "run", "--quiet", "twine", "check", "--strict", *dist.glob("*.whl"), *dist.glob("*.tar.gz"))


def test_the_version_is_one(metadata):
    """A name without code needs exactly the core of its own version; they promise the same Pythons and licence."""
    assert set(metadata) == NAMES
    core = metadata["electronhub-embeddings"]
    for extra, name in NAME_OF.items():
        requirement = f"electronhub-embeddings[{extra}]=={electronhub_embeddings.__version__}"
        assert metadata[name].get_all("Requires-Dist") == [requirement]
    for field in ("Version", "Requires-Python", "License-Expression", "License-File"):
        assert {found[field] for found in metadata.values()} == {core[field]}
    addresses = core.get_all("Project-URL")
    assert all(found.get_all("Project-URL") == addresses for found in metadata.values())


def test_names_without_code_have_none(dist):
    """Their wheels are metadata and the licence; their sdists build the same wheels anywhere."""
    for name in NAME_OF.values():
        (wheel,) = dist.glob(f"{name.replace('-', '_')}-*.whl")
        with ZipFile(wheel) as archive:
            assert {path.partition("/")[0].partition("-")[2] for path in archive.namelist()} == {
                f"{electronhub_embeddings.__version__}.dist-info"
            }
        (sdist,) = dist.glob(f"{name.replace('-', '_')}-*.tar.gz")
        with tarfile.open(sdist) as archive:
            files = {path.partition("/")[2] for path in archive.getnames()}
        assert files == {"LICENSE", "PKG-INFO", "README.md", "pyproject.toml"}


def test_addresses_are_known(metadata):
    """A release names real addresses; until then they are listed: `.invalid` stands where one is not known yet."""
    found = dict(url.split(", ", 1) for url in metadata["electronhub-embeddings"].get_all("Project-URL"))
    unknown = [f"{label}: {url}" for label, url in found.items() if ".invalid" in url]
    unknown += [f"{label}: none" for label in sorted(ADDRESSES - set(found))]
    if unknown and not os.environ.get("RELEASE"):
        pytest.skip(f"fill in before a release, in [project.urls] of pyproject.toml: {'; '.join(unknown)}")
    assert unknown == []
