"""The transports of all families: they pace the requests of an account, and pass all others on.

Invariants:
- A request is sent only with a slot, and each attempt takes its own: an SDK's retries come through here.
- The slot is completed when the headers arrive; a streamed answer is counted when it begins.
- A request that was cancelled or has failed is assumed to be counted, unless no byte of it was sent.
- A request of this package's own client, whose `http_client` has such a transport, has its slot already.
- The SDK sees the answer and every error of the wrapped transport unchanged.
"""

from __future__ import annotations

import os
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar

from electronhub_embeddings._config.import_lock import importing
from electronhub_embeddings._config.pacing_options import pacing_options
from electronhub_embeddings._config.secret import without_frames
from electronhub_embeddings._http.http_family import OWN_REQUEST
from electronhub_embeddings._pacing import store_threads
from electronhub_embeddings._pacing.pacer import Pacer
from electronhub_embeddings._pacing.request_result import answered, failed, max_duration
from electronhub_embeddings._pacing.slot import Slot
from electronhub_embeddings._pacing.waiting import aacquire, acquire

if TYPE_CHECKING:
    from electronhub_embeddings._http.http_family import HTTPFamily
    from electronhub_embeddings._rate_limit.store import RateLimitStore


class _PacedTransport:
    """What sync and async transports have in common; see `RateLimitedTransport` for the arguments."""

    _family: ClassVar[HTTPFamily]
    _base: ClassVar[type]
    """The base class of transports of this kind in the family."""
    _default: ClassVar[type]
    """The transport that is wrapped if none is given."""
    _body: ClassVar[type]
    """`RefusalBody` or `AsyncRefusalBody` with the family's base class of streams."""

    @without_frames
    def __init__(
        self,
        transport: Any = None,
        *,
        base_url: str | None = None,
        rate_limit_store: RateLimitStore | str | os.PathLike[str] | None = None,
        requests_per_minute: int | None = None,
        max_wait: float | None = None,
        allow_http: bool = False,
    ) -> None:
        if transport is not None and not isinstance(transport, self._base):
            module = self._family.module.__name__
            given = (
                f"the class {transport.__qualname__}" if isinstance(transport, type) else type(transport).__qualname__
            )
            raise ValueError(
                f"transport must be an {module}.{self._base.__name__}, such as "
                f"{module}.{self._default.__name__}(…), not {type(transport).__module__.partition('.')[0]}'s {given}."
            )
        options = pacing_options(
            base_url=base_url,
            rate_limit_store=rate_limit_store,
            requests_per_minute=requests_per_minute,
            max_wait=max_wait,
            allow_http=allow_http,
        )
        self._pacer = Pacer(options)
        self._base_url = self._family.module.URL(options.base_url)
        self._given = transport
        self._made: dict[int, Any] = {}
        """The default transport of each process, by process id: connections cannot be shared by a fork."""

    def _wrapped(self) -> Any:
        if self._given is not None:
            return self._given
        made = self._made.get(os.getpid())
        if made is None:
            with importing:  # the family imports further modules here
                made = self._made.setdefault(os.getpid(), self._default())
        return made

    def _slot(self, request: Any) -> Slot | None:
        account = self._pacer.account_of(request, self._base_url)
        if account is None or OWN_REQUEST in request.extensions:
            return None
        return Slot(self._pacer, account, max_duration=max_duration(request.extensions.get("timeout")))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self._pacer.options.base_url!r})"

    def __reduce__(self) -> Any:
        raise TypeError(f"{type(self).__name__} cannot be pickled or copied: make one in each process.")


class PacedTransport(_PacedTransport):
    """Paces requests that are sent in threads."""

    def handle_request(self, request: Any) -> Any:
        """Wait for a slot, send the request, and return the response with its body unread."""
        slot = self._slot(request)
        if slot is None:
            return self._wrapped().handle_request(request)
        try:
            acquire(slot)
            response = self._wrapped().handle_request(request)
        except BaseException as error:
            slot.complete(failed(self._family, slot, error))
            raise
        try:
            self._complete(slot, response)
        except BaseException:
            response.close()
            raise
        return response

    def _complete(self, slot: Slot, response: Any) -> None:
        headers_at, body = time.monotonic(), b""
        try:
            if response.status_code == HTTPStatus.TOO_MANY_REQUESTS and not response.is_stream_consumed:
                response.stream = head = self._body(response.stream)
                head.read_head()
                body = head.content
        finally:
            slot.complete(answered(self._family, response, headers_at, body))

    def close(self) -> None:
        """Close the wrapped transport."""
        self._pacer.close()
        self._wrapped().close()


class AsyncPacedTransport(_PacedTransport):
    """Paces requests that are sent in an event loop."""

    async def handle_async_request(self, request: Any) -> Any:
        """Wait for a slot, send the request, and return the response with its body unread."""
        slot = self._slot(request)
        if slot is None:
            return await self._wrapped().handle_async_request(request)
        await aacquire(slot)
        has_io = slot.is_shared
        try:
            response = await self._wrapped().handle_async_request(request)
        except BaseException as error:
            result = failed(self._family, slot, error)
            store_threads.call_soon(lambda: slot.complete(result), has_io=has_io)
            raise
        try:
            await self._complete(slot, response, has_io=has_io)
        except BaseException:
            await response.aclose()
            raise
        return response

    async def _complete(self, slot: Slot, response: Any, *, has_io: bool) -> None:
        headers_at, body = time.monotonic(), b""
        try:
            if response.status_code == HTTPStatus.TOO_MANY_REQUESTS and not response.is_stream_consumed:
                response.stream = head = self._body(response.stream)
                await head.read_head()
                body = head.content
        finally:
            result = answered(self._family, response, headers_at, body)
            await store_threads.call(lambda: slot.complete(result), has_io=has_io)

    async def aclose(self) -> None:
        """Close the wrapped transport."""
        self._pacer.close()
        await self._wrapped().aclose()
