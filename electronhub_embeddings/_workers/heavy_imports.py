"""Heavy modules, imported by a worker at the first call: importing this package stays fast; no event loop blocks."""

from __future__ import annotations

from importlib import import_module

from electronhub_embeddings._config.import_lock import importing

HEAVY = (
    "electronhub_embeddings._http.api_client",  # httpx, msgspec
    "electronhub_embeddings._codec.vector_output",  # numpy
)


def import_heavy_modules() -> None:
    """Import the modules that a request needs; takes 0.3 s the first time."""
    with importing:
        for name in HEAVY:
            import_module(name)
