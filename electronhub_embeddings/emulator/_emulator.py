"""The public class: settings, start and stop, scripted faults and recorded calls."""

from __future__ import annotations

import math
import random
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal

from electronhub_embeddings.emulator._app import App
from electronhub_embeddings.emulator._calls import CallProcessor
from electronhub_embeddings.emulator._embeddings import MODELS
from electronhub_embeddings.emulator._fault_script import FaultScript
from electronhub_embeddings.emulator._http_server import HTTPServer, listen, loopback_address
from electronhub_embeddings.emulator._rate_limit import DOCUMENTED_WINDOW, RateLimitWindow, requests_per_minute
from electronhub_embeddings.emulator._request_log import RequestLog
from electronhub_embeddings.emulator._request_rules import RequestRules
from electronhub_embeddings.emulator._vector_source import VectorSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    import numpy as np
    from numpy.typing import NDArray
    from typing_extensions import Self

    from electronhub_embeddings.emulator._calls import Call
    from electronhub_embeddings.emulator._fault_script import Fault, FaultChooser
    from electronhub_embeddings.emulator._vector_source import Embed

_MAX_PORT: Final = 65535


class Emulator:
    """Serves an emulated Electron Hub on loopback, from `start()` to `close()` or in a `with` block.

    Args:
        plan: sets the limit of calls per window: free 5, starter 10, plus 15, core 20, pro 30, business 60,
            enterprise 100.
        rpm: the limit in place of the plan's; 0: no limit, and no `X-RateLimit` headers.
        window: seconds for which a call counts. Other ones than 60 are named in a `RateLimit-Policy` header, so that
            clients of this package need no setting for them.
        cooldown: seconds for which calls are rejected after a call over the limit; each rejected call restarts
            the cooldown.
        api_key: the one accepted key. Other keys get 401; for embeddings, keys that begin with `ek-dev-` get 403.
            Neither is counted.
        host: a loopback address.
        port: 0: a free port.
        latency: seconds of service time, spent after a call is counted. Calls rejected for the key or the limit
            take no service time. A streamed answer begins after half of it, and takes the other half.
        jitter: up to this many random seconds of network delay before a call is counted.
        rate_limit_headers: whether every response carries the three `X-RateLimit` headers.
        max_inputs: most inputs in a request; this and the next six are about embeddings.
        max_input_tokens: most tokens in an input, as estimated by the emulator.
        max_request_tokens: most tokens in a request.
        refuse: content policy: a request with a text for which `refuse` returns true is rejected with 400.
        names_offender: whether an error names the input that caused it (`input[22]`); False: sends the older
            messages, which do not.
        base64: False: base64 is rejected with 400. "ignore": floats are sent even if base64 is requested.
        embed: what makes the vectors. "hashed": words and their letters, the same on every machine to the bit; texts
            that share words are near each other. "semantic": a small model, in the extra `semantic`; texts that mean
            the same are near each other. "auto": semantic vectors if the extra is installed, else hashed ones. Or a
            function that takes a list of texts and returns an array of shape (texts, d), with d as you like, such as
            the method `embed_documents` of any model in LangChain. It is called in a thread, one call at a time; its
            errors are a 500, with the traceback on stderr.
            Vectors get the length that the asked model has, at norm 1; no cosine changes, unless d is longer.
        faults: one for each admitted call, in order; None: no fault. May be endless.
        chance: returns a fault, or None, for each admitted call once `faults` are used up.
        seed: seeds the random numbers of `jitter` and `chance`.
        clock: returns monotonic seconds.
        keep_bodies: whether `calls` keeps request bodies; False saves memory under load.
        log: called in the emulator's thread with one line for each request, when its response has ended: method,
            path, status, calls that remain, texts or messages, milliseconds. A line never has the key.

    Raises:
        ImportError: semantic vectors, and the extra is not installed.
        ValueError: unknown plan, other vectors, a host that is not loopback, or a number out of range.
    """

    def __init__(
        self,
        plan: str = "free",
        *,
        rpm: int | None = None,
        window: float = DOCUMENTED_WINDOW,
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
        embed: Embed = "hashed",
        faults: Iterable[Fault | None] = (),
        chance: FaultChooser | None = None,
        seed: int = 0,
        clock: Callable[[], float] = time.monotonic,
        keep_bodies: bool = True,
        log: Callable[[str], None] | None = None,
    ) -> None:
        limit = requests_per_minute(plan) if rpm is None else rpm
        _check_ranges(rpm=limit, window=window, cooldown=cooldown, latency=latency, jitter=jitter, port=port)
        self._address, self._port = loopback_address(host), port
        self._server: HTTPServer | None = None
        self._base_url: str | None = None
        self._log = log
        self._app = App(
            processor=CallProcessor(
                api_key=api_key,
                rate_limit=RateLimitWindow(limit, window, cooldown) if limit else None,
                script=FaultScript(faults, chance),
                rng=random.Random(seed),  # noqa: S311 - not a secret
                rules=RequestRules(max_inputs, max_input_tokens, max_request_tokens, refuse, names_offender, base64),
            ),
            source=VectorSource(embed),
            plan=plan,
            clock=clock,
            latency=latency,
            jitter=jitter,
            rate_limit_headers=rate_limit_headers,
            keep_bodies=keep_bodies,
        )

    def __repr__(self) -> str:
        return f"Emulator({self._base_url or 'not started'}, calls={len(self._app.calls)})"

    @property
    def base_url(self) -> str:
        """The URL, such as `http://127.0.0.1:PORT/v1`; still available after `close()`.

        Raises:
            RuntimeError: the emulator was never started, so the port is not known.
        """
        if self._base_url is None:
            raise RuntimeError("the emulator has no address before it is started")
        return self._base_url

    @property
    def api_key(self) -> str:
        """The accepted key."""
        return self._app.processor.api_key

    @property
    def calls(self) -> list[Call]:
        """A copy of the calls to embeddings and chat completions so far, in the order in which they were counted."""
        return list(self._app.calls)

    @property
    def model_version(self) -> int:
        """The version of all models, 1 at first. Set another one, and other vectors come under the same names."""
        return self._app.processor.rules.model_version

    @model_version.setter
    def model_version(self, version: int) -> None:
        self._app.processor.rules.model_version = version

    def vector(
        self, text: str, model: str = "text-embedding-3-small", dimensions: int | None = None
    ) -> NDArray[np.float32]:
        """Return the vector that the emulator sends for `text`: a unit vector, float32, of the model's length.

        With `dimensions`, its beginning, at norm 1.

        Raises:
            KeyError: `model` is unknown.
        """
        vectors = self._app.source.embed([text], replace(MODELS[model], version=self.model_version), dimensions)
        vector: NDArray[np.float32] = vectors[0]
        return vector

    def script(self, *faults: Fault | None) -> None:
        """Append faults to the queue. Each applies to one admitted call; None: no fault."""
        self._app.processor.script.extend(faults)

    def reset(self) -> None:
        """Forget calls, counts, the cooldown and queued faults; connections stay open."""
        self._app.clear()

    def start(self) -> Self:
        """Start serving; connections are accepted when this returns. Does nothing if the emulator is running.

        Raises:
            OSError: the port is taken.
        """
        if self._server is None:
            listener = listen(self._address, self._port)
            address, port = listener.getsockname()[:2]
            self._base_url = f"http://{f'[{address}]' if ':' in address else address}:{port}/v1"
            self._server = HTTPServer(self._app if self._log is None else RequestLog(self._app, self._log), listener)
        return self

    def close(self) -> None:
        """Stop serving and end every connection at once. Does nothing if the emulator is not running."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _check_ranges(*, rpm: int, window: float, cooldown: float, latency: float, jitter: float, port: int) -> None:
    # "not >=" rather than "<", so that NaN is rejected.
    if not rpm >= 0:
        raise ValueError(f"rpm must be 0 (no limit) or more, not {rpm}")
    if not 0 < window < math.inf:
        raise ValueError(f"window must be more than 0 seconds, and finite, not {window:g}")
    if not 0 <= cooldown < math.inf:
        raise ValueError(f"cooldown must be 0 seconds or more, and finite, not {cooldown:g}")
    for name, seconds in (("latency", latency), ("jitter", jitter)):
        if not seconds >= 0:
            raise ValueError(f"{name} must be 0 seconds or more, not {seconds:g}")
    if not 0 <= port <= _MAX_PORT:
        raise ValueError(f"port must be between 0 (a free port) and {_MAX_PORT}, not {port}")
