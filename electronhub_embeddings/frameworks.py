"""What both adapters need beside the client: one that follows its model's fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from electronhub_embeddings.client import EmbeddingsClient
from electronhub_embeddings.guard import guard

if TYPE_CHECKING:
    from collections.abc import Mapping

REMEMBERED = 4
"""Clients kept by one keeper: a model and its shallow copies share it."""


class ClientKeeper:
    """Keeps the client that belongs to a model's fields, and makes a new one when they have changed.

    A closed one is opened again by the next call, and its counters go on.

    Pickled and deep-copied it is empty: the copy's fields make their own client.
    """

    def __init__(self) -> None:
        self._clients: list[tuple[Mapping[str, Any], EmbeddingsClient]] = []

    def client(self, arguments: Mapping[str, Any]) -> EmbeddingsClient:
        """Return the client made with these arguments.

        Raises:
            ValueError: One of them is out of range, or there is no key.
        """
        with guard():
            for known, client in self._clients:
                if known == arguments:
                    client.reopen()
                    return client
            client = EmbeddingsClient(**arguments)
            self._clients = [(arguments, client), *self._clients[: REMEMBERED - 1]]
            return client

    def close(self) -> None:
        """Close every client that was made."""
        with guard():
            clients = list(self._clients)
        for _, client in clients:
            client.close()

    def __reduce__(self) -> tuple[type[ClientKeeper], tuple[()]]:
        return ClientKeeper, ()
