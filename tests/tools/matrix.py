"""Runs the tests with several versions of Python and the dependencies: `python tests/tools/matrix.py [NAME...]`.

Each row has its own environment in `.matrix/NAME`, which is kept until the row or pyproject.toml changes. A row whose
Python is not installed is shown as missing; that is a failure only if the row was requested by name.
Started by `make matrix`.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import astuple, dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
HOME = ROOT / ".matrix"
TEST_TIMEOUT = 1200
"""Seconds after which the tests of a row have failed."""

TELL = """
import sys, platform, importlib.metadata
print(f"Python {platform.python_version()}", *(f"{n} {importlib.metadata.version(n)}" for n in sys.argv[1:]), sep=", ")
"""

ALL = (
    "tests",
    *(f"--ignore=tests/{name}" for name in ("packaging", "endurance", "ecosystem")),
    *(f"--ignore=tests/behaviour/{name}" for name in ("test_readme.py", "test_docs.py")),
)
LANGCHAIN = ("tests/unit/langchain_electronhub", "tests/behaviour/test_imports.py")
LLAMA_INDEX = ("tests/unit/llama_index_electronhub", "tests/behaviour/test_imports.py")
CORE = (
    *(f"tests/unit/{name}" for name in ("codec", "http", "session", "workers", "test_client.py")),
    *(f"tests/unit/{name}.py" for name in ("rate_limit/test_window_state", "scheduling/test_retry_policy")),
    *(f"tests/behaviour/test_{name}.py" for name in ("fault_matrix", "hostile_answers", "promises")),
)
"""The tests that exercise tenacity, httpx, numpy, msgspec and pybase64, through every entry point."""

FLOOR = (
    *("-m", "not slow"),
    *CORE,
    LANGCHAIN[0],
    *LLAMA_INDEX,
    "tests/behaviour/test_security.py",
    *(
        f"tests/unit/storage/test_vector_cache.py::test_{name}"
        for name in ("nothing_is_sent_twice", "a_damaged_entry_is_a_miss", "any_text_and_any_vector")
    ),
)
"""The tests that old dependencies can break: not those about this machine, files and processes, nor rules without any.

