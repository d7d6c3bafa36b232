"""The adapter for LlamaIndex, on every core from 0.10 on."""

import asyncio
import copy
import inspect
import pickle

import pytest
from llama_index.core import Settings, VectorStoreIndex
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload, LlamaDebugHandler
from llama_index.core.ingestion import IngestionCache, IngestionPipeline
from llama_index.core.ingestion.pipeline import get_transformation_hash
from llama_index.core.schema import MetadataMode, TextNode

from electronhub_embeddings import EmbeddingsClient
from electronhub_embeddings.rate_limit_stores.memory import MemoryStore
from llama_index_electronhub import ElectronHubEmbedding
from support.class_docstrings import arguments
from support.entry_points import expected_vectors, same

TEXTS = ["Paris is in France.", "Rust has no garbage collector.", "The cat sat on the mat."]


def nodes():
    """Make a node of each text."""
    return [TextNode(text=text, id_=str(number)) for number, text in enumerate(TEXTS)]


def pickled(thing):
    """Send an object through a pickle."""
    return pickle.loads(pickle.dumps(thing))  # noqa: S301 - our own


@pytest.fixture
def embedding(closing):
    """Return a function that makes a model of a service."""

    def make(service, **options):
        return closing(ElectronHubEmbedding(**{"api_key": service.api_key, "base_url": service.base_url, **options}))

    return make


def test_sync_methods(embedding, emulator):
    """Every sync method of the base class gives the right vectors."""
    service = emulator(rpm=0)
    model = embedding(service, query_prefix="q: ", document_prefix="d: ")
    assert same(model.get_text_embedding("one"), service.vector("d: one"))
    assert same(model.get_query_embedding("one"), service.vector("q: one"))
    assert same(model.get_text_embedding_batch(TEXTS), expected_vectors(service, [f"d: {text}" for text in TEXTS]))


async def test_async_methods(embedding, emulator):
    """Every async method of the base class gives the right vectors."""
    service = emulator(rpm=0)
    model = embedding(service, query_prefix="q: ", document_prefix="d: ")
    assert same(await model.aget_text_embedding("one"), service.vector("d: one"))
    assert same(await model.aget_query_embedding("one"), service.vector("q: one"))
    assert same(
        await model.aget_text_embedding_batch(TEXTS), expected_vectors(service, [f"d: {text}" for text in TEXTS])
    )


async def test_small_batches_of_the_framework_travel_together(embedding, emulator, hold, waiting):
    """Texts that LlamaIndex passes on in small batches are sent in few requests."""
    service = emulator(rpm=5, faults=[hold.fault])
    model = embedding(service, embed_batch_size=10)
    first = asyncio.ensure_future(model._aget_text_embeddings(hold.texts))  # one batch of 32, to hold back
    while not service.calls:  # noqa: ASYNC110 - the service has no event of this loop
        await asyncio.sleep(0.002)
    texts = [f"text {number}" for number in range(100)]
    batches = asyncio.ensure_future(model.aget_text_embedding_batch(texts))
    while waiting(model._client()) < 100:  # noqa: ASYNC110
        await asyncio.sleep(0.002)
    hold.release()
    assert same(await batches, expected_vectors(service, texts))
    await first
    assert [call.texts for call in service.calls] == [32, 100]


def test_settings(embedding, emulator, monkeypatch):
    """An index uses the model from LlamaIndex's global settings."""
    service = emulator(rpm=5)
    monkeypatch.setattr(Settings, "_embed_model", None)
    Settings.embed_model = embedding(service)
    (found,) = VectorStoreIndex(nodes()).as_retriever(similarity_top_k=1).retrieve("garbage collector of Rust")
    assert found.node.get_content() == TEXTS[1]
    assert [call.texts for call in service.calls] == [3, 1]


async def test_index_async(embedding, emulator):
    """An index can be searched without blocking the event loop."""
    service = emulator(rpm=5)
    index = VectorStoreIndex(nodes(), embed_model=embedding(service))
    (found,) = await index.as_retriever(similarity_top_k=1).aretrieve("garbage collector of Rust")
    assert found.node.get_content() == TEXTS[1]


def test_ingestion_pipeline(embedding, emulator):
    """A pipeline embeds nodes in one request, and its cache makes a second run free, even with another timeout."""
    service, cache = emulator(rpm=5), IngestionCache()
    one = IngestionPipeline(transformations=[embedding(service)], cache=cache).run(nodes=nodes())
    assert same([node.embedding for node in one], expected_vectors(service, TEXTS))
    two = IngestionPipeline(transformations=[embedding(service, timeout=5.0)], cache=cache).run(nodes=nodes())
    assert [node.embedding for node in two] == [node.embedding for node in one]
    assert len(service.calls) == 1


