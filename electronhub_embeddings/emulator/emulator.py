"""The emulator as its users see it."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Literal

from electronhub_embeddings.emulator.admission import Admission
from electronhub_embeddings.emulator.faults.script import Script
from electronhub_embeddings.emulator.meter import Meter
from electronhub_embeddings.emulator.models import MODELS
from electronhub_embeddings.emulator.plans import requests_per_minute
from electronhub_embeddings.emulator.rules import Rules
from electronhub_embeddings.emulator.server import Server, bind, loopback
from electronhub_embeddings.emulator.service import Service
from electronhub_embeddings.emulator.vectors import embed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    import numpy as np
    from numpy.typing import NDArray
    from typing_extensions import Self

    from electronhub_embeddings.emulator.calls import Call
    from electronhub_embeddings.emulator.faults.fault import Fault
    from electronhub_embeddings.emulator.faults.script import Chance


class Emulator:
    """Serve an emulated Electron Hub on loopback, from `start()` to `close()` or in a `with` block.

    Args:
        plan: sets the limit, calls in a window: free 5, starter 10, plus 15, core 20, pro 30, business 60,
            enterprise 100.
        rpm: the limit in place of the plan's; 0: no limit, and no `X-RateLimit` headers.
        window: seconds for which a call counts.
        cooldown: seconds of refusal after a call over the limit; each refused call starts them anew.
        api_key: the one key that is known. Keys that begin with `ek-dev-` get 403, others 401; neither is
            counted.
        host: a loopback address.
        port: 0: a free one.
        latency: seconds of service time, spent after a call is counted. Calls turned away for key or limit
            skip it.
        jitter: up to this many seconds, at random, spent on the way up, before a call is counted.
        rate_limit_headers: whether every response carries the three `X-RateLimit` headers.
        max_inputs: inputs in a request.
        max_input_tokens: tokens in an input, as estimated by the emulator.
        max_request_tokens: tokens in a request.
        refuse: content policy: a request with a text for which this is true is refused with 400.
        names_offender: whether a refusal says which input it is about (`input[22]`); False gives the older
            messages.
        base64: False: base64 is refused with 400. "ignore": floats are answered although base64 was asked.
        faults: one for each admitted call, in order; None is a good answer. May be endless.
        chance: asked for a fault, or None, for each admitted call once `faults` are used up.
        seed: of `jitter` and `chance`.
        clock: seconds, never going back.
        keep_bodies: whether `calls` keeps request bodies; False saves memory under load.

    Raises:
        ValueError: unknown plan, negative `rpm`, or a host that is not loopback.
    """

    def __init__(
        self,
        plan: str = "free",
        *,
        rpm: int | None = None,
        window: float = 60.0,
        cooldown: float = 180.0,
        api_key: str = "ek-emulator",
        host: str = "127.0.0.1",
        port: int = 0,
        latency: float = 0.0,
        jitter: float = 0.0,
        rate_limit_headers: bool = True,
        max_inputs: int = 2048,
        max_input_tokens: int = 8192,
        max_request_tokens: int = 300_000,
        refuse: Callable[[str], bool] | None = None,
        names_offender: bool = True,
        base64: bool | Literal["ignore"] = True,
        faults: Iterable[Fault | None] = (),
        chance: Chance | None = None,
        seed: int = 0,
        clock: Callable[[], float] = time.monotonic,
        keep_bodies: bool = True,
    ) -> None:
        limit = requests_per_minute(plan) if rpm is None else rpm
        if limit < 0:
            raise ValueError(f"rpm must be 0 (no limit) or more, not {limit}")
        self._host, self._port = loopback(host), port
        self._server: Server | None = None
        self._base_url: str | None = None
        self._service = Service(
            admission=Admission(
                api_key=api_key,
                meter=Meter(limit, window, cooldown) if limit else None,
                script=Script(faults, chance),
                dice=random.Random(seed),  # noqa: S311 - chance, no secret
                rules=Rules(max_inputs, max_input_tokens, max_request_tokens, refuse, names_offender, base64),
            ),
            plan=plan,
            clock=clock,
            latency=latency,
            jitter=jitter,
            rate_limit_headers=rate_limit_headers,
            keep_bodies=keep_bodies,
        )

    def __repr__(self) -> str:
        return f"Emulator({self._base_url or 'not started'}, calls={len(self._service.calls)})"

    @property
    def base_url(self) -> str:
        """As `http://127.0.0.1:PORT/v1`; still known after `close()`.

        Raises:
            RuntimeError: never started, so the port is not known.
        """
        if self._base_url is None:
            raise RuntimeError("the emulator has no address before it is started")
        return self._base_url

    @property
    def api_key(self) -> str:
        """The key that is accepted."""
        return self._service.admission.api_key

    @property
    def calls(self) -> list[Call]:
        """A copy of the calls so far that reached `POST /v1/embeddings`, in order of being counted."""
        return list(self._service.calls)

    def vector(
        self, text: str, model: str = "text-embedding-3-small", dimensions: int | None = None
    ) -> NDArray[np.float32]:
        """Return what the service answers for `text`: a unit vector, float32.

        Raises:
            KeyError: `model` is unknown.
        """
        return embed(text, MODELS[model], dimensions)

    def script(self, *faults: Fault | None) -> None:
        """Queue faults behind those already queued: each takes one admitted call; None is a good answer."""
        self._service.admission.script.append(faults)

    def reset(self) -> None:
        """Forget calls, counts, the cooldown and queued faults; connections stay."""
        self._service.reset()

    def start(self) -> Self:
        """Serve; on return connections are accepted. Nothing to do when it serves already.

        Raises:
            OSError: the port is taken.
        """
        if self._server is None:
            listening = bind(self._host, self._port)
            host, port = listening.getsockname()[:2]
            self._base_url = f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"
            self._server = Server(self._service, listening)
        return self

    def close(self) -> None:
        """Stop serving and end every connection at once. Nothing to do when it does not serve."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
