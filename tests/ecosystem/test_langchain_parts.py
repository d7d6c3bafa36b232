"""LangChain's components around embeddings: a cache, an index, an example selector, a chain."""

from hashlib import sha256

import pytest
from langchain_classic.embeddings import CacheBackedEmbeddings
from langchain_classic.storage import LocalFileStore
from langchain_core.documents import Document
from langchain_core.example_selectors import SemanticSimilarityExampleSelector
from langchain_core.indexing import InMemoryRecordManager, aindex, index
from langchain_core.language_models.fake_chat_models import ParrotFakeChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough
from langchain_core.vectorstores import InMemoryVectorStore

from support.entry_points import expected_vectors, same
from support.langchain_vector_stores import TEXTS

pytestmark = pytest.mark.xdist_group("langchain")  # one process imports the framework, which takes seconds


@pytest.fixture
def cached(model, tmp_path):
    """Return a function that wraps a new model in LangChain's cache, in one directory."""

    def make(namespace, **options):
        return CacheBackedEmbeddings.from_bytes_store(
            model(**options),
            LocalFileStore(tmp_path),
            namespace=namespace,
            key_encoder="sha256",
            query_embedding_cache=True,
        )

    return make


async def test_cached_vectors_are_not_sent_again(cached, call, service, sent, tmp_path):
    """A second run finds all vectors, bit for bit, in files named by the SHA-256 of the texts."""
    for _ in range(2):
        embeddings = cached("small/")
        assert same(await call(embeddings, "embed_documents", TEXTS), expected_vectors(service, TEXTS))
        assert same(await call(embeddings, "embed_query", TEXTS[41]), service.vector(TEXTS[41]))
        assert sent() == [len(TEXTS)]
    names = {file.name for file in (tmp_path / "small").iterdir()}
    assert names == {sha256(text.encode()).hexdigest() for text in TEXTS}


async def test_only_new_texts_are_sent(cached, call, service, sent):
    """Only texts that are not in the cache are sent, and all vectors are returned in order."""
    await call(cached("small/"), "embed_documents", TEXTS[5:])
    assert same(await call(cached("small/"), "embed_documents", TEXTS), expected_vectors(service, TEXTS))
    assert sent() == [len(TEXTS) - 5, 5]


async def test_namespaces_keep_lengths_apart(cached, call, service, sent):
    """A model with other dimensions and another namespace gets its own vectors."""
    for _ in range(2):
        full = await call(cached("small/1536/"), "embed_documents", TEXTS)
        short = await call(cached("small/256/", dimensions=256), "embed_documents", TEXTS)
        assert same(full, expected_vectors(service, TEXTS))
        assert same(short, expected_vectors(service, TEXTS, 256))
    assert sent() == [len(TEXTS)] * 2


@pytest.fixture
def store(model):
    """Return an empty store."""
    return InMemoryVectorStore(model())


@pytest.fixture
def indexed(store, asynchronous):
    """Return a function that indexes documents, each time into the same store and record manager, and says what it did.

    The batch is as large as a request: the default of 100 would make twenty requests of one.
    """
    records = InMemoryRecordManager("texts")
    records.create_schema()
    options = {"cleanup": "incremental", "source_id_key": "source", "key_encoder": "sha256", "batch_size": 2048}

    async def run(documents):
        if asynchronous:
            return await aindex(documents, records, store, **options)
        return index(documents, records, store, **options)

    return run


def documents(texts):
    """Return a document for each text, each with its own source."""
    return [Document(text, metadata={"source": f"text {number}"}) for number, text in enumerate(texts)]


async def test_unchanged_documents_are_not_sent_again(indexed, store, sent):
    """Indexed documents are skipped; changed ones are sent again, and their old version is removed."""
    assert await indexed(documents(TEXTS)) == {"num_added": 70, "num_updated": 0, "num_skipped": 0, "num_deleted": 0}
    assert await indexed(documents(TEXTS)) == {"num_added": 0, "num_updated": 0, "num_skipped": 70, "num_deleted": 0}
    assert sent() == [70]
    changed = [*TEXTS[:-1], "The last text is another one now."]
    assert await indexed(documents(changed)) == {"num_added": 1, "num_updated": 0, "num_skipped": 69, "num_deleted": 1}
    assert sent() == [70, 1]
    assert {row["text"] for row in store.store.values()} == set(changed)


async def test_examples_are_chosen_by_nearness(model, call, asynchronous, sent):
    """The nearest example is selected: one request for all examples, one for each choice."""
    examples = [{"question": text, "answer": str(number)} for number, text in enumerate(TEXTS)]
    make = SemanticSimilarityExampleSelector
    arguments = (examples, model(), InMemoryVectorStore)
    options = {"k": 1, "input_keys": ["question"]}
    selector = (
        await make.afrom_examples(*arguments, **options) if asynchronous else make.from_examples(*arguments, **options)
    )
    assert await call(selector, "select_examples", {"question": TEXTS[41]}) == [examples[41]]
    added = {"question": "Which of these was added later?", "answer": "this one"}
    await call(selector, "add_example", added)
    assert await call(selector, "select_examples", {"question": added["question"]}) == [added]
    assert sent() == [70, 1, 1, 1]


async def test_chain(store, call, sent):
    """A chain passes the nearest text and the question to a chat model, here one that repeats its prompt."""
    await call(store, "add_texts", TEXTS)
    retriever = store.as_retriever(search_kwargs={"k": 1}) | (lambda found: found[0].page_content)
    prompt = ChatPromptTemplate.from_template("{context}\n\n{question}")
    chain = (
        {"context": retriever, "question": RunnablePassthrough()} | prompt | ParrotFakeChatModel() | StrOutputParser()
    )
    assert await call(chain, "invoke", TEXTS[41]) == f"{TEXTS[41]}\n\n{TEXTS[41]}"
    assert sent() == [70, 1]


async def test_a_batch_of_questions(store, call, sent):
    """The questions of a batch go through a chain together, and each gets its own text."""
    await call(store, "add_texts", TEXTS)
    chain = store.as_retriever(search_kwargs={"k": 1}) | (lambda found: found[0].page_content)
    assert await call(chain, "batch", TEXTS[:20]) == TEXTS[:20]
    assert sum(sent()) == len(TEXTS) + 20
