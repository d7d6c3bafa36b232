"""A signal handler's exception, at any line of a caller's thread, reaches the caller and leaves nothing behind."""

import json
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest

import electronhub_embeddings
from electronhub_embeddings import ElectronHubError
from support.child_processes import slow_except
from support.entry_points import ENTRY_POINTS

linux = pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals are those of POSIX")

PACKAGE = str(Path(electronhub_embeddings.__file__).parent)
SYNC = [name for name in ENTRY_POINTS if name.endswith(" sync")]
TIMEOUT = 20


class Interruption(Exception):  # noqa: N818 - an exception that no `except` of ours may take for its own
    """An exception raised by a signal handler; an `Exception`, like Celery's soft time limit."""


class Interrupter:
    """Raises an exception at the n-th line of the package that this thread runs."""

    def __init__(self, number):
        self.left = number

    def __enter__(self):
        sys.settrace(self._enter)
        return self

    def __exit__(self, *_):
        sys.settrace(None)

    def _enter(self, frame, _event, _argument):
        return self._line if frame.f_code.co_filename.startswith(PACKAGE) else None

    def _line(self, _frame, event, _):
        if event == "line":
            self.left -= 1
            if self.left == 0:
                raise Interruption
        return self._line


OTHER_PROCESS = """
import sys, time
from electronhub_embeddings import EmbeddingsClient

key, url, cache, store = sys.argv[1:]
with EmbeddingsClient(api_key=key, base_url=url, cache=cache, rate_limit_store=store, max_wait=5) as client:
    client.embed_query("from another process")
    client.embed(["and", "documents"])
"""


@pytest.mark.parametrize("entry_point", slow_except({"client sync"}, SYNC), indirect=True)
@pytest.mark.parametrize("ask", ["query", "embed"])
def test_at_every_line(entry_point, emulator, tmp_path, ask):
    """After an interruption at any line of a call, the next call works, in this and other threads and processes."""
    service = emulator(rpm=0)
    cache, store = str(tmp_path / "cache.sqlite"), str(tmp_path / "limit.sqlite")
    thing = entry_point.make(service, cache=cache, rate_limit_store=store, dimensions=8)
    entry_point.query(thing, "before")

    def call(text):
        return entry_point.query(thing, text) if ask == "query" else entry_point.embed(thing, [text])

    number, interrupted = 0, 0
    with ThreadPoolExecutor(1) as pool:
        while True:
            number += 1
            interrupter = Interrupter(number)
            try:
                with interrupter:
                    call(f"text {number}")
            except Interruption:
                interrupted += 1
            if interrupter.left > 0:
                break
            if number % 10 == 0:
                call(f"next {number}")
                pool.submit(call, f"in a thread {number}").result(TIMEOUT)
        pool.submit(call, "the last").result(TIMEOUT)
    assert interrupted > 50
    thing.close()
    arguments = (service.api_key, service.base_url, cache, store)
    subprocess.run([sys.executable, "-c", OTHER_PROCESS, *arguments], check=True, timeout=TIMEOUT)


@linux
@pytest.mark.parametrize("entry_point", SYNC, indirect=True)
@pytest.mark.parametrize("ask", ["query", "embed"])
@pytest.mark.parametrize("kind", [Interruption, TimeoutError, KeyboardInterrupt, ConnectionError])
def test_the_callers_exception_arrives_as_it_is(entry_point, ask, kind):
    """The caller catches the exception that a signal handler raises while a call waits, whatever its type."""
    asked, release, main = threading.Event(), threading.Event(), threading.get_ident()

    def answer(request):
        texts = json.loads(request.content)["input"]
        if "held" in texts:
            asked.set()
            assert release.wait(TIMEOUT)
        return httpx.Response(200, json={"data": [{"index": i, "embedding": [1.0, 2.0]} for i in range(len(texts))]})

    def handler(*_):
        raise kind("mine")

    def interrupt():
        assert asked.wait(TIMEOUT)
        signal.pthread_kill(main, signal.SIGUSR1)

    usual = signal.signal(signal.SIGUSR1, handler)
    try:
        with httpx.Client(transport=httpx.MockTransport(answer)) as http, ThreadPoolExecutor(1) as pool:
            thing = entry_point.build(api_key="ek-test", base_url="http://127.0.0.1:9/v1", http_client=http)
            for number in range(3):
                entry_point.query(thing, f"before {number}")
            interruption = pool.submit(interrupt)
            with pytest.raises(kind, match="mine") as caught:
                entry_point.query(thing, "held") if ask == "query" else entry_point.embed(thing, ["held"])
            interruption.result(TIMEOUT)
            release.set()
            assert not isinstance(caught.value, ElectronHubError)
            assert len(entry_point.query(thing, "after"))
            thing.close()
    finally:
        release.set()
        signal.signal(signal.SIGUSR1, usual)


CLOSES = """
import random, signal, sys, threading, time
from electronhub_embeddings import ElectronHubError, EmbeddingsClient

key, url, seconds = sys.argv[1:]
client = EmbeddingsClient(api_key=key, base_url=url, dimensions=8)

def stop(*_):
    client.close()
    sys.exit(0)

signal.signal(signal.SIGTERM, stop)
print("ready", flush=True)
number = 0
while True:
    number += 1
    client.embed_query(f"text {number}")
"""


@linux
@pytest.mark.slow
def test_close_in_a_signal_handler(emulator, request):
    """A process that is terminated in the middle of a query, and closes its client in the handler, ends."""
    service = emulator(rpm=0)
    dice = np.random.default_rng(1)
    for _ in range(200 if request.config.getoption("--full") else 10):
        child = subprocess.Popen(
            [sys.executable, "-c", CLOSES, service.api_key, service.base_url, "1"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert child.stdout.readline() == "ready\n"
        time.sleep(dice.uniform(0, 0.5))  # at any moment: from the first import to the hundredth query
        child.send_signal(signal.SIGTERM)
        _, errors = child.communicate(timeout=TIMEOUT)
        assert (child.returncode, errors) == (0, "")


@linux
@pytest.mark.slow
def test_close_in_a_signal_handler_many_times(emulator, client):
    """The same in one process: closed and opened again two hundred times, at any moment of a query."""
    service = emulator(rpm=0)
    ours = client(service, dimensions=8)
    closed, dice = [0], np.random.default_rng(2)

    def handler(*_):
        ours.close()
        ours.reopen()
        closed[0] += 1
        signal.setitimer(signal.ITIMER_REAL, dice.uniform(0.001, 0.01))

    usual = signal.signal(signal.SIGALRM, handler)
    try:
        ours.embed_query("before")
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        number = others = 0
        while closed[0] < 200:
            number += 1
            try:
                assert len(ours.embed_query(f"text {number}")) == 8
            except ElectronHubError as error:
                others += "closed" not in str(error)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, usual)
    assert others == 0
    assert len(ours.embed_query("after")) == 8


@pytest.mark.parametrize("entry_point", [name for name in ENTRY_POINTS if name.endswith(" sync")], indirect=True)
def test_a_text_embedded_inside_on_request_is_refused(entry_point, emulator):
    """Embedding inside the hook raises, because the worker would wait for itself; the call gets its vectors."""
    service, refusals = emulator(rpm=0), []

    def hook(_info):
        try:
            entry_point.query(thing, "inside")
        except ElectronHubError as error:
            refusals.append(str(error))

    thing = entry_point.make(service, on_request=hook)
    assert len(entry_point.query(thing, "one"))
    assert len(entry_point.embed(thing, ["two"]))
    assert [("on_request" in words, "thread" in words) for words in refusals] == [(True, True)] * 2
    assert len(service.calls) == 2
