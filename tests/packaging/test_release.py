"""The release: wheel and sdist have the same contents and version, and install with any extra."""

import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile

import pytest

import electronhub_embeddings
from support.packages import NAME_OF, PACKAGES, UV, run
from support.repository import ROOT

EXTRAS = [None, "langchain", "llama-index", "redis", "emulator", "semantic", "all"]

NEEDS = {
    "import langchain_electronhub": "langchain",
    "import llama_index_electronhub": "llama-index",
    "import llama_index.embeddings.electronhub": "llama-index",
    "import electronhub_embeddings.emulator": "emulator",
    "from electronhub_embeddings.rate_limit_stores import redis; redis.RedisStore('redis://localhost', 'a')": "redis",
}
"""Statements, and the extra that each requires."""

MORE = {"all": {"langchain", "llama-index", "redis", "emulator"}, "semantic": {"semantic", "emulator"}}
"""Extras that bring others."""

SEMANTIC = "from electronhub_embeddings.emulator import Emulator; Emulator(embed='semantic')"

ADAPTERS = {
    "langchain": "from langchain_electronhub import ElectronHubEmbeddings as Adapter",
    "llama-index": "from llama_index.embeddings.electronhub import ElectronHubEmbedding as Adapter",
}
"""The imports that the READMEs of the distributions without code show."""
METHODS = {"langchain": "embed_query", "llama-index": "get_query_embedding"}
FOREIGN = {"langchain": "llama_index.core", "llama-index": "langchain_core"}
"""What an adapter's extra does not install: the other framework."""

SECOND_PATH = """
import llama_index.core, llama_index.embeddings.openai, llama_index_electronhub
from llama_index.embeddings.electronhub import ElectronHubEmbedding
print(ElectronHubEmbedding is llama_index_electronhub.ElectronHubEmbedding)
"""

TRY = """
import json, sys
said = {}
for statement in json.loads(sys.argv[1]):
    try:
        exec(statement, {})
    except ImportError as error:
        said[statement] = str(error)
print(json.dumps(said))
"""

INSTALLED = """
import importlib.metadata, electronhub_embeddings as e
print(e.__version__, importlib.metadata.version(e.__name__), e.EmbeddingsClient(api_key="k"))
"""


def test_sdist_holds_what_the_project_holds(built):
    """The sdist has the packages, tests, examples, licence and change log, and no build products."""
    with tarfile.open(built["sdist"]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    listed = ["git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard"]
    known = set(subprocess.run(listed, capture_output=True, text=True, check=True).stdout.splitlines())
    assert names - known == {"PKG-INFO"}
    wanted = (*PACKAGES, "tests", "examples", "LICENSE", "CHANGELOG.md", "README.md", "SECURITY.md", "pyproject.toml")
    assert {name for name in known if name.partition("/")[0] in wanted} <= names


def test_wheel_has_the_source_of_this_tree(built):
    """The wheel, built from the sdist, has each file of the four packages, byte for byte."""
    here = {
        file.relative_to(ROOT).as_posix(): file.read_bytes()
        for package in PACKAGES
        for file in (ROOT / package).rglob("*")
        if file.is_file() and file.suffix != ".pyc"
    }
    with zipfile.ZipFile(built["wheel"]) as archive:
        there = {name: archive.read(name) for name in archive.namelist() if name.partition("/")[0] in PACKAGES}
    assert there == here


def test_version_is_one(built):
    """Wheel, sdist, `__version__` and the tag that is being released, if one is, name the same version."""
    version = electronhub_embeddings.__version__
    assert built["wheel"].name.split("-")[1] == version
    assert built["sdist"].name == f"electronhub_embeddings-{version}.tar.gz"
    if os.environ.get("GITHUB_REF_TYPE") == "tag":
        assert os.environ["GITHUB_REF_NAME"] == f"v{version}"


def test_changes_of_this_version_are_listed():
    """The change log starts with this version or with unreleased changes; a release requires the former."""
    sections = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    may_begin = {electronhub_embeddings.__version__}
    if not os.environ.get("RELEASE"):
        may_begin.add("Unreleased")
    assert sections[0] in may_begin


def test_extras_are_those_of_the_readme(metadata):
    """The README names each extra, and no other."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    told = set(re.findall(r'pip install "electronhub-embeddings\[([\w-]+)\]"', readme))
    assert told <= set(metadata["electronhub-embeddings"].get_all("Provides-Extra"))
    assert set(metadata["electronhub-embeddings"].get_all("Provides-Extra")) == {extra for extra in EXTRAS if extra}
    assert told >= {"langchain", "llama-index", "redis", "all"}


@pytest.mark.parametrize(
    ("kind", "extra"),
    [*(("wheel", extra) for extra in EXTRAS), ("sdist", None)],
    ids=lambda name: name or "bare",
)
def test_installs(built, emulator, tmp_path, kind, extra):
    """In an empty environment, each extra enables its statements; all others name the missing extra.

    A framework's extra is installed by the name of its own, and embeds. LlamaIndex's has the adapter in the framework's
    namespace as well, and hides neither the core nor other integrations there. The sdist becomes the same wheel, so
    that it needs no extra. With all of them the quickstart runs against the emulator, and both frameworks answer.
    """
    python = tmp_path / "bin" / "python"
    run(UV, "venv", "--quiet", "--python", sys.executable, tmp_path)
    asked = f"electronhub-embeddings{f'[{extra}]' if extra else ''} @ {built[kind].as_uri()}"
    install = (UV, "pip", "install", "--quiet", "--python", python, "--find-links", built[kind].parent)
    run(*install, NAME_OF.get(extra, asked))
    run(UV, "pip", "check", "--quiet", "--python", python)
    here, there, made = run(python, "-W", "error", "-c", INSTALLED).split(maxsplit=2)
    assert here == there == electronhub_embeddings.__version__
    assert made.startswith("EmbeddingsClient(")
    missing = json.loads(run(python, "-W", "error", "-c", TRY, json.dumps([*NEEDS, SEMANTIC])))
    brought = MORE.get(extra, {extra})
    needs = {**NEEDS, SEMANTIC: "semantic" if "emulator" in brought else "emulator"}
    wanted = {statement: need for statement, need in needs.items() if need not in brought}
    assert set(missing) == set(wanted)
    for statement, need in wanted.items():
        assert f'pip install "electronhub-embeddings[{need}]"' in missing[statement]
    if extra in ADAPTERS:
        service = emulator(rpm=0)
        model = f"Adapter(base_url={service.base_url!r}, api_key={service.api_key!r})"
        length, foreign = f"len({model}.{METHODS[extra]}('a text'))", f"find_spec({FOREIGN[extra]!r})"
        code = f"from importlib.util import find_spec\n{ADAPTERS[extra]}\nprint({length}, {foreign})"
        assert run(python, "-W", "error", "-c", code) == "1536 None"
        readme = ROOT / "distributions" / NAME_OF[extra] / "README.md"
        assert ADAPTERS[extra].removesuffix(" as Adapter") in readme.read_text(encoding="utf-8")
    if extra == "llama-index":
        run(*install, "llama-index-embeddings-openai")
        assert run(python, "-W", "error", "-c", SECOND_PATH) == "True"
    if extra == "all":
        said = run(python, "-W", "error", ROOT / "examples" / "quickstart.py").splitlines()
        assert [line for line in said if line in {"LangChain", "LlamaIndex"}] == ["LangChain", "LlamaIndex"]
