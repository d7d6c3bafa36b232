"""Warns the code that called this package, at the line that it called from."""

from __future__ import annotations

import inspect
import warnings

OWN_PACKAGES = frozenset({"electronhub_embeddings", "langchain_electronhub", "llama_index_electronhub"})


def warn_caller(warning: Warning) -> None:
    """Issue a warning that names the innermost line outside of this package and its adapters.

    Raises:
        Warning: `warning` itself, if the filters turn it into an exception.
    """
    frame, level = inspect.currentframe(), 1
    while frame is not None and _package_of(frame.f_globals) in OWN_PACKAGES:
        frame, level = frame.f_back, level + 1
    warnings.warn(warning, stacklevel=level)


def _package_of(namespace: dict[str, object]) -> str:
    return str(namespace.get("__name__")).partition(".")[0]