def test_what_is_embedded_of_a_node(embedding, emulator):
    """Nodes are sent with the metadata that LlamaIndex adds, byte for byte."""
    service = emulator(rpm=0)
    node = TextNode(text="a\nb", metadata={"file": "x.md"})
    embedding(service)([node])
    assert [call.body["input"] for call in service.calls] == [[node.get_content(metadata_mode=MetadataMode.EMBED)]]


def test_round_trip_through_to_dict(embedding, closing, emulator, monkeypatch):
    """A model restored from LlamaIndex's serialised form and the environment's key produces the same vectors."""
    service = emulator(rpm=0)
    model = embedding(service, dimensions=8, document_prefix="d: ", query_prefix="q: ")
    monkeypatch.setenv("ELECTRONHUB_API_KEY", service.api_key)
    again = closing(ElectronHubEmbedding.from_dict(model.to_dict()))
    assert again.get_text_embedding_batch(TEXTS) == model.get_text_embedding_batch(TEXTS)
    assert again.get_query_embedding("who?") == model.get_query_embedding("who?")


def test_round_trip_with_a_key(embedding, closing, emulator):
    """`from_dict` takes the key, and all other options that are not serialised, as arguments."""
    service = emulator(rpm=0)
    again = ElectronHubEmbedding.from_dict(embedding(service).to_dict(), api_key=service.api_key, max_retries=0)
    assert same(closing(again).get_query_embedding("one"), service.vector("one"))


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        ({"api_key": "ek-another"}, False),
        ({"timeout": 5.0}, False),
        ({"max_retries": 0}, False),
        ({"embed_batch_size": 10}, False),
        ({"num_workers": 4}, False),
        ({"requests_per_minute": 5}, False),
        ({"max_wait": 5.0}, False),
        ({"model": "text-embedding-3-large"}, True),
        ({"dimensions": 8}, True),
        ({"query_prefix": "q: "}, True),
        ({"document_prefix": "d: "}, True),
        ({"base_url": "https://gateway.example/v1"}, True),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "changes" if value else "stays",
)
def test_transformation_hash(options, changes):
    """An ingestion cache is valid as long as the vectors would be the same, and no longer."""
    model = ElectronHubEmbedding(api_key="ek-test")
    other = ElectronHubEmbedding(**{"api_key": "ek-test", **options})
    hashes = {get_transformation_hash(nodes(), it) for it in (model, other)}
    assert len(hashes) == (2 if changes else 1)


def test_unknown_arguments_are_refused():
    """A misspelt argument is an error, though the base class ignores it."""
    with pytest.raises(TypeError, match="dimension"):
        ElectronHubEmbedding(api_key="ek-test", dimension=8)


@pytest.mark.parametrize(
    "options",
    [{"embed_batch_size": 0}, {"embed_batch_size": 2049}, {"batch_size": 0}, {"timeout": 0}, {"max_wait": -1}],
    ids=repr,
)
def test_arguments_out_of_range_are_refused(options):
    """Invalid arguments are rejected at construction, not at the first call."""
    with pytest.raises(ValueError, match=next(iter(options))):
        ElectronHubEmbedding(api_key="ek-test", **options)


@pytest.mark.parametrize("name", ["embeddings_cache", "rate_limiter"])
def test_features_of_newer_cores(name):
    """A feature that the installed core does not have is rejected; otherwise, it is unset by default."""
    known = set(getattr(ElectronHubEmbedding, "model_fields", None) or ElectronHubEmbedding.__fields__)
    if name in known:
        assert getattr(ElectronHubEmbedding(api_key="ek-test"), name) is None
    else:
        with pytest.raises(ValueError, match=name):
            ElectronHubEmbedding(api_key="ek-test", **{name: object()})


@pytest.mark.parametrize("double", [copy.deepcopy, pickled], ids=["deep", "pickle"])
def test_copies_keep_an_explicit_key(embedding, closing, emulator, monkeypatch, double):
    """A copy uses the key and the settings of its original, whatever the environment says."""
    service = emulator(rpm=0)
    model = embedding(service, model="text-embedding-3-large", dimensions=8, embed_batch_size=2, user="u-1")
    model.get_query_embedding("before")
    monkeypatch.setenv("ELECTRONHUB_API_KEY", "ek-another")
    monkeypatch.setenv("ELECTRONHUB_BASE_URL", "https://another.example/v1")
    twin = closing(double(model))
    expected = service.vector("one", "text-embedding-3-large", 8)
    assert same(twin.get_query_embedding("one"), expected)
    assert same(model.get_query_embedding("one"), expected)
    assert twin.embed_batch_size == 2
    assert {call.body["user"] for call in service.calls} == {"u-1"}


