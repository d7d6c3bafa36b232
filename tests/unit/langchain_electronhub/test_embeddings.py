"""The adapter for LangChain."""

import copy
import inspect
import json
import pickle

import pytest
from langchain_core.load import dumps, loads
from langchain_core.vectorstores import InMemoryVectorStore
from pydantic import SecretStr, ValidationError

from electronhub_embeddings import EmbeddingsClient
from electronhub_embeddings._config.options import DECLARED
from electronhub_embeddings.rate_limit_stores.memory import MemoryStore
from langchain_electronhub import ElectronHubEmbeddings
from support.class_docstrings import arguments
from support.entry_points import expected_vectors, same

TEXTS = ["Paris is in France.", "Rust has no garbage collector.", "The cat sat on the mat."]


def pickled(thing):
    """Send an object through a pickle."""
    return pickle.loads(pickle.dumps(thing))  # noqa: S301 - our own


@pytest.fixture
def embeddings(closing):
    """Return a function that makes a model of a service."""

    def make(service, **options):
        options = {"api_key": service.api_key, "base_url": service.base_url, **options}
        return closing(ElectronHubEmbeddings(**options))

    return make


def test_vector_store(embeddings, emulator):
    """A store finds the nearest text, with one request for all documents and one for the query."""
    service = emulator(rpm=5)
    store = InMemoryVectorStore(embeddings(service))
    store.add_texts(TEXTS)
    (found,) = store.similarity_search("garbage collector of Rust", k=1)
    assert found.page_content == TEXTS[1]
    assert [call.texts for call in service.calls] == [3, 1]


async def test_vector_store_async(embeddings, emulator):
    """The same without blocking the event loop."""
    service = emulator(rpm=5)
    store = InMemoryVectorStore(embeddings(service))
    await store.aadd_texts(TEXTS)
    (found,) = await store.asimilarity_search("garbage collector of Rust", k=1)
    assert found.page_content == TEXTS[1]
    assert [call.texts for call in service.calls] == [3, 1]


ALLOWED = (
    {"allowed_objects": [ElectronHubEmbeddings]} if "allowed_objects" in inspect.signature(loads).parameters else {}
)
"""Newer versions of LangChain load nothing that is not named."""


@pytest.mark.filterwarnings("ignore:The function `loads` is in beta")
def test_round_trip_through_dumps(embeddings, closing, emulator):
    """A model restored from LangChain's serialised form and the key produces the same vectors."""
    service = emulator(rpm=0)
    model = embeddings(service, dimensions=8, document_prefix="passage: ", query_prefix="query: ")
    again = closing(
        loads(
            dumps(model),
            secrets_map={"ELECTRONHUB_API_KEY": service.api_key},
            valid_namespaces=["langchain_electronhub"],
            **ALLOWED,
        )
    )
    assert again.embed_documents(TEXTS) == model.embed_documents(TEXTS)
    assert again.embed_query("who?") == model.embed_query("who?")


def test_dumps_tells_what_is_set_now(embeddings, emulator):
    """The serialised form reflects assignments and updates of copies."""
    model = embeddings(emulator(rpm=0))
    model.dimensions = 8
    assert json.loads(dumps(model))["kwargs"]["dimensions"] == 8
    assert json.loads(dumps(model.model_copy(update={"dimensions": 9})))["kwargs"]["dimensions"] == 9


def test_unknown_arguments_are_refused():
    """A misspelt argument is an error, not ignored."""
    with pytest.raises(ValidationError, match="dimension\n"):
        ElectronHubEmbeddings(api_key="ek-test", dimension=8)


@pytest.mark.parametrize(
    "options", [{"batch_size": 0}, {"max_retries": -1}, {"timeout": 0}, {"max_wait": -1}, {"encoding_format": "hex"}]
)
def test_arguments_out_of_range_are_refused(options):
    """Arguments that the client rejects are rejected at construction, not at the first call."""
    with pytest.raises(ValidationError):
        ElectronHubEmbeddings(api_key="ek-test", **options)


