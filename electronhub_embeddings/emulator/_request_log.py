"""One line for each request: `POST /v1/embeddings 200 remaining=4 texts=12 ms=31`. The key is in no line."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from electronhub_embeddings.emulator._embeddings import CHAT_PATH

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from electronhub_embeddings.emulator._calls import Call

_ENTRY: Final = "electronhub.log"


@dataclass
class LogEntry:
    """What is known of one request; filled in while the request is served."""

    status: int | None = None
    """HTTP status; None until there is one, and if the connection is dropped."""
    remaining: int | None = None
    """Calls that the limit would admit, right after this request was counted; None: no limit."""
    call: Call | None = None
    """None for a request that is not counted."""


def log_entry(scope: Scope) -> LogEntry:
    """Return the entry of the request with this scope."""
    entry: LogEntry = scope.setdefault(_ENTRY, LogEntry())
    return entry


@dataclass(frozen=True)
class RequestLog:
    """An ASGI application that passes requests on to `app`, and a line for each of them to `write`.

    The line is written when the response has ended: completely, or because of a fault, the client or `close()`.
    """

    app: ASGIApp
    write: Callable[[str], None]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        entry = log_entry(scope)
        began = time.perf_counter()

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry.status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, watch)
        finally:
            self.write(_format(scope, entry, time.perf_counter() - began))


def _format(scope: Scope, entry: LogEntry, seconds: float) -> str:
    call = entry.call
    # A damaged response is written past `send`, so the call knows its status and `send` does not.
    status = entry.status if call is None else call.status
    fields = [
        # As it was sent, so that it has no line breaks, and without a query, which could have a key.
        scope["raw_path"].decode("ascii"),
        "-" if status is None else str(status),
        f"remaining={'-' if entry.remaining is None else entry.remaining}",
    ]
    if call is not None:
        fields.append(f"messages={call.messages}" if call.endpoint == CHAT_PATH else f"texts={call.texts}")
    return " ".join([scope["method"], *fields, f"ms={seconds * 1000:.0f}"])
