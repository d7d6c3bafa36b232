"""All exceptions of this package.

ElectronHubError                  base class; also raised itself, for example when a closed client is used
├── InputError                    a text was rejected before anything was sent (also a ValueError)
├── CacheError                    the cache cannot be read; nothing was sent
├── ModelChangedError             the model that answers is not the one that filled the cache
├── StoreConflictError            two clients of an account name two stores; nothing was sent (also a ValueError)
├── APIConnectionError            no response: refused, reset, no route, no TLS
│   └── APITimeoutError           no response in time
├── APIStatusError                the service answered with an error
│   ├── BadRequestError           400, 413, 422   a parameter or a text is invalid
│   ├── AuthenticationError       401             the key is wrong, missing, revoked or expired
│   ├── InsufficientBalanceError  402             balance or key budget spent, or a premium model
│   ├── PermissionDeniedError     403             the key is not permitted to do this
│   ├── NotFoundError             404             unknown endpoint or model
│   ├── RateLimitError            429             too many requests; waiting helps
│   ├── QuotaExceededError        429             the budget of a plan or day is spent; waiting seconds does not help
│   └── ServerError               5xx             a failure of the service or its upstream
└── InvalidResponseError          a response that cannot be used: truncated, not JSON, wrong vectors, not finite

Each error carries the vectors finished before the failure, so that nothing paid for is lost:

    vectors = {}
    try:
        vectors = dict(enumerate(client.embed(texts)))
    except ElectronHubError as error:
        vectors = error.partial                                  # input index -> vector
        missing = [i for i in range(len(texts)) if i not in vectors]
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray
    from typing_extensions import Self


class ElectronHubError(Exception):
    """The base class of all exceptions of this package."""

    index: int | None = None
    """Position in the caller's list of the one text that caused the error, if known."""

    next_step: str = ""
    """What to do about the error: one sentence, part of the message."""

    retries: int | None = None
    """How many more attempts are worthwhile; None: as many as the retry policy allows."""

    def __init__(self, message: str = "", *, index: int | None = None, next_step: str | None = None) -> None:
        super().__init__(message)
        self.message: str = message
        if next_step is not None:
            self.next_step = next_step
        self.index = index
        self.partial: Mapping[int, NDArray[np.float32]] = {}
        """The vectors finished before the failure: input index -> float32 array of shape (d,)."""

    def __str__(self) -> str:
        what = self.message
        if self.index is not None:
            what = f"{what.rstrip('.')} (your input {self.index})."
        if self.next_step:
            what = f"{what}{'' if what.endswith(('.', '!', '?')) else '.'} {self.next_step}"
        return what

    def rewrite(self, change: Callable[[Any], Any]) -> None:
        """Pass all that the service has said through `change`, which hides the key."""
        Exception.__init__(self, *map(change, self.args))  # sets `args`
        self.message = change(self.message)

    def for_caller(self, index: int | None = None) -> Self:
        """Copy this error for one caller of a shared request; `index` is the position of the text in that call."""
        copied = copy.copy(self)
        copied.index, copied.partial = index, {}
        copied.__cause__ = self.__cause__
        return copied


class InputError(ElectronHubError, ValueError):
    """A text is not a string, is empty, or cannot be encoded as UTF-8; nothing was sent."""


class CacheError(ElectronHubError):
    """The file of the option `cache` cannot be opened or read, or is not a cache; nothing was sent."""

    next_step = "Name another file, or delete this one if it is damaged: only vectors are lost."


class ModelChangedError(ElectronHubError):
    """A different model now answers to this name: not the one that filled the file of the option `cache`.

    Raised with `on_model_change="raise"`; no vector of the other model is returned or in the cache.
    """

    next_step = (
        "Name a new file in cache, and embed again what is compared with new vectors, such as the content of a vector "
        "store."
    )


class ModelChangedWarning(UserWarning):
    """A different model now answers to this name: not the one that filled the file of the option `cache`.

    The vectors that were returned are those of the other model, and none of them is in the cache.
    """

    def __str__(self) -> str:
        left_alone = "From now on this process returns new vectors, and leaves the cache alone."
        return f"{super().__str__()} {left_alone} {ModelChangedError.next_step}"


