"""`with`, `async with` and `aclose`, for the client and both adapters."""

import asyncio
from pathlib import Path

import pytest

from electronhub_embeddings import ElectronHubError
from support.entry_points import ENTRY_POINTS, expected_vectors, same

DESCRIPTORS = Path("/proc/self/fd")

METHODS = {
    "client": ("aembed", "aembed_query"),
    "LangChain": ("aembed_documents", "aembed_query"),
    "LlamaIndex": ("aget_text_embedding_batch", "aget_query_embedding"),
}
"""The async methods for documents and for a query; `entry_points` starts an event loop for each call."""


class Kind:
    """Creates objects of a class, and embeds texts with them inside the event loop of the test.

    Args:
        name: The name of the class in `METHODS`.
        closing: Registers an object to be closed after the test, and returns it.
    """

    def __init__(self, name, closing):
        self.is_adapter = name != "client"
        self._sync = ENTRY_POINTS[f"{name} sync"]
        self._embed, self._query = METHODS[name]
        self._closing = closing

    def make(self, service, **options):
        """Create an object that uses a service."""
        return self._closing(self._sync.cls(api_key=service.api_key, base_url=service.base_url, **options))

    async def embed(self, thing, texts):
        """Embed documents."""
        return await getattr(thing, self._embed)(texts)

    async def query(self, thing, text):
        """Embed a query."""
        return await getattr(thing, self._query)(text)

    def query_sync(self, thing, text):
        """Embed a query with the sync method."""
        return self._sync.query(thing, text)


@pytest.fixture(params=[name.removesuffix(" sync") for name in ENTRY_POINTS if name.endswith(" sync")])
def kind(request, closing):
    """Return each class in turn."""
    return Kind(request.param, closing)


@pytest.fixture
def is_open(tmp_path):
    """Return a function that says whether this process has a file of the test open."""
    if not DESCRIPTORS.is_dir():
        pytest.skip("needs /proc")
    return lambda: any(tmp_path in link.readlink().parents for link in DESCRIPTORS.iterdir() if link.is_symlink())


@pytest.fixture
def until_ended(until, workers):
    """Return a function that waits until the last worker has ended; the last one wakes `aclose` just before."""
    return lambda: until(lambda: workers() == [])


def test_with(kind, emulator, tmp_path, is_open, until_ended):
    """A `with` block returns the object, and closes it and its files at the end."""
    service = emulator(rpm=0)
    made = kind.make(service, cache=tmp_path / "vectors.sqlite")
    with made as thing:
        assert thing is made
        assert same(kind.query_sync(thing, "one"), service.vector("one"))
        assert is_open()
    assert not is_open()
    until_ended()


async def test_async_with(kind, emulator, tmp_path, is_open, until_ended):
    """So does an `async with` block."""
    service = emulator(rpm=0)
    made = kind.make(service, cache=tmp_path / "vectors.sqlite")
    async with made as thing:
        assert thing is made
        assert same(await kind.query(thing, "one"), service.vector("one"))
        assert is_open()
    assert not is_open()
    await asyncio.to_thread(until_ended)


def test_an_error_in_a_block(kind, emulator, until_ended):
    """The object is closed all the same, and the error is raised unchanged."""
    service = emulator(rpm=0)

    def fail():
        with kind.make(service) as thing:
            kind.query_sync(thing, "one")
            raise KeyError

    async def fail_async():
        async with kind.make(service) as thing:
            await kind.query(thing, "one")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    until_ended()
    with pytest.raises(KeyError):
        asyncio.run(fail_async())
    until_ended()


@pytest.mark.usefixtures("without_reference_text")
async def test_a_call_that_waits_fails(kind, emulator, tmp_path, until):
    """A call that waits for the limit fails at once, with its finished vectors, which are in the cache as well."""
    service = emulator(rpm=1)
    options = {"cache": tmp_path / "vectors.sqlite", "batch_size": 2}
    thing = kind.make(service, **options)
    waiting = asyncio.create_task(kind.embed(thing, ["one", "two", "three", "four"]))
    await asyncio.to_thread(until, lambda: thing.usage.texts == 2)
    await thing.aclose()
    (error,) = await asyncio.gather(waiting, return_exceptions=True)
    assert (type(error), error.message) == (ElectronHubError, "The client was closed.")
    assert sorted(error.partial) == [0, 1]
    assert same([error.partial[0], error.partial[1]], expected_vectors(service, ["one", "two"]))
    service.reset()
    again = await kind.embed(kind.make(service, **options), ["one", "two"])
    assert same(again, expected_vectors(service, ["one", "two"]))
    assert service.calls == []


async def test_the_event_loop_is_not_blocked(kind, emulator, hold, until, until_ended):
    """While `aclose` waits for a request in flight, other tasks run; its vectors are charged, and are returned."""
    service = emulator(rpm=0, faults=[hold.fault])
    thing = kind.make(service)
    rows = asyncio.create_task(kind.embed(thing, hold.texts))
    await asyncio.to_thread(until, lambda: len(service.calls) == 1)
    closing = asyncio.create_task(thing.aclose())
    await asyncio.wait([closing], timeout=0.1)
    assert not closing.done()
    hold.release()
    assert same(await rows, expected_vectors(service, hold.texts))
    await closing
    await asyncio.to_thread(until_ended)


async def test_nobody_has_to_wait_for_the_end(kind, emulator, hold, until, until_ended):
    """A grace period may cancel `aclose`: the workers end nevertheless, as soon as the request in flight has ended."""
    service = emulator(rpm=0, faults=[hold.fault])
    thing = kind.make(service)
    rows = asyncio.create_task(kind.embed(thing, hold.texts))
    await asyncio.to_thread(until, lambda: len(service.calls) == 1)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(thing.aclose(), 0.05)
    hold.release()
    assert same(await rows, expected_vectors(service, hold.texts))
    await asyncio.to_thread(until_ended)


async def test_each_client_of_an_adapter_is_closed(kind, emulator, until_ended):
    """An adapter whose fields have changed has several clients, which may belong to different services."""
    if not kind.is_adapter:
        pytest.skip("the options of a client cannot be changed")
    one = emulator(rpm=0)
    two = emulator(rpm=0, api_key=one.api_key)
    thing = kind.make(one)
    await kind.query(thing, "one")
    thing.base_url = two.base_url
    await kind.query(thing, "two")
    await thing.aclose()
    await asyncio.to_thread(until_ended)
    assert (len(one.calls), len(two.calls)) == (1, 1)
