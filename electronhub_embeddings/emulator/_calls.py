"""Processes a call: authentication, rate limit, fault, validation, in this order. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from electronhub_embeddings.emulator import _responses
from electronhub_embeddings.emulator._chat import validate_chat
from electronhub_embeddings.emulator._embeddings import CHAT_PATH, EMBEDDINGS_PATH
from electronhub_embeddings.emulator._fault_script import NO_FAULT, Fault, Manner
from electronhub_embeddings.emulator._responses import ErrorResponse

if TYPE_CHECKING:
    import random

    from electronhub_embeddings.emulator._chat import ChatRequest
    from electronhub_embeddings.emulator._fault_script import FaultScript
    from electronhub_embeddings.emulator._rate_limit import RateLimitWindow
    from electronhub_embeddings.emulator._request_rules import EmbeddingsRequest, RequestRules


@dataclass(frozen=True)
class Call:
    """One call that reached `POST /v1/embeddings` or `POST /v1/chat/completions`."""

    at: float
    """Seconds on the emulator's clock when the call was counted, or rejected for its key."""
    status: int | None
    """HTTP status of the response; None if the connection is dropped before any byte."""
    texts: int
    """Number of inputs in the request; 0 for chat, and if the input is not a string or an array."""
    prompt_tokens: int
    """Tokens charged for the request's texts; 0 for an error: failed calls are free."""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    """Request headers, names in lower case; the key in `authorization` is replaced by `***`."""
    body: Any = None
    """The request's JSON; None if it is not JSON, or with `keep_bodies=False`."""
    limited: bool = False
    """Whether the rate limit rejected the call with 429; False for a 429 of a fault."""
    in_cooldown: bool = False
    """Whether the call came during a cooldown, and so restarted it."""
    endpoint: str = EMBEDDINGS_PATH
    """The path: `/v1/embeddings` or `/v1/chat/completions`."""
    messages: int = 0
    """Number of messages in a chat request; 0 for embeddings, and if the messages are not an array."""


@dataclass(frozen=True)
class CallResult:
    """The result of a call."""

    outcome: EmbeddingsRequest | ChatRequest | ErrorResponse
    fault: Fault = NO_FAULT
    admitted: bool = True
    """False if the key or the rate limit rejected the call, which then takes no service time and no fault."""
    limited: bool = False
    in_cooldown: bool = False

    @property
    def status(self) -> int | None:
        """The HTTP status of the response; None if no byte of it will be sent."""
        if self.fault.manner in (Manner.DROPPED, Manner.RESET):
            return None
        if self.fault.response is not None:
            return self.fault.response.status_code
        return self.outcome.status if isinstance(self.outcome, ErrorResponse) else 200

    @property
    def prompt_tokens(self) -> int:
        """Tokens charged: all of the request, or 0 for an error. A lost response is charged."""
        if isinstance(self.outcome, ErrorResponse) or self.fault.response is not None:
            return 0
        return self.outcome.prompt_tokens


@dataclass(frozen=True)
class CallProcessor:
    """Determines the result of each call; `Emulator` documents the fields."""

    api_key: str
    rate_limit: RateLimitWindow | None
    """None: no limit."""
    script: FaultScript
    rng: random.Random
    rules: RequestRules

    def process(self, authorization: str, body: Any, now: float, endpoint: str = EMBEDDINGS_PATH) -> CallResult:
        """Count a call and return its result.

        Args:
            authorization: value of the `Authorization` header.
            body: the request's JSON.
            now: seconds on the emulator's clock.
            endpoint: the path of the request.
        """
        try:
            self.authenticate(authorization, endpoint)
        except ErrorResponse as error:
            # A key that does not exist has no limit to count against.
            return CallResult(error, admitted=False)
        if self.rate_limit is not None:
            in_cooldown = self.rate_limit.in_cooldown(now)
            # Counted before the request is validated: failed calls count too.
            seconds = self.rate_limit.count(now)
            if seconds is not None:
                rejection = _responses.rate_limited(seconds)
                return CallResult(rejection, admitted=False, limited=True, in_cooldown=in_cooldown)
        fault = self.script.next_fault(self.rng)
        try:
            request = validate_chat(body) if endpoint == CHAT_PATH else self.rules.validate(body)
            return CallResult(request, fault)
        except ErrorResponse as error:
            return CallResult(error, fault)

    def authenticate(self, authorization: str, endpoint: str = EMBEDDINGS_PATH) -> None:
        """Check the key.

        Raises:
            ErrorResponse: 401 for an unknown key, 403 for a key that cannot do embeddings.
        """
        scheme, _, key = authorization.partition(" ")
        if key.startswith("ek-dev-") and endpoint != CHAT_PATH:
            raise _responses.coding_plan_key()
        if scheme.lower() != "bearer" or key != self.api_key:
            raise _responses.unknown_key()

    def clear(self) -> None:
        """Forget counted calls, the cooldown and queued faults."""
        self.script.clear()
        if self.rate_limit is not None:
            self.rate_limit.clear()
