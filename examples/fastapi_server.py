"""A web server that searches while it ingests, with FastAPI.

A search waits for the limit for `MAX_WAIT` seconds at most; a longer wait is answered at once, with 503 and
`Retry-After`. An ingestion runs in the background, and waits for as long as it takes. After SIGTERM the server is gone
within 5 seconds. What was embedded by then is in the cache, and is not sent again when the documents are posted to the
next server.

With ELECTRONHUB_API_KEY set this talks to the service, else it starts the emulator on this machine.

    pip install "electronhub-embeddings[langchain,emulator]" fastapi
    python examples/fastapi_server.py
    curl --json '["Paris is the capital of France.", "Rust has no garbage collector."]' localhost:8000/documents
    curl localhost:8000/documents
    curl 'localhost:8000/search?q=systems+programming'
"""

import asyncio
import logging
import math
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from typing import Annotated

import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from langchain_core.vectorstores import InMemoryVectorStore
from pydantic import StringConstraints

from electronhub_embeddings import ElectronHubError, RateLimitError
from electronhub_embeddings.emulator import Emulator
from langchain_electronhub import ElectronHubEmbeddings

CACHE = "vectors.sqlite"
"""Where vectors are kept: for the next start, and for questions that are asked again."""

MAX_WAIT = 13.0
"""Seconds that a search waits for the limit: the time between two requests of the free plan, 60 s / 5, and one more."""

FULL_REQUEST = 2048
"""Texts in one background task: as many as fit into a request."""

GRACE = 2
"""Seconds for searches, and again for requests in flight, when the server is told to stop."""

Text = Annotated[str, StringConstraints(min_length=1)]

logger = logging.getLogger(__name__)


class Collection:
    """Documents in memory, filled by background tasks and searched by request handlers."""

    def __init__(self) -> None:
        self.queries = ElectronHubEmbeddings(cache=CACHE, max_wait=MAX_WAIT)
        self.documents = ElectronHubEmbeddings(cache=CACHE)  # the same queue, but as patient as it has to be
        self.store = InMemoryVectorStore(self.documents)
        self.tasks: set[asyncio.Task[None]] = set()
        self.posted = self.stored = self.failed = 0

    def ingest(self, texts: list[str]) -> None:
        """Embed and store documents in the background."""
        self.posted += len(texts)
        for start in range(0, len(texts), FULL_REQUEST):
            task = asyncio.create_task(self._add(texts[start : start + FULL_REQUEST]))
            self.tasks.add(task)  # the event loop itself keeps only a weak reference
            task.add_done_callback(self.tasks.discard)

    async def _add(self, texts: list[str]) -> None:
        try:
            await self.store.aadd_texts(texts)
            self.stored += len(texts)
        except ElectronHubError as error:  # also when the server stops
            self.failed += len(texts)
            logger.warning("%d documents failed, %d of them embedded: %s", len(texts), len(error.partial), error)

    async def search(self, question: str) -> list[str]:
        """Return the three best documents."""
        vector = await self.queries.aembed_query(question)
        return [found.page_content for found in await self.store.asimilarity_search_by_vector(vector, k=3)]

    async def aclose(self) -> None:
        """End waiting calls at once, and wait for requests in flight, which are paid for."""
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.gather(self.documents.aclose(), self.queries.aclose(), *self.tasks), GRACE)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Collection]]:
    """Make the clients in the process and the event loop that use them, and close them when the server stops."""
    collection = Collection()
    try:
        yield {"collection": collection}
    finally:
        await collection.aclose()


app = FastAPI(lifespan=lifespan)


@app.exception_handler(RateLimitError)
async def busy(_: Request, error: RateLimitError) -> JSONResponse:
    """Say when to ask again."""
    seconds = math.ceil(error.retry_after or MAX_WAIT)
    return JSONResponse({"detail": "The limit is reached."}, 503, {"Retry-After": str(seconds)})


@app.get("/search")
async def search(request: Request, q: Text) -> list[str]:
    """Return the three documents that are closest to a question."""
    try:
        return await request.state.collection.search(q)
    except asyncio.CancelledError:  # the server stops, and waits no longer
        raise HTTPException(503, "The server is stopping.", {"Retry-After": str(GRACE)}) from None


@app.post("/documents", status_code=202)
async def add(request: Request, texts: list[Text]) -> dict[str, int]:
    """Take documents in; they are embedded in the background."""
    request.state.collection.ingest(texts)
    return await progress(request)


@app.get("/documents")
async def progress(request: Request) -> dict[str, int]:
    """Count the documents that are stored, still waiting, and failed."""
    collection = request.state.collection
    waiting = collection.posted - collection.stored - collection.failed
    return {"stored": collection.stored, "waiting": waiting, "failed": collection.failed}


def main(port: int = 8000) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    with nullcontext() if os.environ.get("ELECTRONHUB_API_KEY") else Emulator(plan="free") as emulator:
        if emulator:
            os.environ.update(ELECTRONHUB_API_KEY=emulator.api_key, ELECTRONHUB_BASE_URL=emulator.base_url)
            print("ELECTRONHUB_API_KEY is not set: this is an emulator of the free plan, 5 requests a minute.")
        uvicorn.run(app, port=port, timeout_graceful_shutdown=GRACE)


if __name__ == "__main__":
    main()
