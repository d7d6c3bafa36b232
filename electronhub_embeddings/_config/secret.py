"""Keeps the API key, confidential headers and passwords out of whatever a program prints.

Error trackers, rich and `pytest --showlocals` print the local variables of every frame of a traceback. Invariants:

- A secret is stored in a `Secret`, whose repr hides it, and is revealed only inside the expression that uses it.
- A function that takes secrets as plain arguments runs under `without_frames`, which removes its frames from errors.
- The error of a request passes through `drop_frames`, which removes the frames in which httpx handles headers.
"""

from __future__ import annotations

import traceback
from functools import wraps
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from electronhub_embeddings._config.json_value import JSON

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
E = TypeVar("E", bound=BaseException)

HIDDEN = "**********"
"""Replaces a secret in text, as in pydantic's SecretStr."""

MAX_BODY_DEPTH = 50
"""Levels kept of a decoded body; thousands would exceed the recursion limit of whoever walks through it."""


class Secret(Generic[T]):
    """A value that is never printed: not by repr, str, formatting, JSON or a debugger's list of variables."""

    __slots__ = ("_value",)

    def __init__(self, value: T) -> None:
        self._value = value

    def reveal(self) -> T:
        """Return the value itself; keep it out of local variables."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret('{HIDDEN}')"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and bool(other._value == self._value)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType] - any type

    def __hash__(self) -> int:
        return hash(self._value)


def conceal(value: Any) -> Any:
    """Wrap a value, unless it is None or wrapped already."""
    return value if value is None or isinstance(value, Secret) else Secret(value)  # pyright: ignore[reportUnknownVariableType] - as above


def reveal(value: Any) -> Any:
    """Return the value wrapped by `conceal` or by pydantic's SecretStr."""
    if isinstance(value, Secret):
        return value.reveal()  # pyright: ignore[reportUnknownVariableType] - as above
    return value.get_secret_value() if hasattr(value.__class__, "get_secret_value") else value


def redact(value: JSON, secrets: Collection[str], depth: int = 0) -> Any:
    """Replace secrets in a string, or in all strings of a decoded JSON body, which is cut at `MAX_BODY_DEPTH`."""
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, HIDDEN)
        return value
    if isinstance(value, (list, dict)) and depth == MAX_BODY_DEPTH:
        return None
    if isinstance(value, list):
        return [redact(item, secrets, depth + 1) for item in value]
    if isinstance(value, dict):
        return {redact(name, secrets): redact(item, secrets, depth + 1) for name, item in value.items()}
    return value


def drop_frames(error: E, change: Callable[[Any], Any] | None = None) -> E:
    """Remove the tracebacks of an exception and of its causes; types, messages and the chain of causes remain.

    Contexts are unlinked, not followed: the innermost one can be an exception that the caller is handling right now,
    whose traceback belongs to the caller.

    Args:
        error: The exception, changed in place.
        change: Applied to the arguments of each exception of the chain, to redact them.
    """
    pending: list[BaseException | None] = [error]
    seen: set[int] = set()
    while pending:
        link = pending.pop()
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        pending += [link.__cause__, *getattr(link, "exceptions", ())]  # `exceptions`: those of a group
        link.__traceback__ = link.__context__ = None
        if "_request" in vars(link):  # httpx's errors hold the request, and so the Authorization header
            link.request = None  # type: ignore[attr-defined]
        if change is not None:
            link.args = tuple(map(change, link.args))
    return error


class TracebackText(Exception):  # noqa: N818 - it is never raised, only a cause
    """Replaces the frames of an unexpected exception by their text, which has no variables.

    Like multiprocessing's `RemoteTraceback`, it becomes the cause of the exception and is printed above it.
    """

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


def keep_traceback_as_text(error: Exception) -> Exception:
    """Replace the frames of an unexpected exception by their text: a bug report needs the location."""
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    drop_frames(error).__cause__ = TracebackText(text)
    return error


def without_frames(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function that handles secrets: its exceptions leave without its frames and those below them."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - it is raised below
            refusal = drop_frames(error)
        del args, kwargs  # this frame is in the traceback
        try:
            raise refusal
        finally:
            del refusal  # else this frame and the exception are a reference cycle

    return call
