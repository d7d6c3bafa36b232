"""`support/public_names.py`, which is only type-checked, uses every public name and every argument of a constructor."""

import ast
import inspect
import sys
from dataclasses import is_dataclass
from enum import Enum
from importlib import import_module

import pytest

from support.repository import TESTS

FILE = TESTS / "support" / "public_names.py"
NODES = list(ast.walk(ast.parse(FILE.read_text(encoding="utf-8"))))
USED = {node.id for node in NODES if isinstance(node, ast.Name)} | {
    node.attr for node in NODES if isinstance(node, ast.Attribute)
}
"""The names that are used, not only imported."""

MODULES = (
    "electronhub_embeddings",
    "electronhub_embeddings.emulator",
    "electronhub_embeddings.emulator.faults",
    "electronhub_embeddings.rate_limit_stores",
    "langchain_electronhub",
    "llama_index_electronhub",
    "pytest_electronhub",
)
CONSTRUCTORS = [
    ("electronhub_embeddings", "EmbeddingsClient"),
    ("electronhub_embeddings", "RateLimitedTransport"),
    ("electronhub_embeddings", "AsyncRateLimitedTransport"),
    ("electronhub_embeddings", "HTTPX2RateLimitedTransport"),
    ("electronhub_embeddings", "AsyncHTTPX2RateLimitedTransport"),
    ("electronhub_embeddings.emulator", "Emulator"),
    ("langchain_electronhub", "ElectronHubEmbeddings"),
    ("langchain_electronhub", "ElectronHubRateLimiter"),
    ("llama_index_electronhub", "ElectronHubEmbedding"),
    ("llama_index_electronhub", "ElectronHubRateLimiter"),
]


@pytest.mark.parametrize("module", MODULES)
def test_every_name_is_used(module):
    """Each name in `__all__` is used."""
    assert set(import_module(module).__all__) - USED == set()


def test_every_constructor_is_looked_at():
    """Each public class is in the list above, is an exception, or holds only data."""
    listed = {name for _, name in CONSTRUCTORS}
    for module in MODULES:
        public = import_module(module)
        for name in public.__all__:
            value = getattr(public, name)
            if isinstance(value, type) and not issubclass(value, (Exception, Enum)) and not is_dataclass(value):
                assert name in {*listed, "RateLimitStore"}, name  # a protocol has no constructor


@pytest.mark.parametrize(("module", "name"), CONSTRUCTORS)
def test_every_argument_is_used(module, name):
    """Each argument of a public constructor is given, by name or, if it may be, as the first one."""
    if "HTTPX2" in name and sys.version_info < (3, 11):
        pytest.skip("httpx2 needs Python 3.11")
    cls = getattr(import_module(module), name)
    calls = [node for node in NODES if isinstance(node, ast.Call) and _called(node.func) == (module, name)]
    given = {keyword.arg for call in calls for keyword in call.keywords}
    arguments = getattr(cls, "model_fields", None) if module.startswith("langchain") else None
    parameters = inspect.signature(cls).parameters if arguments is None else arguments
    positional = [parameter for parameter in list(parameters)[:1] if any(call.args for call in calls)]
    assert set(parameters) - {*given, *positional} == set()


def _called(function):
    """Return the module and the class of a call; two modules have an `ElectronHubRateLimiter`."""
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    modules = [module for module, other in CONSTRUCTORS if other == name]
    qualified = [module for module in modules if isinstance(function, ast.Attribute) and function.value.id == module]
    return next(iter(qualified or modules), ""), name
