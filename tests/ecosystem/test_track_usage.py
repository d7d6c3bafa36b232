"""`track_usage` through the vector stores, chains, indexes and pipelines of both frameworks, on a bad day.

The sync methods are called while an event loop runs, as in a notebook.
"""

import contextlib

import pytest
from langchain_chroma import Chroma
from langchain_core.runnables import RunnableLambda
from langchain_core.vectorstores import InMemoryVectorStore
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import TextNode

from electronhub_embeddings import track_usage
from electronhub_embeddings.emulator import faults
from llama_index_electronhub import ElectronHubEmbedding
from support.langchain_vector_stores import TEXTS, VECTOR_STORES, Pgvector

pytestmark = pytest.mark.usefixtures("quick_retries")


@pytest.fixture
def embedding(closing, service):
    """Return a LlamaIndex model for the service."""
    return closing(ElectronHubEmbedding(api_key=service.api_key, base_url=service.base_url))


@pytest.fixture
def counted(service):
    """Return a block in which two requests fail, and which checks its counters against the service."""

    @contextlib.contextmanager
    def check(*, texts, requests=None):
        before = len(service.calls)
        service.script(faults.short(), faults.error(503))
        with track_usage() as usage:
            yield
        calls = service.calls[before:]
        assert (usage.requests, usage.attempts, usage.texts) == (len(calls) - 2, len(calls), texts)
        assert usage.prompt_tokens == usage.total_tokens == sum(call.prompt_tokens for call in calls) > 0
        assert requests in {None, usage.requests}

    return check


@pytest.mark.parametrize("kind", [kind for kind in VECTOR_STORES if kind is not Pgvector])
async def test_vector_stores_of_langchain(kind, counted, tmp_path, asynchronous, *, model, call):
    """Adding and searching count, whether or not the store itself has async methods."""
    case = kind(tmp_path, asynchronous)
    store = case.open(model(), 1536)
    with counted(requests=2, texts=len(TEXTS) + 1):
        await call(store, "add_texts", TEXTS, ids=case.ids, **case.adding)
        await call(store, "similarity_search", TEXTS[0], k=1)
    case.close(store)


async def test_a_store_that_is_built_inside(counted, model, call):
    """`from_texts` counts."""
    with counted(requests=1, texts=len(TEXTS)):
        await call(Chroma, "from_texts", TEXTS, model(), collection_name="counted")


async def test_batches_of_a_retriever(counted, model, call):
    """Questions that LangChain asks in threads or tasks of its own are counted, however they share requests."""
    store = InMemoryVectorStore(model())
    store.add_texts(TEXTS)
    with counted(texts=10):
        await call(store.as_retriever(), "batch", TEXTS[:10])


async def test_a_chain(counted, model, call):
    """A chain of sync functions counts, also where LangChain runs them in its executor."""
    embeddings = model()
    chain = RunnableLambda(embeddings.embed_query) | RunnableLambda(
        lambda vector: embeddings.embed_documents([f"{vector[0]}"])
    )
    with counted(requests=2, texts=2):
        await call(chain, "invoke", "a")


@pytest.mark.parametrize("use_async", [False, True])
async def test_an_index_of_llama_index(counted, embedding, use_async):
    """Building, asking and inserting count, also in the event loop that LlamaIndex runs in a thread of its own."""
    with counted(requests=3, texts=len(TEXTS) + 2):
        index = VectorStoreIndex([TextNode(text=text) for text in TEXTS], embed_model=embedding, use_async=use_async)
        index.as_retriever().retrieve("a question")
        await index.as_retriever().aretrieve("a question")  # equal texts in different calls are sent twice
        assert len(index.index_struct.nodes_dict) == len(TEXTS)


async def test_a_pipeline_of_llama_index(counted, embedding, call):
    """`IngestionPipeline` counts."""
    pipeline = IngestionPipeline(transformations=[SentenceSplitter(), embedding])
    with counted(requests=1, texts=len(TEXTS)):
        nodes = await call(pipeline, "run", documents=[Document(text=text) for text in TEXTS])
    assert len(nodes) == len(TEXTS)