Of the cache those that turn vectors into bytes and back.
"""


@dataclass(frozen=True)
class Row:
    """One environment, and the tests that run in it, as arguments of pytest."""

    packages: tuple[str, ...] = ()
    """Requirements in addition to the package."""
    tests: tuple[str, ...] = ALL
    extras: str = "all"
    python: tuple[str, ...] = ()
    """Versions, of which the first one found is used; empty: the version that runs this script."""
    lowest: bool = False
    """Whether each direct dependency has the lowest version that pyproject.toml allows."""
    shown: tuple[str, ...] = ()
    """Distributions whose versions are printed."""


CORES = ("langchain-core", "llama-index-core")
FLOORS = ("httpx", "tenacity", "numpy", "msgspec", "pybase64", *CORES)
CONFORMANCE = "langchain-tests>=1.0"

ROWS = {
    "lowest": Row(tests=FLOOR, python=("3.10", "3.11"), lowest=True, shown=FLOORS),
    "langchain-1.0.0": Row(("langchain-core==1.0.0", CONFORMANCE), LANGCHAIN, "langchain,emulator", shown=CORES[:1]),
    "langchain-newest": Row((CONFORMANCE,), LANGCHAIN, "langchain,emulator", shown=CORES[:1]),
    "llama-index-0.10": Row(("llama-index-core==0.10.68.post1",), LLAMA_INDEX, shown=("llama-index-core",)),
    **{
        f"llama-index-{minor}": Row(
            (f"llama-index-core=={minor}.*",), LLAMA_INDEX, "llama-index,emulator", shown=("llama-index-core",)
        )
        for minor in ("0.11", "0.12", "0.13", "0.14")
    },
    "tenacity-8.2": Row(("tenacity==8.2.*",), CORE, shown=("tenacity",)),
    "tenacity-9": Row(("tenacity==9.*",), CORE, shown=("tenacity",)),
    **{f"python-{version}": Row(python=(version,), shown=CORES) for version in ("3.10", "3.12", "3.13")},
}


def uv():
    """Return the path of uv, next to this Python or on the PATH."""
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else shutil.which("uv") or sys.exit("uv is missing: pip install uv")


def find_python(version):
    """Return an installed Python of the given version, or None; nothing is downloaded."""
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    command = [uv(), "python", "find", "--no-python-downloads", "--no-project", "--system", version]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if not found.returncode:
        return found.stdout.strip()
    # pyenv's shims refuse to start a version that is installed but not selected.
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    return next((str(python) for python in pyenv.glob(f"versions/{version}.*/bin/python")), None)


def install(row, python, home, log):
    """Create a row's environment unless it is up to date."""
    wanted = json.dumps([astuple(row), python, (ROOT / "pyproject.toml").read_text(encoding="utf-8")])
    stamp = home / "made-for"
    mark = hashlib.sha256(wanted.encode()).hexdigest()
    if stamp.exists() and stamp.read_text(encoding="utf-8") == mark:
        return True
    shutil.rmtree(home, ignore_errors=True)
    into = [uv(), "pip", "install", "--quiet", "--python", home / "bin" / "python"]
    lowest = ["--resolution", "lowest-direct"] if row.lowest else []
    commands = (
        [uv(), "venv", "--quiet", "--python", python, home],
        [*into, *lowest, "--editable", f"{ROOT}[{row.extras}]", *row.packages],
        # The test tools are not under test: every row has the newest ones.
        [*into, "--group", f"{ROOT / 'pyproject.toml'}:test"],
    )
    for command in commands:
        if subprocess.run(command, stdout=log, stderr=log, check=False).returncode:
            return False
    stamp.write_text(mark, encoding="utf-8")
    return True


def test(row, home, log):
    """Run a row's tests in its environment, and return whether they passed."""
    options = ("--quiet", "-n", "auto", "--maxprocesses", "4", "--dist", "worksteal", "-p", "no:cacheprovider")
    command = [home / "bin" / "python", "-m", "pytest", *options, *row.tests]
    try:
        return not subprocess.run(
            command, cwd=ROOT, stdout=log, stderr=log, check=False, timeout=TEST_TIMEOUT
        ).returncode
    except subprocess.TimeoutExpired:
        print(f"no end after {TEST_TIMEOUT} seconds", file=log, flush=True)
        return False


def versions(row, home):
    """Return the versions of a row's `shown` distributions."""
    command = [home / "bin" / "python", "-c", TELL, *row.shown]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def run(name):
    """Run one row, and return its versions and its result."""
    row, home = ROWS[name], HOME / name
    python = next(filter(None, map(find_python, row.python)), None) if row.python else sys.executable
    if python is None:
        return f"Python {' or '.join(row.python)}", "missing"
    with (HOME / f"{name}.log").open("w", encoding="utf-8") as log:
        if not install(row, python, home, log):
            return "", "not installed"
        passed = test(row, home, log)
    return versions(row, home), "passed" if passed else "failed"


def main():
    """Run the requested rows, or all, and return 1 if any fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(ROWS))
    names = parser.parse_args().names
    if unknown := set(names) - set(ROWS):
        parser.error(f"no such row: {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    HOME.mkdir(exist_ok=True)
    failed = []
    print("| row | versions | result | seconds |\n|---|---|---|---:|", flush=True)
    for name in names or ROWS:
        began = time.monotonic()
        about, result = run(name)
        print(f"| {name} | {about} | {result} | {time.monotonic() - began:.0f} |", flush=True)
        if result != "passed" and (names or result != "missing"):
            failed.append(name)
    for name in failed:
        log = HOME / f"{name}.log"
        said = log.read_text(encoding="utf-8")[-3000:] if log.exists() else ""
        print(f"\n{name} (all of it in {log.relative_to(ROOT)}):\n{said}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
