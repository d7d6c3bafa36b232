"""Extracts the descriptions of arguments and attributes from the docstrings of a class."""

import ast
import inspect
import re
import textwrap


def arguments(cls):
    """List the names and descriptions under `Args:` in the docstring of a class."""
    (section,) = re.findall(r"(?ms)^Args:\n(.*?)(?=^\S|\Z)", inspect.getdoc(cls))
    entries = re.split(r"(?m)^    (?=\w)", section)[1:]
    return [(name, " ".join(text.split())) for name, _, text in (entry.partition(":") for entry in entries)]


def attributes(cls):
    """List the names of a class's annotated attributes, and the docstrings that follow them."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    pairs = zip(tree.body, tree.body[1:], strict=False)
    return [
        (field.target.id, " ".join(text.value.value.split()))
        for field, text in pairs
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr)
    ]
