"""The end of objects: closed while others use them, or created, used and garbage-collected by the thousand."""

import asyncio
import gc
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from electronhub_embeddings import APIConnectionError, ElectronHubError, EmbeddingsClient
from electronhub_embeddings.emulator import faults
from support.child_processes import TIMEOUT, slow_except
from support.entry_points import ENTRY_POINTS, SYNC, expected_vectors, same

pytestmark = [
    pytest.mark.usefixtures("quick_retries"),
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc"),
]


def test_closing_does_not_wait_for_a_client_that_came_later(client, emulator, hold, until):
    """The last client waits for its request in flight, but not for another one that begins meanwhile and stays."""
    service = emulator(rpm=0, faults=[hold.fault])
    leaving, coming = client(service), client(service)
    with ThreadPoolExecutor(3) as pool:
        held = pool.submit(leaving.embed, hold.texts)
        until(lambda: len(service.calls) == 1)
        closing = pool.submit(leaving.close)
        until(lambda: not leaving._lifecycle._connections)
        later = pool.submit(coming.embed_query, "a question")
        closing.result(TIMEOUT)
        hold.release()
        later.result(TIMEOUT)
        held.exception(TIMEOUT)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # pytest's word for the SystemExit
def test_a_thread_that_leaves(client, emulator, until, waiting):
    """A thread that ends by `sys.exit` in the middle of a stream withdraws the rest; other calls are unaffected."""
    service = emulator(rpm=0)
    shared = client(service, batch_size=1, max_concurrency=1, dimensions=8)

    def leave():
        for _ in shared.iter_embed(str(number) for number in range(1000)):
            sys.exit(3)

    thread = threading.Thread(target=leave)
    thread.start()
    assert same(shared.embed(["one", "two"]), expected_vectors(service, ["one", "two"], 8))
    thread.join()
    until(lambda: waiting(shared) == 0)
    assert len(service.calls) < 10


def test_no_connection_is_opened_after_the_end(recording_server):
    """Opening a connection after `close` fails, because nothing would close it again."""
    server = recording_server()
    closing = EmbeddingsClient(api_key="ek-test", base_url=server.base_url)
    closing.embed(["one"])
    (connection,) = closing._lifecycle._connections.values()
    (api_client,) = connection._workers._sender._api_clients.values()
    closing.close()
    with pytest.raises(APIConnectionError, match="are closed") as caught:
        api_client.list_models()
    assert (caught.value.sent, server.connections) == (False, 1)


# Nobody closed it.


def descriptors():
    """Count the open files and sockets of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("name", slow_except(SYNC[1:], SYNC))
def test_a_thousand_objects_made_and_dropped(emulator, until, workers, name):
    """Many objects with different arguments, used and garbage-collected, leave no thread, socket or file behind."""
    kind, count = ENTRY_POINTS[name], 1000 if name.startswith("client") else 100
    before, most, most_threads = descriptors(), 0, 0
    service = emulator(rpm=0)
    for number in range(count):
        thing = kind.cls(api_key=service.api_key, base_url=service.base_url, dimensions=8, user=str(number))
        if number % 4 == 0:
            assert same(kind.query(thing, "one"), service.vector("one", dimensions=8))
        most, most_threads = max(most, descriptors()), max(most_threads, len(workers()))
    del thing
    gc.collect()
    until(lambda: workers() == [])
    service.close()
    assert descriptors() == before
    assert (most < before + 60, most_threads < 20) == (True, True)


@pytest.mark.parametrize("name", SYNC)
def test_one_that_failed_is_dropped(emulator, until, workers, name):
    """An object whose last call failed is garbage-collected like any other: no thread references the error."""
    service, kind = emulator(rpm=0, faults=[faults.error(402)]), ENTRY_POINTS[name]
    thing = kind.cls(api_key=service.api_key, base_url=service.base_url)
    with pytest.raises(ElectronHubError):
        kind.query(thing, "one")
    del thing
    gc.collect()
    until(lambda: workers() == [])


def test_vectors_are_freed_with_their_last_user(client, emulator, until):
    """Nothing else references the result of a call: its memory is freed without the garbage collector."""
    ours = client(emulator(rpm=0))
    ours.embed(["one"])
    gc.collect()
    gc.disable()
    try:
        kept = weakref.ref(ours.embed(["one", "two"]))
        until(lambda: kept() is None)
    finally:
        gc.enable()


def test_accounts_made_and_dropped(emulator, until, workers):
    """The same for clients with different keys, which share nothing; their rate limit files are closed as well."""
    before = descriptors()
    services = [emulator(rpm=0, api_key=f"ek-{number}") for number in range(20)]
    for service in services * 3:
        client = EmbeddingsClient(api_key=service.api_key, base_url=service.base_url)
        client.embed_query("one")
    del client
    gc.collect()
    until(lambda: workers() == [])
    for service in services:
        service.close()
    assert descriptors() == before


# Close.


def test_close_while_calls_wait(entry_point, emulator, until, waiting):
    """If several threads close an object while other calls wait for the limit, those calls fail and nothing hangs."""
    service = emulator(rpm=1)
    thing = entry_point.make(service)
    entry_point.query(thing, "before")
    client = thing if isinstance(thing, EmbeddingsClient) else thing._client()
    with ThreadPoolExecutor(16) as pool:
        calls = [pool.submit(entry_point.query, thing, f"query {number}") for number in range(8)]
        until(lambda: waiting(client) == 8)
        for closed in [pool.submit(client.close) for _ in range(8)]:
            closed.result()
        errors = [call.exception() for call in calls]
    assert {type(error) for error in errors} == {ElectronHubError}
    assert {error.message for error in errors} == {"The client was closed."}
    assert len(service.calls) == 1


CLOSE = {"close": lambda thing: thing.close(), "aclose": lambda thing: asyncio.run(thing.aclose())}


@pytest.mark.parametrize("close", CLOSE.values(), ids=CLOSE)
def test_use_after_close(entry_point, emulator, close):
    """A closed client raises; an adapter, which its framework may keep, reopens. Closing twice is allowed."""
    service = emulator(rpm=0)
    thing = entry_point.make(service)
    entry_point.query(thing, "before")
    close(thing)
    close(thing)
    if isinstance(thing, EmbeddingsClient):
        with pytest.raises(ElectronHubError, match="closed"):
            entry_point.embed(thing, ["after"])
        assert len(service.calls) == 1
    else:
        assert same(entry_point.embed(thing, ["after"]), expected_vectors(service, ["after"]))
