"""However LlamaIndex splits a list into batches, it is one call: full requests, one error, one progress bar."""

import asyncio

import pytest
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload, LlamaDebugHandler

from electronhub_embeddings import BadRequestError, InputError
from electronhub_embeddings.emulator import faults
from llama_index_electronhub import ElectronHubEmbedding
from support.entry_points import expected_vectors, same

pytestmark = pytest.mark.usefixtures("quick_retries")

TEXTS = [f"text {number}" for number in range(1000)]

WAYS = {
    "sync": lambda model, texts, **options: model.get_text_embedding_batch(texts, **options),
    "async": lambda model, texts, **options: asyncio.run(model.aget_text_embedding_batch(texts, **options)),
}


@pytest.fixture(params=WAYS)
def embed(request):
    """Return each way to embed a list in turn."""
    return WAYS[request.param]


@pytest.fixture
def model(closing):
    """Return a function that makes a model of a service."""

    def make(service, **options):
        return closing(ElectronHubEmbedding(**{"api_key": service.api_key, "base_url": service.base_url, **options}))

    return make


@pytest.mark.parametrize("options", [{}, {"num_workers": 2}], ids=["one", "workers"])
def test_small_batches_fill_requests(embed, model, emulator, options):
    """A thousand texts in batches of ten are one request under a limit; equal texts have equal vectors."""
    service = emulator(rpm=1)
    texts = [*TEXTS, TEXTS[5], "text 7"]
    rows = embed(model(service, embed_batch_size=10, dimensions=8, max_wait=0, **options), texts)
    assert same(rows, expected_vectors(service, texts, 8))
    assert [call.texts for call in service.calls] == [1000]
    assert len({id(row) for row in rows}) == len(rows)  # whoever changes one changes no other


def test_an_error_speaks_of_the_whole_list(embed, model, emulator):
    """`.index` and `.partial` count from the first text of the list, not of a batch."""
    service = emulator(rpm=0, faults=[None, faults.error(400, "Invalid 'input[3]': maximum input length is 8192.")])
    with pytest.raises(BadRequestError) as caught:
        embed(model(service, embed_batch_size=7, batch_size=20, max_concurrency=1), TEXTS[:50])
    error = caught.value
    assert error.index == 23
    assert set(range(40)) - set(error.partial) == {23}  # the rest of the refused request was embedded
    assert all(same(row, service.vector(TEXTS[place])) for place, row in error.partial.items())


def test_bad_input_is_refused_before_anything_is_sent(embed, model, emulator):
    """Also in the last of many batches."""
    service = emulator(rpm=0)
    for wrong in ("", None, ["a list"], 7, "\ud800"):
        with pytest.raises(InputError) as caught:
            embed(model(service, embed_batch_size=10), [*TEXTS, wrong])
        assert caught.value.index == 1000
    assert service.calls == []


def test_every_batch_has_its_event(embed, model, emulator):
    """Callbacks receive each batch, with its texts and vectors."""
    debug = LlamaDebugHandler(print_trace_on_end=False)
    service = emulator(rpm=0)
    embed(model(service, embed_batch_size=10, callback_manager=CallbackManager([debug])), TEXTS[:25])
    ends = [end for _, end in debug.get_event_pairs(CBEventType.EMBEDDING)]
    heard = {tuple(end.payload[EventPayload.CHUNKS]): end.payload[EventPayload.EMBEDDINGS] for end in ends}
    assert sorted(map(len, heard)) == [5, 10, 10]
    assert all(same(rows, expected_vectors(service, texts)) for texts, rows in heard.items())


def test_others_embed_meanwhile(embed, model, emulator):
    """A model used in between another model's batches, for example in a callback, returns its own vectors."""
    service = emulator(rpm=0)
    inner, got = model(service, dimensions=8), []

    class Nosy(LlamaDebugHandler):
        def on_event_start(self, *args, **options):
            got.append(inner.get_text_embedding_batch(TEXTS[:3]))
            return super().on_event_start(*args, **options)

    outer = model(service, embed_batch_size=10, callback_manager=CallbackManager([Nosy(print_trace_on_end=False)]))
    assert same(embed(outer, TEXTS[:20]), expected_vectors(service, TEXTS[:20]))
    assert [same(rows, expected_vectors(service, TEXTS[:3], 8)) for rows in got] == [True, True]


def test_one_bar_for_the_whole_list(embed, model, emulator, capsys):
    """Progress is shown once, by this package, and advances with the vectors."""
    embed(model(emulator(rpm=0), embed_batch_size=10), TEXTS[:30], show_progress=True)
    shown = capsys.readouterr().err
    assert "30/30 texts, 1 request in " in shown
    assert "Generating" not in shown


def test_a_cancelled_call_is_taken_back(model, emulator, hold, until):
    """Cancelling the task of a list withdraws all of its unsent texts."""
    service = emulator(rpm=0, faults=[hold.fault])
    slow = model(service, embed_batch_size=10, batch_size=32, max_concurrency=1)

    async def scene():
        call = asyncio.create_task(slow.aget_text_embedding_batch([*hold.texts, *TEXTS]))
        await asyncio.to_thread(until, lambda: len(service.calls) == 1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    asyncio.run(scene())
    hold.release()
    assert same(slow.get_text_embedding("after"), service.vector("after"))
    assert [call.texts for call in service.calls] == [32, 1]
