"""LlamaIndex's components around a model: pipelines, worker processes, splitters, cache, rate limiter, events."""

import re

import pytest
from llama_index.core import Document
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.embedding import EmbeddingEndEvent, EmbeddingStartEvent
from llama_index.core.node_parser import SemanticSplitterNodeParser, SentenceSplitter
from llama_index.core.rate_limiter import BaseRateLimiter
from llama_index.core.schema import TextNode
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.storage.kvstore import SimpleKVStore
from llama_index.core.vector_stores import SimpleVectorStore

from electronhub_embeddings import RateLimitError
from llama_index_electronhub import ElectronHubEmbedding
from support.entry_points import expected_vectors, same

pytestmark = pytest.mark.xdist_group("llama-index")  # one process imports the framework, which takes seconds

TEXTS = ["Paris is in France.", "Rust has no garbage collector.", "The cat sat on the mat.", "Rain fell all day."]


def nodes():
    """Make a node of each text."""
    return [TextNode(text=text, id_=str(number)) for number, text in enumerate(TEXTS)]


def vectors(embedded):
    """Return the vectors of nodes in the order of the texts."""
    return [node.embedding for node in sorted(embedded, key=lambda node: node.id_)]


async def run_sync(pipeline, **options):
    """Run a pipeline by its sync method."""
    return pipeline.run(**options)


async def run_async(pipeline, **options):
    """Run a pipeline by its async method."""
    return await pipeline.arun(**options)


async def batch_sync(model, texts):
    """Embed texts by the sync method."""
    return model.get_text_embedding_batch(texts)


async def batch_async(model, texts):
    """Embed texts by the async method."""
    return await model.aget_text_embedding_batch(texts)


async def query_sync(model, text):
    """Embed a query by the sync method."""
    return model.get_query_embedding(text)


async def query_async(model, text):
    """Embed a query by the async method."""
    return await model.aget_query_embedding(text)


async def split_sync(splitter, documents):
    """Split documents by the sync method."""
    return splitter.get_nodes_from_documents(documents)


async def split_async(splitter, documents):
    """Split documents by the async method."""
    return await splitter.aget_nodes_from_documents(documents)


RUNS = pytest.mark.parametrize("run", [run_sync, run_async], ids=["sync", "async"])
EMBEDS = pytest.mark.parametrize(
    ("embed", "query"), [(batch_sync, query_sync), (batch_async, query_async)], ids=["sync", "async"]
)
# LlamaIndex's async pipeline forks its workers, of which Python 3.12 and later warn where there are threads.
FORKS = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
SPLITS = pytest.mark.parametrize("split", [split_sync, split_async], ids=["sync", "async"])


@pytest.fixture
def model(closing):
    """Return a function that makes a model of a service."""

    def make(service, **options):
        return closing(ElectronHubEmbedding(**{"api_key": service.api_key, "base_url": service.base_url, **options}))

    return make


@RUNS
async def test_pipeline_cache_outlives_its_process(run, model, emulator, tmp_path):
    """A pipeline loaded from disk, with a new model, sends no text that it has already embedded."""
    service = emulator(rpm=0)
    first = IngestionPipeline(transformations=[model(service, dimensions=256)])
    embedded = vectors(await run(first, nodes=nodes()))
    assert same(embedded, expected_vectors(service, TEXTS, 256))
    first.persist(str(tmp_path))
    second = IngestionPipeline(transformations=[model(service, dimensions=256, max_retries=0)])
    second.load(str(tmp_path))
    assert vectors(await run(second, nodes=nodes())) == embedded
    assert len(service.calls) == 1
    third = IngestionPipeline(transformations=[model(service, dimensions=128)])
    third.load(str(tmp_path))
    assert same(vectors(await run(third, nodes=nodes())), expected_vectors(service, TEXTS, 128))
    assert len(service.calls) == 2


@RUNS
async def test_pipeline_sends_changed_documents_alone(run, model, emulator):
    """With a document store and a vector store, a second run sends only the changed document."""
    service = emulator(rpm=0)
    pipeline = IngestionPipeline(
        transformations=[SentenceSplitter(), model(service)],
        docstore=SimpleDocumentStore(),
        vector_store=SimpleVectorStore(),
        disable_cache=True,
    )
    documents = [Document(text=text, id_=str(number)) for number, text in enumerate(TEXTS)]
    await run(pipeline, documents=documents)
    await run(pipeline, documents=[*documents[:-1], Document(text="Snow fell all day.", id_="3")])
    assert [call.body["input"] for call in service.calls] == [TEXTS, ["Snow fell all day."]]
    stored = pipeline.vector_store.data.embedding_dict.values()
    assert same(list(stored), expected_vectors(service, [*TEXTS[:-1], "Snow fell all day."]))


@RUNS
@FORKS
async def test_worker_processes(run, model, emulator):
    """The model works in worker processes, and the pipeline's cache gets their vectors."""
    service = emulator(rpm=5)
    pipeline = IngestionPipeline(transformations=[model(service, dimensions=256)])
    embedded = vectors(await run(pipeline, nodes=nodes(), num_workers=2))
    assert same(embedded, expected_vectors(service, TEXTS, 256))
    assert [call.texts for call in service.calls] == [2, 2]
    halves = [await run(pipeline, nodes=half) for half in (nodes()[:2], nodes()[2:])]
    assert vectors([node for half in halves for node in half]) == embedded
    assert len(service.calls) == 2


