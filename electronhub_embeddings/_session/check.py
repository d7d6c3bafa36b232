"""Checks what a client was told: key, base URL, model and limit, with one request at most, and only if asked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from electronhub_embeddings._codec.distinct_texts import prepare_texts
from electronhub_embeddings._config.account import CODING_PLAN_KEY
from electronhub_embeddings._rate_limit.wording import AFTER_STORE_FAILURE
from electronhub_embeddings._scheduling.progress import Progress
from electronhub_embeddings._session.lifecycle import Lifecycle
from electronhub_embeddings._session.track_usage import track_usage
from electronhub_embeddings.errors import AuthenticationError, ElectronHubError, RateLimitError

if TYPE_CHECKING:
    from electronhub_embeddings._config.options import Options
    from electronhub_embeddings.usage import Usage

TEXT = "a text to check the connection"


@dataclass(frozen=True)
class CheckResult:
    """What `EmbeddingsClient.check` has found; `str` says it in five lines, without the key."""

    base_url: str
    """Where the service is."""
    model: str
    """The model id."""
    sent: bool
    """Whether a request was sent."""
    dimensions: int | None = None
    """Length of the vector received; None: none was."""
    limit: int | None = None
    """Requests per `period`; None: there is no limit, or it is not known before the first answer."""
    left: int | None = None
    """Requests that can start now; None if `limit` is None."""
    period: float = 60.0
    """Seconds over which the service counts requests."""
    wait: float = 0.0
    """Seconds until the next request can start."""
    key: str = "set"
    """What is known of the key: "not set", "set", "accepted" or "refused"."""
    problem: str | None = None
    """What is wrong, and what to do; None: nothing was found."""

    @property
    def ok(self) -> bool:
        """Whether nothing wrong was found."""
        return self.problem is None

    def __str__(self) -> str:
        fine = "fine" if self.sent else "nothing is wrong so far; nothing was sent"
        lines = {
            "base URL": self.base_url,
            "key": self.key,
            "model": self.model if self.dimensions is None else f"{self.model}, {self.dimensions} dimensions",
            "limit": self._describe_limit(),
            "result": fine if self.problem is None else self.problem,
        }
        return "\n".join(f"{name:9} {value}" for name, value in lines.items())

    def _describe_limit(self) -> str:
        later = f", the next in {self.wait:.0f} s" if self.wait else ""
        if self.limit is None:
            return f"{'none named by the service' if self.sent else 'not known before the first answer'}{later}"
        return f"{self.limit} requests in {self.period:g} s, {self.left} left{later}"


def check(options: Options, usage: Usage, *, send: bool) -> CheckResult:
    """Check a client's options.

    Args:
        options: The client's options.
        usage: The client's counters, in which the request is counted.
        send: Whether to send one request.
    """
    # One text, one encoding and no retry: nothing of the answer can lead to a second request.
    lifecycle = Lifecycle(options.changed(max_retries=0, encoding_format="float", cache=None), usage)
    try:
        result = CheckResult(options.account.base_url, options.model, sent=False)
        if options.account.has_coding_plan_key:
            result = replace(result, problem=CODING_PLAN_KEY)
        elif send:
            result = _with_answer(result, lifecycle)
        return _with_limit(result, lifecycle)
    finally:
        lifecycle.close()


def _with_answer(result: CheckResult, lifecycle: Lifecycle) -> CheckResult:
    """Add what one request shows."""
    with track_usage() as own:
        try:
            connection = lifecycle.connection()
            vectors = connection.submit(prepare_texts([TEXT], ""), Progress(), is_query=True, max_wait=0.0).result()
        except ElectronHubError as error:
            key = "refused" if isinstance(error, AuthenticationError) else result.key
            result = replace(result, sent=own.attempts > 0, key=key)
            return replace(result, problem=_describe(error, result))
    return replace(result, sent=True, key="accepted", dimensions=len(vectors[0]))


def _with_limit(result: CheckResult, lifecycle: Lifecycle) -> CheckResult:
    """Add what is known of the limit."""
    try:
        status = lifecycle.connection().limit_status()
    except ElectronHubError as error:
        return replace(result, problem=result.problem or str(error))
    except Exception as error:  # noqa: BLE001 - any exception of a third-party store
        return replace(result, problem=result.problem or f"The rate limit store failed: {error}. {AFTER_STORE_FAILURE}")
    return replace(result, limit=status.limit, left=status.left, period=status.period, wait=status.wait)


def _describe(error: ElectronHubError, result: CheckResult) -> str:
    """Return what is wrong in one line."""
    if isinstance(error, RateLimitError) and not result.sent:
        return f"Nothing was sent, because the limit is used up. Try again in {error.retry_after or 0:.0f} s."
    return " ".join(str(error).split())