def test_deep_copies_share_what_cannot_be_doubled(embedding, closing, emulator):
    """A copy shares the rate limiter and the callbacks."""
    service, debug = emulator(rpm=0), LlamaDebugHandler(print_trace_on_end=False)
    model = embedding(service, rate_limit_store=MemoryStore(), callback_manager=CallbackManager([debug]))
    model.get_query_embedding("one")
    assert same(closing(copy.deepcopy(model)).get_query_embedding("two"), service.vector("two"))
    assert len(debug.get_event_pairs(CBEventType.EMBEDDING)) == 2


def test_assignments_take_effect(embedding, emulator):
    """An assigned field applies from the next call on, as does a callback manager assigned by a service context."""
    service, debug = emulator(rpm=0), LlamaDebugHandler(print_trace_on_end=False)
    model = embedding(service)
    model.get_query_embedding("one")
    model.dimensions = 8
    model.callback_manager = CallbackManager([debug])
    assert same(model.get_query_embedding("one"), service.vector("one", dimensions=8))
    assert len(debug.get_event_pairs(CBEventType.EMBEDDING)) == 1


def test_callbacks(embedding, emulator):
    """LlamaIndex's callbacks receive texts and vectors."""
    debug = LlamaDebugHandler(print_trace_on_end=False)
    model = embedding(emulator(rpm=0), dimensions=8, callback_manager=CallbackManager([debug]))
    rows = model.get_text_embedding_batch(TEXTS)
    ((_, end),) = debug.get_event_pairs(CBEventType.EMBEDDING)
    assert list(end.payload[EventPayload.CHUNKS]) == TEXTS
    assert list(end.payload[EventPayload.EMBEDDINGS]) == rows


@pytest.mark.parametrize(
    ("args", "options"),
    [
        (["mistral-embed"], {}),
        ([], {"model": "mistral-embed"}),
        ([], {"model_name": "mistral-embed"}),
        ([], {"model": "mistral-embed", "model_name": "mistral-embed"}),
    ],
    ids=["positional", "model", "model_name", "both"],
)
def test_both_names_of_the_model(closing, emulator, args, options):
    """`model` and `model_name` are the same, in requests and as attributes."""
    service = emulator(rpm=0)
    model = closing(ElectronHubEmbedding(*args, api_key=service.api_key, base_url=service.base_url, **options))
    assert same(model.get_query_embedding("one"), service.vector("one", "mistral-embed"))
    assert (model.model, model.model_name) == ("mistral-embed", "mistral-embed")


def test_two_models_are_refused():
    """Different values of `model` and `model_name` are an error."""
    with pytest.raises(ValueError, match="name the same option"):
        ElectronHubEmbedding("mistral-embed", model="text-embedding-3-small", api_key="ek-test")


def test_used_again_after_close(embedding, emulator):
    """Closing closes the connections; the next call opens new ones."""
    service = emulator(rpm=0)
    model = embedding(service)
    model.get_query_embedding("one")
    model.close()
    assert same(model.get_query_embedding("two"), service.vector("two"))


def test_usage(embedding, emulator):
    """The usage counters are those of the object's client."""
    model = embedding(emulator(rpm=0))
    model.get_text_embedding_batch(["one", "two"])
    model.get_query_embedding("three")
    assert (model.usage.requests, model.usage.texts) == (2, 3)


def test_the_same_arguments_as_the_client():
    """Every argument of the client is an argument here with the same default, in addition to LlamaIndex's own."""
    client = {name: it.default for name, it in inspect.signature(EmbeddingsClient).parameters.items()}
    ours = {name: it.default for name, it in inspect.signature(ElectronHubEmbedding).parameters.items()}
    own = {"model_name", "embed_batch_size", "callback_manager", "num_workers", "embeddings_cache", "rate_limiter"}
    assert {name: default for name, default in ours.items() if name not in own} == {**client, "model": None}
    assert own <= set(ours)
    assert ElectronHubEmbedding(api_key="ek-test").model == client["model"]


def test_every_field_is_described():
    """Editors, schemas and `help` show what each field means, in the same words."""
    fields = getattr(ElectronHubEmbedding, "model_fields", None) or ElectronHubEmbedding.__fields__
    described = {name: getattr(it, "field_info", it).description for name, it in fields.items()}
    shown = dict(arguments(ElectronHubEmbedding))
    assert described == {name: shown[name] for name in described}
