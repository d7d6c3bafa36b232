"""The client: what users call, and what both adapters are thin covers of."""

from __future__ import annotations

import asyncio
import os
import sys
import weakref
from contextvars import copy_context
from dataclasses import replace
from functools import cache, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from electronhub_embeddings.errors import ElectronHubError
from electronhub_embeddings.guard import guard, importing
from electronhub_embeddings.inputs import Recalled, check_prefix, prepare
from electronhub_embeddings.progress import REDRAW, Bar, Progress
from electronhub_embeddings.settings import (
    DEFAULT_MODEL,
    LARGEST_BATCH,
    Account,
    EncodingFormat,
    Recipe,
    freeze_headers,
)
from electronhub_embeddings.stores import RateLimitStore
from electronhub_embeddings.stream import stream
from electronhub_embeddings.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import TracebackType

    import httpx
    import numpy as np
    from typing_extensions import Self

    from electronhub_embeddings.cache import VectorCache
    from electronhub_embeddings.inputs import Inputs
    from electronhub_embeddings.job import Job
    from electronhub_embeddings.lines import Ticket
    from electronhub_embeddings.usage import RequestInfo


LINES = "electronhub_embeddings.lines"
"""The module behind which all that is slow to import stands."""


class EmbeddingsClient:
    """Turns texts into vectors, through the one line that all clients of an account share.

    Nothing is sent and nothing is started before the first text. A client may be used from any number of threads and
    event loops at once, pickled, copied, and used again after a fork.

    Args:
        model: Any model id of the service; there is no list of allowed ones.
        api_key: Falls back to the environment variable ELECTRONHUB_API_KEY.
        base_url: Falls back to ELECTRONHUB_BASE_URL, then to https://api.electronhub.ai/v1.
        dimensions: Length of the vectors, for models that can shorten them; None: the model's own.
        user: An id of your end user, for the service's abuse reports; None: not sent.
        encoding_format: How vectors travel. "base64" is four times smaller than "float", and exact.
        batch_size: Inputs in one request at most; 1 to 2048.
        max_retries: Attempts after the first, for failures that can pass; 6 means at most 7 requests.
        timeout: Seconds that one attempt may take, from connecting to the last byte.
        max_wait: Seconds that one call may stand waiting for the rate limit; as soon as the wait is known to be
            longer, RateLimitError. None: as long as it takes.
        requests_per_minute: The most to send, whatever the service would allow; None: what its headers say.
        max_concurrency: Requests on the wire at once; above 1, one place is kept for queries.
        query_prefix: Put before every query, for models that tell queries from documents.
        document_prefix: Put before every document.
        cache: A path: vectors are kept in this SQLite file, and what is in it is not sent again. It is made with
            permission 0600, holds neither texts nor keys, and any number of clients and processes may share it.
        rate_limit_store: Where the limiter keeps its window. None: in this process's memory. A path: in an SQLite file,
            for all processes of a machine, and for a script that is started again. "redis://…": for many machines.
        default_headers: Further headers for every request.
        http_client: An httpx.Client of your own (proxies, private certificates); yours to close.
        allow_http: Let `base_url` begin with http:// for other hosts than this one: the network then sees the key.
        on_request: Called with a `RequestInfo` after each request that carried texts of this client: for logs and
            counters. It runs in the thread that carried the request, a caller's own or one of the line, which waits
            for it; it must not embed anything itself.

    Raises:
        ValueError: An argument is out of range, or there is no key.
    """

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        dimensions: int | None = None,
        user: str | None = None,
        encoding_format: EncodingFormat = "base64",
        batch_size: int = LARGEST_BATCH,
        max_retries: int = 6,
        timeout: float = 60.0,
        max_wait: float | None = None,
        requests_per_minute: int | None = None,
        max_concurrency: int = 8,
        query_prefix: str = "",
        document_prefix: str = "",
        cache: str | os.PathLike[str] | None = None,
        rate_limit_store: RateLimitStore | str | os.PathLike[str] | None = None,
        default_headers: Mapping[str, str] | None = None,
        http_client: httpx.Client | None = None,
        allow_http: bool = False,
        on_request: Callable[[RequestInfo], None] | None = None,
    ) -> None:
        if max_wait is not None and not max_wait >= 0:
            raise ValueError(f"max_wait must be None or at least 0 seconds, not {max_wait!r}.")
        if not isinstance(rate_limit_store, (str, os.PathLike, RateLimitStore, type(None))):
            raise ValueError(  # noqa: TRY004 - one kind for all arguments
                f"rate_limit_store must be a path, a redis:// URL or a store, not {rate_limit_store!r}."
            )
        if not isinstance(cache, (str, os.PathLike, type(None))) or cache == "":
            raise ValueError(f"cache must be a path, not {cache!r}.")
        if on_request is not None and not callable(on_request):
            raise ValueError(f"on_request must be callable, not {on_request!r}.")
        check_prefix("query_prefix", query_prefix)
        check_prefix("document_prefix", document_prefix)
        self._account = Account.resolve(api_key, base_url, allow_http=allow_http)
        self._recipe = Recipe(
            model=model,
            dimensions=dimensions,
            user=user,
            encoding_format=encoding_format,
            batch_size=batch_size,
            max_retries=max_retries,
            timeout=timeout,
            requests_per_minute=requests_per_minute,
            max_concurrency=max_concurrency,
            default_headers=freeze_headers(default_headers),
            http_client=http_client,
        )
        self._max_wait = max_wait
        self._on_request = on_request
        self._query_prefix = query_prefix
        self._document_prefix = document_prefix
        self._cache_path = cache
        self._store = rate_limit_store
        self._process = os.getpid()
        self._reset()

    def _reset(self) -> None:
        self._usage = Usage()
        self._cache: VectorCache | None = None
        if self._cache_path is not None:
            with importing:
                from electronhub_embeddings.cache import VectorCache  # noqa: PLC0415 - few need it

            recipe = self._recipe
            self._cache = VectorCache(self._cache_path, self._account.base_url, recipe.model, recipe.dimensions)
        self._ticket: Ticket | None = None
        self._finalizer: weakref.finalize[Any, Any] | None = None
        self._closed = False

    def embed(self, texts: Iterable[str], *, show_progress: bool = False) -> np.ndarray:
        """Embed documents.

        Args:
            texts: Any number of strings; equal ones are sent once.
            show_progress: Draw a bar that ticks as vectors come, and says why it stands still.

        Returns:
            A float32 array of shape (len(texts), d), row i for text i; of shape (0, dimensions or 0) for no texts.

        Raises:
            InputError: A text is not a string, is empty or not encodable; nothing was sent.
            ElectronHubError: Any of the tree in `electronhub_embeddings.errors`. Its `.partial` maps the inputs that
                were finished to their vectors; embed the others, and nothing is paid for twice:

                    except ElectronHubError as error:
                        missing = [i for i in range(len(texts)) if i not in error.partial]
        """
        rows: np.ndarray = self._wait(self._job(self._documents(texts)), show_progress=show_progress)
        return rows

    def embed_query(self, text: str) -> np.ndarray:
        """Embed one query, ahead of all documents that wait.

        Returns:
            A float32 array of shape (d,).

        Raises:
            InputError: The text is not a string, is empty or not encodable; nothing was sent.
            ElectronHubError: Any of the tree in `electronhub_embeddings.errors`.
        """
        row: np.ndarray = self._wait(self._job(self._query(text), is_query=True))[0]
        return row

    def embed_lists(self, texts: Iterable[str], *, show_progress: bool = False) -> list[list[float]]:
        """Embed documents as in `embed`, but return lists of Python floats, which frameworks want: eight times larger.

        Rows are turned into lists while others are on the wire: that takes longer than all else, and is faster than
        `embed(texts).tolist()`.
        """
        job = self._job(self._documents(texts), as_lists=True)
        rows: list[list[float]] = self._wait(job, show_progress=show_progress)
        return rows

    async def aembed(self, texts: Iterable[str], *, show_progress: bool = False) -> np.ndarray:
        """Embed documents without blocking the event loop; everything else is as in `embed`.

        Cancelling the task takes back what was not sent yet.
        """
        job = await self._ajob(self._documents(texts))
        rows: np.ndarray = await self._await(job, show_progress=show_progress)
        return rows

    async def aembed_lists(self, texts: Iterable[str], *, show_progress: bool = False) -> list[list[float]]:
        """Embed documents without blocking the event loop; everything else is as in `embed_lists`."""
        job = await self._ajob(self._documents(texts), as_lists=True)
        rows: list[list[float]] = await self._await(job, show_progress=show_progress)
        return rows

    async def aembed_query(self, text: str) -> np.ndarray:
        """Embed one query without blocking the event loop; everything else is as in `embed_query`."""
        row: np.ndarray = (await self._await(await self._ajob(self._query(text), is_query=True)))[0]
        return row

    def iter_embed(self, texts: Iterable[str], *, show_progress: bool = False) -> Iterator[np.ndarray]:
        """Embed documents from any iterable, of any length, in bounded memory.

        Yields:
            For each text in order a float32 array of shape (d,). `texts` is read a few batches ahead.

        Raises:
            InputError: As in `embed`; `.index` counts from the first text of the iterable.
            ElectronHubError: As in `embed`; `.partial` has the vectors that were not yielded any more.
        """
        if isinstance(texts, (str, bytes)):
            prepare(texts)  # raises: an iterable of characters is never meant
        progress = Progress()
        vectors = stream(
            texts,
            submit=lambda batch: self._submit(self._job(self._documents(batch), progress=progress)),
            batch_size=self._recipe.batch_size,
            ahead=self._recipe.max_concurrency,
        )
        if not show_progress:
            yield from vectors
            return
        with Bar(progress, None) as bar:
            for vector in vectors:
                bar.draw()
                yield vector

    def list_models(self) -> list[str]:
        """Ask the service for the ids of its models that make embeddings; the key is not sent, no limit counts this.

        Raises:
            ElectronHubError: As for any request; it is not tried again.
        """
        _job_type()  # imports what is needed
        return self._joined().lane.courier.list_models()

    async def alist_models(self) -> list[str]:
        """List models without blocking the event loop; everything else is as in `list_models`."""
        return await asyncio.to_thread(self.list_models)

    @property
    def usage(self) -> Usage:
        """What this client has used so far: a snapshot."""
        return replace(self._usage)

    def close(self) -> None:
        """Stop: calls that still wait fail, requests on the wire are finished, connections are closed."""
        with guard():
            self._closed = True
            ticket, self._ticket = self._ticket, None
            if self._finalizer is not None:
                self._finalizer.detach()
        if ticket is not None:
            ticket.give_back(self._usage, wait=True)
        if self._cache is not None:
            self._cache.close()

    def reopen(self) -> None:
        """Let a closed client be used again; its counters go on."""
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"EmbeddingsClient(model={self._recipe.model!r}, base_url={self._account.base_url!r})"

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the arguments; a copy has counters of its own, and on this machine's account the same line.

        Raises:
            TypeError: There is an `http_client`: its connections cannot travel.
        """
        if self._recipe.http_client is not None:
            raise TypeError("A client with an http_client of yours cannot be pickled: make one in each process.")
        return self._arguments()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _process=os.getpid())
        self._reset()

    def __copy__(self) -> Self:
        twin = type(self).__new__(type(self))
        twin.__setstate__(self._arguments())
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Copy the arguments; stores and HTTP clients are shared, they cannot be doubled."""
        return self.__copy__()

    def _arguments(self) -> dict[str, Any]:
        own = ("_usage", "_ticket", "_finalizer", "_closed", "_process", "_cache")
        return {name: value for name, value in self.__dict__.items() if name not in own}

    def _joined(self) -> Ticket:
        """Join the account's line; anew in a forked child, whose parent's threads it has not got."""
        ticket = self._ticket
        if ticket is not None and ticket.valid:
            return ticket
        with guard():
            if self._closed:
                raise ElectronHubError("The client is closed.")
            if self._recipe.http_client is not None and self._process != os.getpid():
                raise ElectronHubError("http_client was made in another process, and connections cannot be shared.")
            if self._ticket is None or not self._ticket.valid:
                from electronhub_embeddings.lines import join  # noqa: PLC0415 - _job has imported it

                self._ticket = join(self._account, self._recipe, self._store)
                self._finalizer = weakref.finalize(self, self._ticket.forsake, self._usage)
            return self._ticket

    def _documents(self, texts: Iterable[str]) -> Inputs:
        return prepare(texts, self._document_prefix)

    def _query(self, text: str) -> Inputs:
        return prepare([text], self._query_prefix)

    def _job(
        self, inputs: Inputs, *, is_query: bool = False, as_lists: bool = False, progress: Progress | None = None
    ) -> Job:
        """Make a job of a call, with what the cache knows: this reads a file, and waits for no limit."""
        if sys.is_finalizing():  # threads are stopped already, and modules cannot be imported any more
            raise ElectronHubError("The interpreter is shutting down.")
        make = _job_type()
        if self._closed:
            raise ElectronHubError("The client is closed.")
        recalled = Recalled(inputs) if self._cache is None else self._cache.recall(inputs)
        return make(
            recalled.inputs,
            is_query=is_query,
            max_wait=self._max_wait,
            usage=self._usage,
            progress=progress or Progress(),
            known=recalled.rows,
            keep=recalled.keep,
            as_lists=as_lists,
            on_request=self._on_request,
        )

    async def _ajob(self, inputs: Inputs, *, is_query: bool = False, as_lists: bool = False) -> Job:
        make = partial(self._job, inputs, is_query=is_query, as_lists=as_lists)
        is_quick = self._cache is None and LINES in sys.modules
        try:
            making = None if is_quick else asyncio.get_running_loop().run_in_executor(None, copy_context().run, make)
        except RuntimeError:  # at the exit of the interpreter there are no such threads any more
            making = None
        return make() if making is None else await making

    def _submit(self, job: Job, *, waits: bool = False) -> Job:
        """Put what is not known already into the line; a query whose caller `waits` may be carried by it."""
        with guard():
            self._usage.cache_hits += job.known
        if job.outstanding:
            ticket = self._joined()
            (ticket.line.ask if waits and job.is_query else ticket.line.submit)(ticket.lane, job)
        else:
            if not job.known:
                job.make_room(self._recipe.dimensions or 0)
            job.resolve()
        return job

    def _wait(self, job: Job, *, show_progress: bool = False) -> Any:
        with job.cancelled_on_error():
            self._submit(job, waits=True)
            if show_progress:
                with Bar(job.progress, len(job.inputs.texts)) as bar:
                    while not job.wait(REDRAW):
                        bar.draw()
            return job.future.result()

    async def _await(self, job: Job, *, show_progress: bool = False) -> Any:
        future = asyncio.wrap_future(self._submit(job).future)
        if show_progress:
            with job.cancelled_on_error(), Bar(job.progress, len(job.inputs.texts)) as bar:
                while not future.done():
                    await asyncio.wait([future], timeout=REDRAW)
                    bar.draw()
        return await future


@cache
def _job_type() -> type[Job]:
    """Import all that a call needs, numpy and httpx above all: it takes 0.3 s, at the first text."""
    with importing:
        import_module(LINES)
        from electronhub_embeddings.job import Job  # noqa: PLC0415

        return Job
