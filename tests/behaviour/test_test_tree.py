"""The tree of files: the package has a short top, and each file in tests/unit is about the module of its name."""

from support.repository import ROOT, TESTS

WHOLE_ADAPTER = {
    "langchain_electronhub/test_conformance.py",  # the framework's own tests
    "llama_index_electronhub/test_service_context.py",  # only llama-index-core 0.10 has the class
}


def modules():
    """List the modules of the package and its adapters, as paths without underscores and without the top folder."""
    packages = [ROOT / name for name in ("electronhub_embeddings", "langchain_electronhub", "llama_index_electronhub")]
    for package in packages:
        for path in package.rglob("*.py"):
            parts = path.relative_to(package if package is packages[0] else ROOT).with_suffix("").parts
            yield "/".join(part.strip("_") for part in parts)


def test_the_top_of_the_package_can_be_taken_in_at_a_glance():
    """At most eighteen files and folders: a stranger chooses among few."""
    top = [path.name for path in (ROOT / "electronhub_embeddings").iterdir() if path.name != "__pycache__"]
    assert len(top) <= 18, sorted(top)


def test_each_unit_test_has_its_module():
    """So that the tests of a module are found by its path, and those of a renamed module move with it."""
    files = {path.relative_to(TESTS / "unit") for path in (TESTS / "unit").rglob("test_*.py")}
    known = set(modules())
    strangers = {str(file) for file in files if str(file.with_name(file.stem.removeprefix("test_"))) not in known}
    assert strangers == WHOLE_ADAPTER
