"""Imports: nothing slow is imported before the first text, and each folder imports only what it may."""

import ast
import re
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

import electronhub_embeddings

SCRIPT = """
import sys, warnings
warnings.simplefilter("ignore")
import {base}
before = set(sys.modules)
import {module}
print(" ".join(sorted({{name.partition(".")[0] for name in set(sys.modules) - before}})))
{module}.{name}(api_key="ek-test")
print(" ".join(sorted({{name.partition(".")[0] for name in set(sys.modules) - before}})))
"""

OURS = {"electronhub_embeddings", "langchain_electronhub", "llama_index_electronhub"}


def installed(base):
    """Return whether a framework is installed; the name `llama_index` alone may be this package's namespace."""
    return find_spec(base.partition(".")[0]) and (not base.startswith("llama_index.") or find_spec("llama_index.core"))


CASES = {
    "client": ("sys", "electronhub_embeddings", "EmbeddingsClient"),
    "LangChain": ("langchain_core.embeddings.embeddings", "langchain_electronhub", "ElectronHubEmbeddings"),
    "LlamaIndex": ("llama_index.core.base.embeddings.base", "llama_index_electronhub", "ElectronHubEmbedding"),
}


@pytest.mark.parametrize(
    ("base", "module", "name"),
    [
        pytest.param(*case, id=name, marks=[pytest.mark.slow] * (name == "LlamaIndex"))  # which takes 5 s to import
        for name, case in CASES.items()
        if installed(case[0])
    ],
)
def test_nothing_heavy_is_imported(base, module, name):
    """Neither an import nor a constructor imports numpy, httpx or other modules that the framework has not imported."""
    script = SCRIPT.format(base=base, module=module, name=name)
    lines = subprocess.check_output([sys.executable, "-c", script], text=True).splitlines()
    for line in lines:
        others = {name for name in line.split() if name not in sys.stdlib_module_names and name not in OURS}
        assert others <= {"typing_extensions"}
    assert len(lines) == 2


ROOT = Path(electronhub_embeddings.__file__).parent
FOLDERS = sorted(path.parent for path in ROOT.glob("*/__init__.py") if path.parent.name != "emulator")
PURE = ("_codec", "_rate_limit", "_scheduling")
OUTSIDE = {
    *(
        "asyncio",
        "concurrent",
        "ctypes",
        "datetime",
        "http",
        "io",
        "multiprocessing",
        "os",
        "pathlib",
        "queue",
        "select",
    ),
    *(
        "selectors",
        "shutil",
        "signal",
        "socket",
        "sqlite3",
        "ssl",
        "subprocess",
        "sys",
        "tempfile",
        "threading",
        "time",
    ),
    *("_thread", "urllib", "httpx", "httpx2", "redis", "tqdm"),
}
"""Whatever reaches a file, a socket, a clock, a thread or the process."""
NO_IO = {"http.HTTPStatus"}
"""Names that are only numbers, whatever else their module does."""


def imports(path):
    """List all imports of a module, including nested ones and those for types, as (module, name)."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module, alias.name) for alias in node.names)


@pytest.mark.parametrize("folder", PURE)
def test_rules_reach_nothing_outside(folder):
    """Modules without I/O import no clock, no thread, and nothing that opens a file or a socket."""
    found = {
        f"{path.name}: {module}.{name}"
        for path in (ROOT / folder).glob("*.py")
        for module, name in imports(path)
        if module.partition(".")[0] in OUTSIDE and f"{module}.{name}" not in NO_IO
    }
    assert found == set()


def test_no_module_imports_the_package_itself():
    """Nothing imports the package's own `__init__`, which imports the client: that would be a circle."""
    paths = sorted(ROOT.rglob("*.py"))
    assert [path for path in paths if "electronhub_embeddings" in {module for module, _ in imports(path)}] == []
    assert len(paths) > 100


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_folder_names_what_it_imports(folder):
    """The first words of a folder's `__init__` name exactly what of this package the folder imports."""
    docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
    named = re.findall(r"`(\w+)`", docstring.partition("Imports")[2])
    real = {
        module.split(".")[1]
        for path in folder.glob("*.py")
        for module, _ in imports(path)
        if module.startswith("electronhub_embeddings.") and module.split(".")[1] != folder.name
    }
    assert (set(named), sorted(named)) == (real, named)


PUBLIC = {
    "electronhub_embeddings": {
        *("APIConnectionError", "APIStatusError", "APITimeoutError", "AuthenticationError", "BadRequestError"),
        *(
            "CacheError",
            "CheckResult",
            "ElectronHubError",
            "EmbeddingsClient",
            "InputError",
            "Estimate",
            "InsufficientBalanceError",
        ),
        *("InvalidResponseError", "NotFoundError", "PermissionDeniedError", "QuotaExceededError", "RateLimitError"),
        *("ModelChangedError", "ModelChangedWarning"),
        *("RequestInfo", "ServerError", "StoreConflictError", "Usage", "__version__", "track_usage"),
        *("AsyncRateLimitedTransport", "RateLimitedTransport"),
    },
    "electronhub_embeddings.emulator": {"PLANS", "Call", "Emulator", "Fault", "faults"},
    "electronhub_embeddings.rate_limit_stores": {"RateLimitStore", "SlidingWindow"},
    "langchain_electronhub": {"ElectronHubEmbeddings", "ElectronHubRateLimiter"},
    "llama_index_electronhub": {"ElectronHubEmbedding", "ElectronHubRateLimiter"},
    "llama_index.embeddings.electronhub": {"ElectronHubEmbedding"},
    "pytest_electronhub": {"electronhub"},
}


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names(name):
    """No name becomes public or private unnoticed."""
    base = {"langchain": "langchain_core", "llama": "llama_index.core"}.get(name.partition("_")[0], "sys")
    if not installed(base):
        pytest.skip(f"{base} is not installed")
    module = import_module(name)
    assert set(module.__all__) == PUBLIC[name]
    assert [public for public in module.__all__ if not hasattr(module, public)] == []