@RUNS
@FORKS
async def test_worker_processes_share_a_limit(run, model, emulator, tmp_path):
    """If one request is allowed, two workers with a shared rate limit store send one; the other's error is raised."""
    service = emulator(rpm=5)
    options = {"requests_per_minute": 1, "max_wait": 1.0, "rate_limit_store": tmp_path / "limit.sqlite"}
    pipeline = IngestionPipeline(transformations=[model(service, **options)])
    with pytest.raises(RateLimitError) as caught:
        await run(pipeline, nodes=nodes(), num_workers=2)
    assert 1 < caught.value.retry_after <= 61
    assert [call.status for call in service.calls] == [200]


@SPLITS
async def test_semantic_splitter(split, model, emulator):
    """A splitter that cuts where the meaning changes sends all sentences in one request, and cuts there."""
    service = emulator(rpm=0)
    cats = "The cat sleeps on the mat. The cat sleeps on the warm mat. The cat sleeps on a mat all day."
    rust = "Rust has no garbage collector. Rust needs no garbage collector. Rust wants no garbage collector."
    splitter = SemanticSplitterNodeParser(
        sentence_splitter=lambda text: re.findall(r"[^.]+\.\s*", text),  # the default one needs NLTK's data
        embed_model=model(service),
        buffer_size=0,
        breakpoint_percentile_threshold=90,
        include_metadata=False,
    )
    parts = await split(splitter, [Document(text=f"{cats} {rust}")])
    assert [part.get_content().strip() for part in parts] == [cats, rust]
    assert [call.texts for call in service.calls] == [6]


@EMBEDS
async def test_embeddings_cache(embed, query, model, emulator, tmp_path):
    """Texts in LlamaIndex's own cache are not sent again, even by a model of another process; the others are."""
    service, cache = emulator(rpm=0), SimpleKVStore()
    first = await embed(model(service, embeddings_cache=cache, embed_batch_size=3), TEXTS[:3])
    await query(model(service, embeddings_cache=cache), "who?")
    cache.persist(str(tmp_path / "cache.json"))
    kept = SimpleKVStore.from_persist_path(str(tmp_path / "cache.json"))
    again = model(service, embeddings_cache=kept)
    rows = await embed(again, [TEXTS[3], *TEXTS[:3]])
    assert rows[1:] == first
    assert same(rows, expected_vectors(service, [TEXTS[3], *TEXTS[:3]]))
    assert same(await query(again, "who?"), service.vector("who?"))
    assert [call.texts for call in service.calls] == [3, 1, 1]


class RecordingRateLimiter(BaseRateLimiter):
    """A LlamaIndex rate limiter that allows everything and records the calls."""

    def __init__(self):
        self.asked = []

    def acquire(self, num_tokens=0):  # noqa: ARG002 - the interface
        """Allow a sync call."""
        self.asked.append("sync")

    async def async_acquire(self, num_tokens=0):  # noqa: ARG002 - the interface
        """Allow an async call."""
        self.asked.append("async")


@EMBEDS
async def test_rate_limiter(embed, query, model, emulator, request):
    """LlamaIndex's own limiter is asked once per batch and query, and no more requests are sent."""
    service, limiter = emulator(rpm=0), RecordingRateLimiter()
    limited = model(service, rate_limiter=limiter, embed_batch_size=2)
    assert same(await embed(limited, TEXTS[:3]), expected_vectors(service, TEXTS[:3]))
    assert same(await query(limited, "who?"), service.vector("who?"))
    assert limiter.asked == [request.node.callspec.id] * 3
    assert sum(call.texts for call in service.calls) == 4
    assert len(service.calls) <= 3  # async batches that wait at the same moment leave together


class Ear(BaseEventHandler):
    """Records all events."""

    heard: list

    def handle(self, event, **_):
        """Record an event."""
        self.heard.append(event)


@pytest.fixture
def heard():
    """Return the list of the events of embeddings that LlamaIndex's dispatcher sends."""
    ear, dispatcher = Ear(heard=[]), get_dispatcher()
    before = dispatcher.event_handlers
    dispatcher.event_handlers = [*before, ear]
    yield ear.heard
    dispatcher.event_handlers = before


@EMBEDS
async def test_instrumentation(embed, query, model, emulator, heard):
    """Each batch and query has a start that names the model without its key, and an end with its texts and vectors."""
    service = emulator(rpm=0)
    watched = model(service, embed_batch_size=2)
    rows = await embed(watched, TEXTS[:3])
    asked = await query(watched, "who?")
    starts = [event.model_dict for event in heard if isinstance(event, EmbeddingStartEvent)]
    ends = [(event.chunks, event.embeddings) for event in heard if isinstance(event, EmbeddingEndEvent)]
    assert ends == [(TEXTS[:2], rows[:2]), (TEXTS[2:3], rows[2:]), (["who?"], [asked])]
    assert [start["model_name"] for start in starts] == ["text-embedding-3-small"] * 3
    assert service.api_key not in "".join(event.model_dump_json() for event in heard)
