"""The frameworks' rate limiters: they see no answer, and hold each slot as long as a call can last."""

import asyncio
import pickle
import threading
import time
import uuid
from importlib import import_module
from importlib.util import find_spec

import pytest

from electronhub_embeddings import EmbeddingsClient
from electronhub_embeddings._pacing.call_limiter import CallLimiter
from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow
from electronhub_embeddings.rate_limit_stores.memory import MemoryStore
from support.window_changes import look

KEY = "ek-canary-limiter"


@pytest.fixture
def limiter():
    """Return a function that creates a limiter of an account, which each test has for itself."""
    key = f"{KEY}-{uuid.uuid4().hex}"

    def make(**options):
        return CallLimiter(**{"api_key": key, "base_url": "http://127.0.0.1:9/v1", **options})

    return make


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def acquire(request):
    """Return a function that acquires a slot, sync or async."""
    if request.param:
        return lambda limiter, **options: asyncio.run(limiter.aacquire(**options))
    return lambda limiter, **options: limiter.acquire(**options)


def test_a_slot_is_held_as_long_as_the_call_can_last(limiter, acquire):
    """The slot is free again one period after the latest moment at which the call can be counted."""
    store = MemoryStore()
    start = time.monotonic()
    assert acquire(limiter(rate_limit_store=store, requests_per_minute=5, timeout=30)) is True
    window, _ = store.update(look)
    (end,) = window.slots.held.values()
    assert end == pytest.approx(start + 30 + 60.1, abs=1)


def test_no_more_than_allowed(limiter, acquire):
    """Without blocking, a slot is refused when there is none."""
    mine = limiter(rate_limit_store=MemoryStore(), requests_per_minute=2)
    assert [acquire(mine, blocking=False) for _ in range(3)] == [True, True, False]


def test_a_blocking_call_waits(limiter, acquire):
    """A blocking call waits for the next slot."""
    store = MemoryStore(SlidingWindow(period=0.2, margin=0.01))
    mine = limiter(rate_limit_store=store, requests_per_minute=1, timeout=0.1)
    start = time.monotonic()
    assert [acquire(mine), acquire(mine)] == [True, True]
    assert time.monotonic() - start >= 0.3


def test_one_call_at_a_time_while_no_limit_is_known(limiter, acquire):
    """Where nobody has named a limit, the next call waits until the first one must have ended."""
    mine = limiter(rate_limit_store=MemoryStore(), timeout=30)
    assert [acquire(mine, blocking=False) for _ in range(2)] == [True, False]


def test_one_window_with_the_client(limiter, acquire, emulator, closing):
    """The limit that an embeddings client has learned applies, and calls count in the client's window."""
    service = emulator(rpm=3)
    client = closing(EmbeddingsClient(api_key=service.api_key, base_url=service.base_url, max_wait=0))
    client.embed_query("one")
    mine = limiter(api_key=service.api_key, base_url=service.base_url)
    assert [acquire(mine, blocking=False) for _ in range(3)] == [True, True, False]


def test_the_loop_is_not_blocked(limiter, tmp_path):
    """Other tasks run while a call waits."""
    mine = limiter(rate_limit_store=str(tmp_path / "limits.db"), requests_per_minute=1)

    async def act():
        await mine.aacquire()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(mine.aacquire(), 0.2)

    asyncio.run(act())


def test_copies_and_secrets(limiter):
    """A copy works in another process; the key is in no repr, and an error shows neither key nor arguments."""
    mine = limiter(requests_per_minute=1)
    assert pickle.loads(pickle.dumps(mine)).acquire(blocking=False)  # noqa: S301 - our own
    assert KEY not in f"{mine!r} {vars(mine)} {vars(mine._pacer)}"
    with pytest.raises(ValueError, match="timeout") as caught:
        limiter(timeout=0)
    assert KEY not in str(caught.value)


ADAPTERS = [
    pytest.param(name, marks=pytest.mark.skipif(not find_spec(needed), reason=f"{needed} is not installed"))
    for name, needed in (("langchain_electronhub", "langchain_core"), ("llama_index_electronhub", "llama_index"))
]


@pytest.mark.parametrize("name", ADAPTERS)
def test_the_adapters(name, emulator, monkeypatch):
    """Each framework's limiter is one of its own kind, takes the client's arguments, and takes slots."""
    service = emulator(rpm=60)
    monkeypatch.setenv("ELECTRONHUB_API_KEY", service.api_key)
    kind = import_module(name).ElectronHubRateLimiter
    if name == "llama_index_electronhub" and not find_spec("llama_index.core.rate_limiter"):
        with pytest.raises(ImportError, match=r"llama-index-core>=0\.14\.16"):
            kind()
        return
    store = MemoryStore()
    mine = kind(base_url=service.base_url, rate_limit_store=store, requests_per_minute=5, timeout=10)
    base = "langchain_core.rate_limiters" if name == "langchain_electronhub" else "llama_index.core.rate_limiter"
    assert isinstance(mine, import_module(base).BaseRateLimiter)
    mine.acquire()
    asyncio.run(mine.aacquire() if name == "langchain_electronhub" else mine.async_acquire(100))
    assert len(store.update(look)[0].slots.held) == 2
    assert service.api_key not in f"{mine!r} {vars(mine)}"
    with pytest.raises(ValueError, match="requests_per_minute"):
        kind(requests_per_minute=0)


@pytest.mark.skipif(not find_spec("langchain_core"), reason="langchain_core is not installed")
def test_a_chat_model_asks_before_each_call():
    """LangChain calls the limiter once for each invocation."""
    from langchain_core.language_models.fake_chat_models import FakeListChatModel  # noqa: PLC0415

    from langchain_electronhub import ElectronHubRateLimiter  # noqa: PLC0415

    store = MemoryStore()
    limiter = ElectronHubRateLimiter(api_key=KEY, rate_limit_store=store, requests_per_minute=9)
    model = FakeListChatModel(responses=["a", "b", "c"], rate_limiter=limiter)
    model.invoke("one")
    list(model.stream("two"))
    asyncio.run(model.ainvoke("three"))
    assert len(store.update(look)[0].slots.held) == 3
    assert KEY not in f"{model!r} {model.model_dump()}"


def test_threads(limiter):
    """Concurrent calls take one slot each."""
    mine, got = limiter(rate_limit_store=MemoryStore(), requests_per_minute=4), []
    threads = [threading.Thread(target=lambda: got.append(mine.acquire(blocking=False))) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [False] * 6 + [True] * 4
