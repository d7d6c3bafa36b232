"""The page of a package index: the README with links that work there, and the addresses of the project."""

import re
import tarfile
from email import message_from_bytes

import pytest

from support.repository import ROOT


@pytest.fixture(scope="module")
def page(built):
    """Return the metadata that an index shows: links by name, and the README."""
    with tarfile.open(built["sdist"]) as archive:
        information = next(name for name in archive.getnames() if name.count("/") == 1 and name.endswith("/PKG-INFO"))
        metadata = message_from_bytes(archive.extractfile(information).read())
    return dict(link.split(", ", 1) for link in metadata.get_all("Project-URL")), metadata.get_payload()


def test_it_leads_to_the_project(page):
    """Documentation, source, issues and changes have an address; the last two are parts of the source's."""
    addresses, _ = page
    assert set(addresses) == {"Documentation", "Source", "Issues", "Changelog", "Service"}
    assert all(addresses[name].startswith(f"{addresses['Source']}/") for name in ("Issues", "Changelog"))


def test_links_are_absolute(page):
    """Links of the README lead to the source, and those of pictures to the files themselves."""
    addresses, readme = page
    folders = {"!": f"{addresses['Source']}/raw/main/", "": f"{addresses['Source']}/blob/main/"}
    links = re.findall(r"(!?)\[[^]]*\]\(([^)]+)\)", readme)
    assert len(links) > 20
    assert [link for mark, link in links if not link.startswith((folders[mark], "https://electronhub.ai"))] == []


def test_addresses_stand_in_one_place(page):
    """No document of the project repeats an address of its source or its documentation."""
    addresses, _ = page
    own = addresses["Source"], addresses["Documentation"]
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "mkdocs.yml"]
    assert [file.name for file in documents if any(it in file.read_text(encoding="utf-8") for it in own)] == []
