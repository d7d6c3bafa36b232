"""Support for both adapters: the client behind them and what they show of it, and errors that quote no argument."""

from __future__ import annotations

import asyncio
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from electronhub_embeddings._codec.text_checks import refuse_other_kinds
from electronhub_embeddings._config.foreign_names import describe_foreign_name
from electronhub_embeddings._config.options import DECLARED
from electronhub_embeddings._config.secret import HIDDEN, drop_frames, reveal, without_frames
from electronhub_embeddings._session.closeable import Closeable
from electronhub_embeddings.client import EmbeddingsClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from electronhub_embeddings._session.estimate import Estimate
    from electronhub_embeddings.usage import Usage

P = ParamSpec("P")
R = TypeVar("R")

MAX_CLIENTS = 4
"""Clients in one cache; a model and its shallow copies share the cache."""


class ClientCache:
    """Caches the client for a model's fields, and creates a new client when the fields have changed.

    The next call reopens a closed client; its usage counters continue.

    A pickled or deep-copied cache is empty: the copy of the model creates its own client.
    """

    def __init__(self) -> None:
        self._clients: list[tuple[Mapping[str, Any], EmbeddingsClient]] = []

    def client(self, arguments: Mapping[str, Any]) -> EmbeddingsClient:
        """Return the client for these arguments.

        Args:
            arguments: The arguments of `EmbeddingsClient`. This mapping is kept, so confidential values must be
                concealed.

        Raises:
            ValueError: An argument is out of range, or there is no key.
        """
        for known, client in self._clients:
            if known == arguments:
                client.reopen()
                return client
        client = EmbeddingsClient(**{name: reveal(value) for name, value in arguments.items()})
        self._clients = [(arguments, client), *self._clients[: MAX_CLIENTS - 1]]
        return client

    def close(self) -> None:
        """Close all cached clients."""
        for _, client in self._clients:
            client.close()

    async def aclose(self) -> None:
        """Close all cached clients without blocking the event loop."""
        await asyncio.gather(*(client.aclose() for _, client in self._clients))

    def __reduce__(self) -> tuple[type[ClientCache], tuple[()]]:
        return ClientCache, ()


class ClientMethods(Closeable):
    """A base class of both adapters: what they have in common with the client beside embedding."""

    _client_cache: ClientCache

    def _client(self) -> EmbeddingsClient:
        raise NotImplementedError

    @property
    def usage(self) -> Usage:
        """A snapshot of this object's usage counters: requests, tokens, waiting times."""
        return self._client().usage

    def estimate(self, texts: Iterable[str], *, price: float | None = None, with_prices: bool = False) -> Estimate:
        """Estimate what embedding documents would take; sends nothing. The same as `EmbeddingsClient.estimate`."""
        return self._client().estimate(texts, price=price, with_prices=with_prices)

    async def aestimate(
        self, texts: Iterable[str], *, price: float | None = None, with_prices: bool = False
    ) -> Estimate:
        """Estimate without blocking the event loop; otherwise the same as `estimate`."""
        return await self._client().aestimate(texts, price=price, with_prices=with_prices)

    def close(self) -> None:
        """Close the connections: waiting calls fail, requests in flight are finished. The next call opens new ones."""
        self._client_cache.close()

    async def aclose(self) -> None:
        """Close the connections without blocking the event loop; otherwise the same as `close`."""
        await self._client_cache.aclose()


def as_list(texts: Iterable[str]) -> list[str]:
    """Return texts as a list, for a framework that goes through them more than once.

    Raises:
        InputError: As in `EmbeddingsClient.embed`, for what is no iterable of texts.
    """
    refuse_other_kinds(texts)
    return list(texts)


def without_inputs(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function that takes a model's arguments: its errors hold no argument and no frame with arguments."""

    @without_frames
    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except ValueError as error:
            refusal = _without_inputs(error)
        raise refusal

    return call


def _without_inputs(error: ValueError) -> ValueError:
    """Rebuild a pydantic ValidationError in this package's words, without the inputs that `errors()` would quote.

    Any other error is returned unchanged, including the ValidationError of pydantic 1, which quotes no input.
    """
    make = getattr(error, "from_exception_data", None)
    if make is None:
        return error
    from pydantic_core import PydanticCustomError  # noqa: PLC0415 - installed, since its error was raised

    invalid: Any = error
    lines: list[dict[str, Any]] = []
    for line in invalid.errors(include_url=False):
        context = line.get("ctx")
        words: Any = line["msg"]
        if context and isinstance(cause := context.get("error"), BaseException):
            words = str(drop_frames(cause))  # without pydantic's "Value error, "
        elif line["type"] == "extra_forbidden":
            words = describe_foreign_name(invalid.title, str(line["loc"][0]), DECLARED)
        lines.append({"type": PydanticCustomError(line["type"], words, context), "loc": line["loc"], "input": HIDDEN})
    refusal: ValueError = make(invalid.title, lines, hide_input=True)
    return refusal