def test_no_key_means_the_environment(embeddings, emulator, monkeypatch):
    """`api_key=None`, as from a settings object, is the same as not given."""
    service = emulator(rpm=0)
    monkeypatch.setenv("ELECTRONHUB_API_KEY", service.api_key)
    assert same(embeddings(service, api_key=None).embed_query("one"), service.vector("one"))
    monkeypatch.delenv("ELECTRONHUB_API_KEY")
    with pytest.raises(ValueError, match="ELECTRONHUB_API_KEY"):
        embeddings(service, api_key=None)


def test_secret_keys_are_taken(embeddings, emulator):
    """A key may come as a SecretStr."""
    service = emulator(rpm=0)
    model = embeddings(service, api_key=SecretStr(service.api_key))
    assert same(model.embed_query("one"), service.vector("one"))


def test_changed_copies_take_effect(embeddings, closing, emulator):
    """A copy with an update embeds with the update, and the original without."""
    service = emulator(rpm=0)
    model = embeddings(service)
    shorter = closing(model.model_copy(update={"dimensions": 8}))
    assert same(shorter.embed_query("one"), service.vector("one", dimensions=8))
    assert same(model.embed_query("one"), service.vector("one"))


def test_assignments_take_effect(embeddings, emulator):
    """An assigned field applies from the next call on."""
    service = emulator(rpm=0)
    model = embeddings(service)
    model.embed_query("one")
    model.dimensions = 8
    model.query_prefix = "query: "
    assert same(model.embed_query("one"), service.vector("query: one", dimensions=8))


@pytest.mark.parametrize("double", [copy.copy, copy.deepcopy, pickled], ids=["copy", "deepcopy", "pickle"])
def test_copies_keep_an_explicit_key(embeddings, closing, emulator, monkeypatch, double):
    """A copy uses the key of its original, whatever the environment says."""
    service = emulator(rpm=0)
    model = embeddings(service, dimensions=8)
    model.embed_query("before")
    monkeypatch.setenv("ELECTRONHUB_API_KEY", "ek-another")
    assert same(closing(double(model)).embed_query("one"), service.vector("one", dimensions=8))
    assert same(model.embed_query("two"), service.vector("two", dimensions=8))


def test_deep_copies_share_the_store(embeddings, closing, emulator):
    """A rate limit store cannot be copied: the copy of a model uses the same one."""
    service = emulator(rpm=0)
    model = embeddings(service, rate_limit_store=MemoryStore())
    model.embed_query("one")
    assert same(closing(copy.deepcopy(model)).embed_query("two"), service.vector("two"))


def test_used_again_after_close(embeddings, emulator):
    """Closing closes the connections; the next call opens new ones."""
    service = emulator(rpm=0)
    model = embeddings(service)
    model.embed_documents(["one"])
    model.close()
    assert same(model.embed_documents(["two"]), expected_vectors(service, ["two"]))


def test_usage(embeddings, emulator):
    """The usage counters are those of the object's client."""
    model = embeddings(emulator(rpm=0))
    model.embed_documents(["one", "two"])
    model.embed_query("three")
    assert (model.usage.requests, model.usage.texts) == (2, 3)


async def test_show_progress(embeddings, emulator, capsys):
    """A bar ends at the number of texts, for documents only."""
    model = embeddings(emulator(rpm=0), show_progress=True)
    model.embed_query("one")
    assert capsys.readouterr().err == ""
    model.embed_documents(["one", "two"])
    assert "2/2" in capsys.readouterr().err
    await model.aembed_documents(["one", "two"])
    assert "2/2" in capsys.readouterr().err


def test_the_same_arguments_as_the_client():
    """Every argument of the client is a field with the same default; the only other field is `show_progress`."""
    client = {name: it.default for name, it in inspect.signature(EmbeddingsClient).parameters.items()}
    fields = {name: field.default for name, field in ElectronHubEmbeddings.model_fields.items()}
    assert fields == {**client, "show_progress": False}


def test_every_field_is_described():
    """Editors, schemas and `help` show what each field means, in the words of the client's options."""
    described = {name: " ".join(it.description.split()) for name, it in ElectronHubEmbeddings.model_fields.items()}
    declared = {name: it.metadata["description"] for name, it in DECLARED.items()}
    assert described.pop("show_progress").startswith("Show a progress bar")
    assert described == declared
    shown = dict(arguments(ElectronHubEmbeddings))
    assert shown.pop("show_progress")
    assert shown == declared
