"""httpx and httpx2, as parameters of tests: their clients, and the transports that pace them."""

import asyncio
import importlib
from importlib.util import find_spec

import electronhub_embeddings

NAMES = [name for name in ("httpx", "httpx2") if find_spec(name)]
"""The installed families; httpx2 needs Python 3.11."""


class Kind:
    """One of the four kinds of transport.

    Args:
        name: The family.
        is_async: Whether it is for an event loop.
    """

    def __init__(self, name, *, is_async):
        self.module, self.is_async = importlib.import_module(name), is_async
        self.client_class = self.module.AsyncClient if is_async else self.module.Client
        title = f"{'Async' if is_async else ''}{'HTTPX2' if name == 'httpx2' else ''}RateLimitedTransport"
        self.transport_class = getattr(electronhub_embeddings, title)

    def transport(self, service, **options):
        """Return a transport for a service."""
        return self.transport_class(**{"base_url": service.base_url, **options})

    def client(self, service, transport=None, **options):
        """Return an HTTP client with the key of a service."""
        headers = {"Authorization": f"Bearer {service.api_key}"}
        transport = transport or self.transport(service, **options)
        return self.client_class(transport=transport, headers=headers)

    def run(self, service, act, **options):
        """Run a coroutine function with a `Poster`, and close its client; return the result."""

        async def run():
            poster = Poster(self, self.client(service, **options), service)
            try:
                return await act(poster)
            finally:
                await poster.close()

        return asyncio.run(run())


class Poster:
    """Sends requests through an HTTP client of either kind; a sync one is used in threads."""

    def __init__(self, kind, http, service):
        self.http, self._kind, self._service = http, kind, service

    async def post(self, *texts, url=None, **options):
        """Post texts to be embedded, and return the response."""
        url = url or f"{self._service.base_url}/embeddings"
        body = {"model": "text-embedding-3-small", "input": list(texts or ["one"])}
        if self._kind.is_async:
            return await self.http.post(url, json=body, **options)
        return await asyncio.to_thread(self.http.post, url, json=body, **options)

    async def close(self):
        """Close the client."""
        if self._kind.is_async:
            await self.http.aclose()
        else:
            self.http.close()


KINDS = {f"{name} {'async' if is_async else 'sync'}": (name, is_async) for name in NAMES for is_async in (False, True)}
"""The kinds of transport, by the names of tests."""
