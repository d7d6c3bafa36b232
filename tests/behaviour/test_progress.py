"""What a caller sees of a job that takes its time: a bar with a forecast, and a line in the log."""

import asyncio
import logging
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from electronhub_embeddings import EmbeddingsClient
from electronhub_embeddings.emulator import faults
from support.entry_points import ENTRY_POINTS

TEXTS = [f"paragraph {number} of a book" for number in range(50)]

WITH_A_BAR = {
    "client sync": lambda client: client.embed(TEXTS, show_progress=True),
    "client async": lambda client: asyncio.run(client.aembed(TEXTS, show_progress=True)),
    "client lists": lambda client: client.embed_lists(TEXTS, show_progress=True),
    "LangChain sync": lambda model: model.embed_documents(TEXTS),
    "LangChain async": lambda model: asyncio.run(model.aembed_documents(TEXTS)),
    "LlamaIndex sync": lambda model: model.get_text_embedding_batch(TEXTS, show_progress=True),
    "LlamaIndex async": lambda model: asyncio.run(model.aget_text_embedding_batch(TEXTS, show_progress=True)),
}


def frames(capsys):
    """List what a bar has shown."""
    return [frame.partition("| ")[2].strip() for frame in re.split(r"[\r\n]", capsys.readouterr().err)]


@pytest.mark.parametrize("name", WITH_A_BAR)
def test_a_bar_shows_texts_requests_and_time(name, emulator, closing, capsys):
    """Through every entry point, the forecast has the requests of the whole job, and the limit."""
    kind = ENTRY_POINTS.get(name)
    if kind is None and not name.startswith("client"):
        pytest.skip("the framework is not installed")
    cls = EmbeddingsClient if kind is None else kind.cls
    service = emulator(rpm=2, window=0.6)
    options = {"show_progress": True} if name.startswith("LangChain") else {}
    model = closing(cls(api_key=service.api_key, base_url=service.base_url, batch_size=10, dimensions=8, **options))
    WITH_A_BAR[name](model)
    shown = frames(capsys)
    meanwhile = re.compile(r"([24])0/50 texts, \1 of 5 requests, about \d s left \(200 a minute\)")
    assert any(map(meanwhile.fullmatch, shown))
    assert any(re.fullmatch(r"50/50 texts, 5 requests in \d+ s", it) for it in shown)


async def list_async(model):
    """Embed an iterable in an event loop."""
    return [vector async for vector in model.aiter_embed(iter(TEXTS), show_progress=True)]


@pytest.mark.parametrize(
    "embed",
    [
        lambda model: list(model.iter_embed(iter(TEXTS), show_progress=True)),
        lambda model: asyncio.run(list_async(model)),
    ],
    ids=["sync", "async"],
)
def test_a_stream_shows_what_it_has(embed, emulator, client, capsys):
    """Of an iterable, texts, requests and the limit are shown, also while nothing comes."""
    service = emulator(rpm=2, window=0.6)
    assert len(embed(client(service, batch_size=10, dimensions=8))) == 50
    shown = capsys.readouterr().err
    assert "20 texts, 2 requests, 200 a minute" in shown
    assert "50 texts, 5 requests, 200 a minute" in shown


def test_the_time_does_not_end_before_a_retry(emulator, client, capsys):
    """While the service answers 503, the time that is left is that until the retry, not zero."""
    service = emulator(rpm=0, faults=[None, faults.error(503, headers={"Retry-After": "2"})])
    client(service, batch_size=25, dimensions=8, max_concurrency=1).embed(TEXTS, show_progress=True)
    words = "25/50 texts, 1 of 2 requests, about 2 s left, next in 2 s (the service answered 503: attempt 2 of 7)"
    assert words in frames(capsys)


def test_a_long_job_is_announced(emulator, client, caplog, until):
    """Without a bar as well, one line says at the start how long it takes."""
    caplog.set_level(logging.INFO, "electronhub_embeddings")
    model = client(emulator(rpm=5), batch_size=5, dimensions=8)
    words = r"45 texts in 9 requests: about 6\d s \(5 requests a minute\)"
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(model.embed, TEXTS)
        until(lambda: [record for record in caplog.records if re.fullmatch(words, record.getMessage())])
        model.close()
        assert job.exception() is not None
    assert len([record for record in caplog.records if " texts in " in record.getMessage()]) == 1
