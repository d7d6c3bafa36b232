"""Leaves out the tests whose framework is not installed."""

from importlib.util import find_spec

collect_ignore = []
if find_spec("langchain_core") is None:
    collect_ignore.append("test_embeddings.py")
if find_spec("langchain_tests") is None:
    collect_ignore.append("test_conformance.py")
