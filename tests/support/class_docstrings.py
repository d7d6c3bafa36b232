"""Extracts the descriptions of arguments from the docstring of a class."""

import inspect
import re


def arguments(cls):
    """List the names and descriptions under `Args:` in the docstring of a class."""
    (section,) = re.findall(r"(?ms)^Args:\n(.*?)(?=^\S|\Z)", inspect.getdoc(cls))
    entries = re.split(r"(?m)^    (?=\w)", section)[1:]
    return [(name, " ".join(text.split())) for name, _, text in (entry.partition(":") for entry in entries)]
