"""Real text that is at hand wherever Python is: what the standard library says of itself."""

from __future__ import annotations

import ast
import inspect
import sys
import warnings
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

TOPICS = {
    "text": ("re", "string", "textwrap", "difflib", "html", "locale"),
    "numbers": ("math", "cmath", "statistics", "random", "decimal", "fractions"),
    "time": ("datetime", "calendar", "time", "zoneinfo", "sched"),
    "files": ("os", "os.path", "pathlib", "shutil", "tempfile", "glob", "zipfile", "tarfile", "gzip"),
    "network": ("socket", "ssl", "http.client", "urllib.request", "urllib.parse", "smtplib", "ftplib", "imaplib"),
    "concurrency": ("threading", "asyncio", "multiprocessing.pool", "queue", "concurrent.futures.thread", "selectors"),
    "data": ("json", "csv", "sqlite3", "pickle", "configparser", "xml.etree.ElementTree", "plistlib"),
}
"""The modules that are read, by what they are about."""

MIN_CUT_LENGTH = 60
"""Characters below which a docstring says too little."""

LONGEST = 1500
"""Characters beyond which it is a manual: left out, not cut."""


@dataclass(frozen=True)
class Doc:
    """One docstring."""

    topic: str
    name: str
    text: str


def modules() -> dict[str, str]:
    """Read the docstring of every public module of the standard library; only those written in C are imported."""
    docstrings = {}
    for name in sorted(sys.stdlib_module_names):
        spec = None if name.startswith("_") else find_spec(name)
        if spec is None:
            continue
        if spec.origin and spec.origin.endswith(".py"):
            docstring = ast.get_docstring(ast.parse(Path(spec.origin).read_bytes()))
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # some of them are deprecated
                docstring = import_module(name).__doc__
        if docstring:
            docstrings[name] = docstring
    return docstrings


def standard_library() -> list[Doc]:
    """Read the docstrings of functions and classes, each text once, in order."""
    found: dict[str, Doc] = {}
    for topic, modules in TOPICS.items():
        for module in map(import_module, modules):
            for name, thing in _public(module):
                _keep(found, topic, f"{module.__name__}.{name}", thing)
                if inspect.isclass(thing):
                    for method, function in _public(thing):
                        _keep(found, topic, f"{module.__name__}.{name}.{method}", function)
    return list(found.values())


def _public(thing: object) -> list[tuple[str, object]]:
    names = sorted(name for name in vars(thing) if not name.startswith("_"))
    return [(name, vars(thing)[name]) for name in names if callable(vars(thing)[name])]


def _keep(found: dict[str, Doc], topic: str, name: str, thing: object) -> None:
    text = inspect.getdoc(thing) or ""
    if MIN_CUT_LENGTH <= len(text) <= LONGEST:
        found.setdefault(text, Doc(topic, name, text))
