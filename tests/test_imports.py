"""What an import brings with it: nothing that takes time, until the first text."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

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
    """Say whether a framework is there: the name `llama_index` alone may be our own second path."""
    return find_spec(base.partition(".")[0]) and (not base.startswith("llama_index.") or find_spec("llama_index.core"))


CASES = {
    "client": ("sys", "electronhub_embeddings", "EmbeddingsClient"),
    "LangChain": ("langchain_core.embeddings.embeddings", "langchain_electronhub", "ElectronHubEmbeddings"),
    "LlamaIndex": ("llama_index.core.base.embeddings.base", "llama_index_electronhub", "ElectronHubEmbedding"),
}


@pytest.mark.parametrize(
    ("base", "module", "name"),
    [case for case in CASES.values() if installed(case[0])],
    ids=[name for name, case in CASES.items() if installed(case[0])],
)
def test_nothing_heavy_is_imported(base, module, name):
    """Neither an import nor a constructor brings numpy, httpx or anything else that the framework has not brought."""
    script = SCRIPT.format(base=base, module=module, name=name)
    lines = subprocess.check_output([sys.executable, "-c", script], text=True).splitlines()
    for line in lines:
        others = {name for name in line.split() if name not in sys.stdlib_module_names and name not in OURS}
        assert others <= {"typing_extensions"}
    assert len(lines) == 2
