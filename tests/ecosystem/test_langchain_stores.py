"""LangChain's vector stores: each real, with real texts, sync and async, and nothing sent that need not be.

The sync methods are called while an event loop runs, as in a notebook.
"""

import pytest
from langchain_qdrant import QdrantVectorStore

from support.entry_points import expected_vectors, same
from support.langchain_vector_stores import TEXTS, VECTOR_STORES, Pgvector

pytestmark = pytest.mark.xdist_group("langchain")  # one process imports the framework, which takes seconds

ASKED = [TEXTS[0], TEXTS[41], TEXTS[69]]

LENGTHS = {None: 1536, 256: 256}
"""The length of the vectors, by `dimensions`."""


@pytest.fixture(params=VECTOR_STORES, ids=lambda kind: kind.__name__.lower())
def kind(request):
    """Return a function that creates an empty store in a directory, for each kind of store."""
    more = [request.getfixturevalue("postgres")] if request.param is Pgvector else []
    return lambda place, asynchronous: request.param(place, asynchronous, *more)


@pytest.fixture
def store_case(kind, tmp_path, asynchronous):
    """Return an empty store of one kind."""
    return kind(tmp_path, asynchronous)


@pytest.mark.parametrize("dimensions", LENGTHS)
async def test_the_text_that_was_asked_for_is_nearest(store_case, call, dimensions, *, service, model, client, sent):
    """A store holds the exact vectors, and finds a text by itself: one request for all texts, one per query."""
    store = store_case.open(model(dimensions=dimensions), LENGTHS[dimensions])
    await call(store, "add_texts", TEXTS, ids=store_case.ids, **store_case.adding)
    found = [await call(store, "similarity_search", text, k=1) for text in ASKED]
    assert [document.page_content for (document,) in found] == ASKED
    assert sent() == [1] * store_case.probes + [len(TEXTS), 1, 1, 1]
    rows = store_case.rows(store)
    store_case.close(store)
    assert same(rows, expected_vectors(service, TEXTS, dimensions))
    assert same(rows, client(service, dimensions=dimensions).embed(TEXTS))


async def test_opened_again(store_case, call, model, sent):
    """A filled store can be reopened and searched without sending a document again."""
    first = store_case.open(model(), 1536)
    await call(first, "add_texts", TEXTS, ids=store_case.ids, **store_case.adding)
    store_case.close(first)
    before = len(sent())
    again = store_case.open(model(), 1536)
    (found,) = await call(again, "similarity_search", TEXTS[41], k=1)
    store_case.close(again)
    assert found.page_content == TEXTS[41]
    assert sent()[before:] == [1] * store_case.probes + [1]


async def test_built_again_with_a_cache(kind, call, asynchronous, tmp_path, *, service, model, sent):
    """With a cache, a second store of the same texts sends nothing, not even its probe."""
    rows = []
    for number in range(2):
        place = tmp_path / str(number)
        place.mkdir()
        store_case = kind(place, asynchronous)
        store = store_case.open(model(cache=tmp_path / "vectors.sqlite"), 1536)
        await call(store, "add_texts", TEXTS, ids=store_case.ids, **store_case.adding)
        rows.append(store_case.rows(store))
        store_case.close(store)
    first, *others = [1] * store_case.probes + [len(TEXTS)]
    assert sent() == [first + 1, *others]  # with the sentence by which another model is noticed
    expected = expected_vectors(service, TEXTS)
    assert [same(vectors, expected) for vectors in rows] == [True, True]


# SQLAlchemy warns of the row without values that PGVector makes of no texts.
@pytest.mark.filterwarnings("ignore:Column 'langchain_pg_embedding.id'")
async def test_no_texts(store_case, call, model, sent):
    """An empty list of texts sends nothing, whether or not the store accepts it."""
    store = store_case.open(model(), 1536)
    if store_case.empty:
        with pytest.raises(store_case.empty):
            await call(store, "add_texts", [])
    else:
        assert await call(store, "add_texts", []) == []
    store_case.close(store)
    assert sent() == [1] * store_case.probes


async def test_equal_texts_are_sent_once(store_case, call, service, model, sent):
    """Repeated texts in one call are sent once, and each gets its vector."""
    repeated = [TEXTS[0]] * 69 + [TEXTS[1]]
    store = store_case.open(model(), 1536)
    await call(store, "add_texts", repeated, ids=store_case.ids, **store_case.adding)
    rows = store_case.rows(store)
    store_case.close(store)
    assert sent() == [1] * store_case.probes + [2]
    assert same(rows, expected_vectors(service, repeated))


async def test_qdrant_builds_its_own_collection(model, sent):
    """Qdrant determines the length with its own probe, and embeds 64 texts at a time by default."""
    for options in ({}, {"batch_size": 2048}):
        store = QdrantVectorStore.from_texts(TEXTS, model(), location=":memory:", **options)
        (found,) = store.similarity_search(TEXTS[41], k=1)
        store.client.close()
        assert found.page_content == TEXTS[41]
    assert sent() == [1, 64, 6, 1, 1, 70, 1]
