"""Leaves out the tests that the installed llama-index-core cannot run."""

import warnings
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

try:
    CORE = tuple(map(int, version("llama-index-core").split(".")[:2]))
except PackageNotFoundError:
    CORE = None

collect_ignore = []
if CORE is None:
    collect_ignore += ["test_coalesced_call.py", "test_embeddings.py"]
if CORE is None or CORE >= (0, 11):
    collect_ignore.append("test_service_context.py")  # ServiceContext was removed from the core in 0.11
if CORE is not None:
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # the oldest cores warn when Python compiles them, and about the newest pydantic
        import_module("llama_index.core")
