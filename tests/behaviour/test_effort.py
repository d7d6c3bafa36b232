"""What a call costs, counted instead of timed: function calls, bytes of memory, copies."""

import base64
import json
import sys
import threading
import tracemalloc
from pathlib import Path

import httpx
import numpy as np
import pytest

import electronhub_embeddings
from electronhub_embeddings import EmbeddingsClient
from electronhub_embeddings._http import response_body
from langchain_electronhub import ElectronHubEmbeddings

PACKAGE = str(Path(electronhub_embeddings.__file__).parent)
VECTOR = base64.b64encode(np.linspace(-1, 1, 1536, dtype=np.float32))
SERVER = str(Path(PACKAGE, "emulator"))


class Calls:
    """Counts calls of this package's functions, in this thread and in threads started meanwhile."""

    def __init__(self):
        self.count = 0

    def __call__(self, frame, event, _):
        """Count a call."""
        name = frame.f_code.co_filename
        self.count += event == "call" and name.startswith(PACKAGE) and not name.startswith(SERVER)

    def during(self, function):
        """Count the calls while a function runs."""
        before = self.count
        function()
        return self.count - before

    def __enter__(self):
        sys.setprofile(self)
        threading.setprofile(self)
        return self

    def __exit__(self, *_):
        sys.setprofile(None)
        threading.setprofile(None)


def test_a_query_takes_few_calls(emulator, client):
    """One query takes about 300 calls of this package's functions, spans included; an increase is noticed."""
    service = emulator(rpm=0)
    with Calls() as calls:
        asking = client(service)
        for number in range(3):
            asking.embed_query(f"to warm up {number}")
        # On a busy machine, a worker now and then wakes in vain.
        assert min(calls.during(lambda: asking.embed_query("question")) for _ in range(10)) < 304


def test_texts_take_few_calls_of_their_own(emulator, client):
    """Each further text of a thousand takes one further function call, to decode its vector."""
    service = emulator(rpm=0)
    with Calls() as calls:
        embedding = client(service, dimensions=8)
        embedding.embed([f"to warm up {number}" for number in range(2000)])
        one = calls.during(lambda: embedding.embed([f"one {number}" for number in range(1000)]))
        two = calls.during(lambda: embedding.embed([f"two {number}" for number in range(2000)]))
    assert two - one < 1000 * 2


class Rows(httpx.SyncByteStream):
    """The body of an answer, generated while it is read, so that it takes no memory."""

    def __init__(self, count):
        self.count = count

    def __iter__(self):
        """Yield vector after vector."""
        yield b'{"data":['
        for index in range(self.count):
            yield b'{"index":%d,"embedding":"%s"}%s' % (index, VECTOR, b"," if index < self.count - 1 else b"]}")


def answer(request):
    """Answer like the service."""
    count = len(json.loads(request.content)["input"])
    return httpx.Response(200, headers={"content-length": str(sum(map(len, Rows(count))))}, stream=Rows(count))


@pytest.fixture
def options(monkeypatch):
    """Return the options to reach a service that takes no memory."""
    monkeypatch.setattr(response_body, "PATIENCE", 60)  # this wire is slow, for Python writes the answers
    with httpx.Client(transport=httpx.MockTransport(answer)) as http:
        yield {"api_key": "ek-test", "base_url": "http://127.0.0.1:9/v1", "http_client": http}


def peak(embed, count):
    """Embed; return the result, and the bytes of memory at the peak."""
    texts = [f"text {number}" for number in range(count)]
    embed(["to warm up"])
    tracemalloc.start()
    try:
        return embed(texts), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_an_array_is_held_once(options):
    """Peak memory is the result, one or two answers, and the data about the texts: no second array, no chunks."""
    with EmbeddingsClient(**options) as client:
        rows, most = peak(client.embed, 20_000)
    assert rows.shape == (20_000, 1536)
    assert most < rows.nbytes + 50_000_000


@pytest.mark.slow
def test_lists_are_held_once(options):
    """For lists, no array of all their numbers is created."""
    model = ElectronHubEmbeddings(**options, batch_size=100, max_concurrency=1)
    rows, most = peak(model.embed_documents, 2000)
    size = sum(sys.getsizeof(row) + sum(map(sys.getsizeof, row)) for row in rows)
    assert most < size + 2000 * 1536 * 4 / 2
