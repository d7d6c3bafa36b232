"""`aiter_embed` with a real event loop; `test_streaming.py` has what it shares with `iter_embed`."""

import asyncio
from contextlib import aclosing

import pytest

from electronhub_embeddings import InputError, track_usage
from electronhub_embeddings._workers.pending_call import SubmittedCall
from electronhub_embeddings.emulator import faults
from support.entry_points import expected_vectors, same

TEXTS = [f"text {number}" for number in range(50)]


async def pages():
    """Yield texts as they come."""
    for text in TEXTS:
        await asyncio.sleep(0)
        yield text


@pytest.mark.parametrize("source", [lambda: iter(TEXTS), pages], ids=["sync source", "async source"])
async def test_vectors_come_in_order(client, emulator, source):
    """Each text gets its vector, in batches, and what they cost is counted in the block around the loop."""
    service = emulator(rpm=0, jitter=0.01)
    with track_usage() as usage:
        rows = [row async for row in client(service, batch_size=4, dimensions=8).aiter_embed(source())]
    assert same(rows, expected_vectors(service, TEXTS, 8))
    assert max(call.texts for call in service.calls) == 4
    assert (usage.texts, usage.requests) == (len(TEXTS), len(service.calls))


class OneByOne:
    """An asynchronous iterable whose iterator has only what `async for` needs."""

    def __init__(self):
        self._left = list(TEXTS)

    def __aiter__(self):
        class Iterator:
            async def __anext__(_):  # noqa: N805
                if not self._left:
                    raise StopAsyncIteration
                return self._left.pop(0)

        return Iterator()


async def test_any_asynchronous_iterable_will_do(client, emulator):
    """Its iterator need not be an iterable."""
    service = emulator(rpm=0)
    rows = [row async for row in client(service, dimensions=8).aiter_embed(OneByOne())]
    assert same(rows, expected_vectors(service, TEXTS, 8))


async def test_the_event_loop_goes_on(client, emulator):
    """Other tasks run while vectors are waited for, and their queries overtake."""
    service = emulator(rpm=0, faults=[faults.delay(0.3)])
    model, ticks = client(service, dimensions=8), 0

    async def tick():
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    assert len([row async for row in model.aiter_embed(["one", "two"])]) == 2
    ticking.cancel()
    assert ticks > 3


async def test_leaving_the_loop_withdraws_what_was_not_sent(client, emulator, monkeypatch):
    """`aclosing` withdraws the batches ahead at once, and the client works on."""
    service = emulator(rpm=0, faults=[None, faults.delay(0.3)])
    model, abandoned = client(service, batch_size=1, max_concurrency=1, dimensions=8), []
    real = SubmittedCall.abandon
    monkeypatch.setattr(SubmittedCall, "abandon", lambda call: (abandoned.append(call), real(call)))
    async with aclosing(model.aiter_embed(TEXTS)) as vectors:
        async for _ in vectors:
            break
    assert len(abandoned) == 1
    await model.aembed_query("a question")
    assert sum(call.texts for call in service.calls) <= 3


async def test_a_task_that_is_cancelled_withdraws_its_texts(client, emulator, until):
    """Cancelling the task that reads the vectors ends the stream."""
    service = emulator(rpm=1)
    model = client(service, batch_size=1, dimensions=8)
    got = []

    async def consume():
        async for row in model.aiter_embed(pages()):
            got.append(row)  # noqa: PERF401 - one by one, as they come

    task = asyncio.create_task(consume())
    await asyncio.to_thread(until, lambda: got)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    connection = model._lifecycle.connection()  # nothing public shows what is waiting
    await asyncio.to_thread(until, lambda: not connection._workers._loop.scheduler.is_waiting)
    assert len(got) == len(service.calls) == 1


async def test_one_string_is_no_iterable(client, emulator):
    """A string in place of texts is an error, not an iterable of characters."""
    service = emulator(rpm=0)
    with pytest.raises(InputError):
        await anext(client(service).aiter_embed("a text"))
    assert service.calls == []


async def test_a_bar(client, emulator, capsys):
    """`show_progress` draws a bar."""
    assert len([row async for row in client(emulator(rpm=0)).aiter_embed(["a", "b"], show_progress=True)]) == 2
    assert "2 texts, 1 request" in capsys.readouterr().err