class StoreConflictError(ElectronHubError, ValueError):
    """Another client of the account keeps the rate limit elsewhere; together, the two would exceed it."""

    next_step = "Give all clients of the account the same store in rate_limit_store, or close the others first."


class APIConnectionError(ElectronHubError):
    """The service could not be reached, or the connection broke before the end of the response."""

    next_step = "Check base_url, the network and its proxies, and try again."

    sent: bool = True
    """Whether the request may have reached the service and so counts against the rate limit."""

    def __init__(
        self, message: str = "", *, sent: bool = True, retries: int | None = None, next_step: str | None = None
    ) -> None:
        super().__init__(message, next_step=next_step)
        self.sent = sent
        self.retries = retries


class APITimeoutError(APIConnectionError):
    """The service did not respond within the client's `timeout`, or a call did not end within its own.

    The request may have been charged.
    """

    next_step = "Try again, or allow a longer timeout; a smaller batch_size makes answers come sooner."


class APIStatusError(ElectronHubError):
    """The service responded with an error status, or with an error in a 200 response."""

    next_step = "See .body for all that the service has said."

    def __init__(  # noqa: D417 - index is documented by the class
        self,
        message: str = "",
        *,
        status_code: int = 0,
        body: Any = None,
        param: str | None = None,
        code: str | int | None = None,
        retry_after: float | None = None,
        index: int | None = None,
    ) -> None:
        """Store the details of the error response.

        Args:
            message: The service's message.
            status_code: The HTTP status, or the code inside a 200 response. 0: nothing was sent, because the wait for
                the limit would have been longer than `max_wait`.
            body: The decoded JSON body, or its text; truncated if long.
            param: The request parameter that the service names, if any.
            code: The service's error code, if any.
            retry_after: Seconds until another attempt can succeed, if known.
        """
        super().__init__(message, index=index)
        self.status_code = status_code
        self.body: Any = body
        self.param: str | None = param
        self.code: str | int | None = code
        self.retry_after = retry_after

    def rewrite(self, change: Callable[[Any], Any]) -> None:
        """Pass all that the service has said through `change`, which hides the key."""
        super().rewrite(change)
        self.body, self.param, self.code = map(change, (self.body, self.param, self.code))

    def __str__(self) -> str:
        return f"{self.status_code}: {super().__str__()}" if self.status_code else super().__str__()


class BadRequestError(APIStatusError):
    """The service rejects a parameter or a text (400, 413, 422); `.index` is the text's position, if known."""

    next_step = "Change what the message names: the same request would be refused again."


class AuthenticationError(APIStatusError):
    """The key is wrong, missing, revoked or expired (401)."""

    next_step = "Check api_key, or the environment variable ELECTRONHUB_API_KEY."


class InsufficientBalanceError(APIStatusError):
    """The balance or the key's budget is spent, or the model needs a higher plan (402)."""

    next_step = "Top up or raise the key's budget, then embed what is missing from .partial."


class PermissionDeniedError(APIStatusError):
    """The key is not permitted to do this (403): a coding-plan key, an IP restriction, a model that is not allowed."""

    next_step = "Use a key that may call this model from this address."


class NotFoundError(APIStatusError):
    """The endpoint or model is unknown (404)."""

    next_step = "Check base_url, and model: EmbeddingsClient.list_models() lists what there is."


class RateLimitError(APIStatusError):
    """The limit of requests per minute is reached; `.retry_after` is the number of seconds to wait.

    The service has refused a request (429) and no attempt is left, or the wait is longer than `max_wait`.
    """

    next_step = "Try again later, or allow a longer max_wait or more max_retries."


class QuotaExceededError(APIStatusError):
    """A token or daily budget of the plan is spent (429); waiting for seconds does not help."""

    next_step = "Wait for the reset that the message names, or change the plan."


class ServerError(APIStatusError):
    """The service or its upstream has failed (5xx)."""

    next_step = "Try again later: no attempt is left."


class InvalidResponseError(ElectronHubError):
    """The response is invalid, and no part of it was used."""

    next_step = "No part of the answer was used. Try again later."

    def __init__(
        self,
        message: str = "",
        *,
        index: int | None = None,
        retries: int | None = None,
        next_step: str | None = None,
    ) -> None:
        """Store the reason; `index` is the position of the invalid vector, if exactly one is invalid."""
        super().__init__(message, index=index, next_step=next_step)
        self.retries = retries
