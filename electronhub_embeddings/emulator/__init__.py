"""A stand-in for the Electron Hub service, embeddings and chat, on loopback.

    >>> from electronhub_embeddings.emulator import Emulator
    >>> with Emulator(plan="free") as service:
    ...     print(service.base_url, service.api_key)

The emulator follows the documented service: its responses, rate limit and cooldown. Faults of the service and of
the network can be scripted. The emulator shares no code with the client, so the client is checked against a second
reading of the documents.

Raises:
    ImportError: starlette or uvicorn is not installed.
"""

try:
    import starlette  # noqa: F401 # pyright: ignore[reportUnusedImport] - for the message below
    import uvicorn  # noqa: F401 # pyright: ignore[reportUnusedImport]
except ImportError as _error:
    raise ImportError(
        'the emulator needs starlette and uvicorn: pip install "electronhub-embeddings[emulator]"'
    ) from _error

from electronhub_embeddings.emulator import faults
from electronhub_embeddings.emulator._calls import Call
from electronhub_embeddings.emulator._emulator import Emulator
from electronhub_embeddings.emulator._fault_script import Fault
from electronhub_embeddings.emulator._rate_limit import PLANS

__all__ = ["PLANS", "Call", "Emulator", "Fault", "faults"]
