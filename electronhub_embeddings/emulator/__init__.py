"""A stand-in for the Electron Hub embeddings service, on loopback.

    >>> from electronhub_embeddings.emulator import Emulator
    >>> with Emulator(plan="free") as service:
    ...     print(service.base_url, service.api_key)

It answers like the documented service, counts calls like it, locks a key out like it, and fails in every
way that the service or the network before it is known to fail. It shares no code with the client: what is
checked against it is checked against a second reading of the documents.

Raises:
    ImportError: starlette or uvicorn is not installed.
"""

try:
    import starlette  # noqa: F401 - asked for here, so that the error below is the first one seen
    import uvicorn  # noqa: F401
except ImportError as missing:
    raise ImportError(
        'the emulator needs starlette and uvicorn: pip install "electronhub-embeddings[emulator]"'
    ) from missing

from electronhub_embeddings.emulator import faults
from electronhub_embeddings.emulator.calls import Call
from electronhub_embeddings.emulator.emulator import Emulator
from electronhub_embeddings.emulator.faults import Fault
from electronhub_embeddings.emulator.plans import PLANS

__all__ = ["PLANS", "Call", "Emulator", "Fault", "faults"]
