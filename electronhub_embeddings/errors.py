"""Every exception of this package, in one tree.

ElectronHubError                  also raised itself when a closed client is used
├── InputError                    a text was refused before anything was sent (also a ValueError)
├── CacheError                    the cache cannot be read; nothing was sent
├── APIConnectionError            no answer: refused, reset, no route, no TLS
│   └── APITimeoutError           no answer in time
├── APIStatusError                the service answered with an error
│   ├── BadRequestError           400, 413, 422   a parameter or a text is wrong
│   ├── AuthenticationError       401             the key is wrong, missing, revoked or expired
│   ├── InsufficientBalanceError  402             balance or key budget spent, or a premium model
│   ├── PermissionDeniedError     403             this key may not do that
│   ├── NotFoundError             404             unknown endpoint or model
│   ├── RateLimitError            429             too many requests; a wait cures it
│   ├── QuotaExceededError        429             a plan's or day's budget is spent; a wait of seconds does not
│   └── ServerError               5xx             trouble at the service or above it
└── InvalidResponseError          an answer that cannot be trusted: cut, not JSON, wrong rows, not finite

Each carries what was finished before it happened, so that no vector that was paid for is lost:

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
    from typing_extensions import Self


class ElectronHubError(Exception):
    """Is the root of all exceptions of this package."""

    index: int | None = None
    """Position of the guilty text in the caller's list, where one text is to blame and is known."""

    next_step: str = ""
    """What to do about it: one sentence, part of the message."""

    retries: int | None = None
    """How many more attempts are worth their price; None: as many as the policy allows, if it allows any."""

    def __init__(self, message: str = "", *, index: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.index = index
        self.partial: Mapping[int, np.ndarray] = {}
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
        self.args, self.message = tuple(map(change, self.args)), change(self.message)

    def for_caller(self, index: int | None = None) -> Self:
        """Copy this error for one of several callers of a shared request, naming that caller's guilty input."""
        twin = copy.copy(self)
        twin.index, twin.partial = index, {}
        twin.__cause__ = self.__cause__
        return twin


class InputError(ElectronHubError, ValueError):
    """A text is not a string, is empty, or cannot be encoded as UTF-8; nothing was sent."""


class CacheError(ElectronHubError):
    """The file that `cache` names cannot be opened or read, or is no cache; nothing was sent."""

    next_step = "Name another file, or delete this one if it is damaged: only vectors are lost."


class APIConnectionError(ElectronHubError):
    """The service could not be reached or did not finish its answer."""

    sent: bool = True
    """Whether the request may have reached the service and so counts against the limit."""

    def __init__(self, message: str = "", *, sent: bool = True, retries: int | None = None) -> None:
        super().__init__(message)
        self.sent = sent
        self.retries = retries


class APITimeoutError(APIConnectionError):
    """The service did not answer within `timeout` seconds; the call may have been charged."""


class APIStatusError(ElectronHubError):
    """The service answered with an error status, or with an error inside a 200."""

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
        """Keep what the service said.

        Args:
            message: The service's own words.
            status_code: The HTTP status, or the code inside a 200.
            body: The decoded JSON body, or its text; cut to a sane length.
            param: The request parameter that the service names, if any.
            code: The service's error code, if any.
            retry_after: Seconds until another try can succeed, where known.
        """
        super().__init__(message, index=index)
        self.status_code = status_code
        self.body = body
        self.param = param
        self.code = code
        self.retry_after = retry_after

    def rewrite(self, change: Callable[[Any], Any]) -> None:
        """Pass all that the service has said through `change`, which hides the key."""
        super().rewrite(change)
        self.body, self.param, self.code = map(change, (self.body, self.param, self.code))

    def __str__(self) -> str:
        return f"{self.status_code}: {super().__str__()}"


class BadRequestError(APIStatusError):
    """The service refuses a parameter or a text (400, 413, 422); `.index` names the text where it is known."""


class AuthenticationError(APIStatusError):
    """The key is wrong, missing, revoked or expired (401)."""

    next_step = "Check api_key or ELECTRONHUB_API_KEY."


class InsufficientBalanceError(APIStatusError):
    """The balance or the key's budget is spent, or the model needs a higher plan (402)."""

    next_step = "Top up or raise the key's budget, then embed what is missing from .partial."


class PermissionDeniedError(APIStatusError):
    """This key may not do that (403): a coding-plan key, an IP limit, a model that is not allowed."""

    next_step = "Use a key that may call this model from this address."


class NotFoundError(APIStatusError):
    """Unknown endpoint or model (404)."""

    next_step = "Check model and base_url."


class RateLimitError(APIStatusError):
    """The limit of requests a minute stands in the way (429); `.retry_after` says for how many seconds."""

    next_step = "Try again after .retry_after seconds, or allow a longer max_wait or more max_retries."


class QuotaExceededError(APIStatusError):
    """A token or daily budget of the plan is spent (429); waiting seconds does not help."""

    next_step = "Wait for the reset that the message names, or change the plan."


class ServerError(APIStatusError):
    """The service or something above it is in trouble (5xx)."""

    next_step = "All attempts are used up; try again later."


class InvalidResponseError(ElectronHubError):
    """The answer cannot be trusted, so none of it was used."""

    next_step = "Nothing of this answer was used."

    def __init__(self, message: str = "", *, index: int | None = None, retries: int | None = None) -> None:
        """Keep the reason; `index` is the position of the wrong row, where one row is wrong."""
        super().__init__(message, index=index)
        self.retries = retries
