"""ServiceContext, which llama-index-core has up to 0.10."""

import pytest
from llama_index.core import Document, ServiceContext, VectorStoreIndex, set_global_service_context
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler

from electronhub_embeddings.emulator import Emulator
from llama_index_electronhub import ElectronHubEmbedding
from support.docs_pages import blocks
from support.entry_points import same

pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated class method from_defaults:DeprecationWarning")

TEXTS = ["Paris is in France.", "Rust has no garbage collector.", "The cat sat on the mat."]
DOCUMENTS = [Document(text=text) for text in TEXTS]


@pytest.fixture
def model(closing, service):
    """Make a model of the service."""
    return closing(ElectronHubEmbedding(api_key=service.api_key, base_url=service.base_url))


@pytest.fixture
def service(emulator):
    """Serve five requests a minute."""
    return emulator(rpm=5)


def test_index_and_retriever(model, service):
    """An index is built and searched with the model of its service context, in two requests."""
    context = ServiceContext.from_defaults(embed_model=model, llm=None)
    index = VectorStoreIndex.from_documents(DOCUMENTS, service_context=context)
    (found,) = index.as_retriever(similarity_top_k=1).retrieve("garbage collector of Rust")
    assert found.node.get_content() == TEXTS[1]
    assert [call.texts for call in service.calls] == [3, 1]


def test_global_service_context(model, service):
    """The global service context is used if none is given."""
    set_global_service_context(ServiceContext.from_defaults(embed_model=model, llm=None))
    try:
        index = VectorStoreIndex.from_documents(DOCUMENTS)
        (found,) = index.as_retriever(similarity_top_k=1).retrieve("garbage collector of Rust")
    finally:
        set_global_service_context(None)
    assert found.node.get_content() == TEXTS[1]
    assert [call.texts for call in service.calls] == [3, 1]


def test_callback_manager_of_the_context(model, service):
    """The context sets its callback manager in the model, and the model reports events to it."""
    debug = LlamaDebugHandler(print_trace_on_end=False)
    context = ServiceContext.from_defaults(embed_model=model, llm=None, callback_manager=CallbackManager([debug]))
    assert same(context.embed_model.get_query_embedding("one"), service.vector("one"))
    assert len(debug.get_event_pairs(CBEventType.EMBEDDING)) == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("file", ["README.md", "llama-index.md"])
def test_the_snippet_of_the_documents_runs(file, monkeypatch, capsys, tmp_path):
    """The snippets for ServiceContext, in the README and on LlamaIndex's page, run unchanged and find the text."""
    found = blocks(tests=False)
    (code,) = (found[place] for place in found if place.startswith(file) and "ServiceContext" in found[place])
    monkeypatch.chdir(tmp_path)
    with Emulator() as service:
        monkeypatch.setenv("ELECTRONHUB_API_KEY", service.api_key)
        monkeypatch.setenv("ELECTRONHUB_BASE_URL", service.base_url)
        exec(compile(code, file, "exec"), {"__name__": "page"})  # noqa: S102 - our own text
    assert "Paris is the capital of France." in capsys.readouterr().out
