"""The first situations a user meets, in real minutes, with nothing set: is the limit tripped, how long do people wait?

1. A search every few seconds beside an ingestion of five windows, in one process, at 5, 20 and 60 a minute.
2. The same at 20 a minute with the search in another process.
3. A script that is started four times in a row, and each time spends half of the limit.
4. Chat calls in one process, an ingestion and searches in another, at 20 a minute.
5. A client with requests_per_minute=10 of 30, beside another program that sends 12 a minute.

All run at the same time, each against a service of its own, with a state folder of its own (about six minutes):

    python benchmarks/situations.py
"""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx

from electronhub_embeddings import EmbeddingsClient, RateLimitedTransport
from electronhub_embeddings.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW = 60.0
WINDOWS = 5
BATCH = 16
BETWEEN = 4.0
"""Seconds between two searches, on average."""

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "a question"}]}


# What the processes of the situations do; each prints the seconds of what people waited for.


def ingest(windows: str) -> None:
    """Embed as many full requests as the windows hold."""
    with EmbeddingsClient(batch_size=BATCH, dimensions=8) as client:
        client.embed_query("what is the limit")
        texts = [f"text {i}" for i in range(int(float(windows) * BATCH))]
        began = time.monotonic()
        client.embed(texts)
        sys.stdout.write(f"ingestion {time.monotonic() - began}\n")
        sys.stdout.flush()


def people(seconds: str, kind: str) -> None:
    """Search, or chat, now and then; print each wait, and when it began."""
    dice, began, pool = random.Random(kind), time.monotonic(), ThreadPoolExecutor(64)
    chat = httpx.Client(transport=RateLimitedTransport(), timeout=60)
    headers = {"authorization": f"Bearer {os.environ['ELECTRONHUB_API_KEY']}"}
    url = f"{os.environ['ELECTRONHUB_BASE_URL']}/chat/completions"
    with EmbeddingsClient(batch_size=BATCH, dimensions=8) as client, chat:

        def ask(number: int) -> None:
            asked = time.monotonic()
            if kind == "search":
                client.embed_query(f"question {number}")
            else:
                chat.post(url, json=CHAT, headers=headers).raise_for_status()
            sys.stdout.write(
                f"{kind} {time.monotonic() - asked} {asked - began}\n"
            )  # one write: threads share the pipe
            sys.stdout.flush()

        asked = []
        while time.monotonic() - began < float(seconds):
            asked.append(pool.submit(ask, len(asked)))
            time.sleep(dice.expovariate(1 / (BETWEEN if kind == "search" else 3 * BETWEEN)))
        for one in asked:
            one.result()


def both(windows: str, seconds: str) -> None:
    """Ingest and search in one process."""
    thread = threading.Thread(target=ingest, args=(windows,))
    thread.start()
    people(seconds, "search")
    thread.join()


def spend(count: str) -> None:
    """Make a few calls one after the other, as a short script does."""
    with EmbeddingsClient(dimensions=8) as client:
        for number in range(int(count)):
            client.embed([f"text {number}"])


def capped(seconds: str) -> None:
    """Embed at most 10 requests a minute."""
    began = time.monotonic()
    with EmbeddingsClient(dimensions=8, batch_size=1, requests_per_minute=10) as client:
        while time.monotonic() - began < float(seconds):
            client.embed(["one"])


# The situations.


class Situation:
    """A service with a limit, and processes that use it with nothing set."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.service = Emulator(rpm=limit, latency=0.3, jitter=0.5, keep_bodies=False).start()
        self._folder = tempfile.TemporaryDirectory()

    def start(self, what: Callable[..., None], *arguments: object) -> subprocess.Popen[str]:
        """Start a process."""
        environment = {
            **os.environ,
            "XDG_STATE_HOME": self._folder.name,
            "ELECTRONHUB_API_KEY": self.service.api_key,
            "ELECTRONHUB_BASE_URL": self.service.base_url,
        }
        command = [sys.executable, __file__, what.__name__, *map(str, arguments)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

    def report(self, title: str, *processes: subprocess.Popen[str], more: str = "") -> str:
        """Wait for the processes, and say what came of it in one line."""
        lines = [line.split() for process in processes for line in process.communicate()[0].splitlines()]
        assert not any(process.returncode for process in processes), title
        waits = sorted(float(line[1]) for line in lines if line[0] != "ingestion" and late(line))
        refused = sum(call.limited for call in self.service.calls)
        said = [f"{title}: {refused} of {len(self.service.calls)} requests refused"]
        if waits:
            p95 = waits[int(0.95 * (len(waits) - 1))]
            said.append(f"waits p50 {statistics.median(waits):.1f}, p95 {p95:.1f}, max {waits[-1]:.1f} s")
            said.append(f"spacing {WINDOW / self.limit:.0f} s")
        for line in lines:
            if line[0] == "ingestion":
                whole = [call.at for call in self.service.calls]
                rate = 60 * sum(at > whole[0] + WINDOW for at in whole) / (whole[-1] - whole[0] - WINDOW)
                said.append(f"ingestion {float(line[1]):.0f} s, {100 * rate / self.limit:.0f} % of the limit used")
        self.service.close()
        return "; ".join([*said, *([more] if more else [])])


def late(line: list[str]) -> bool:
    """Return whether people asked after the change-over: a burst that filled the window is not taken back."""
    return float(line[2]) > 2 * WINDOW + 10


def beside(limit: int) -> str:
    """Search beside an ingestion in one process."""
    it = Situation(limit)
    return it.report(f"search beside ingestion, {limit} a minute", it.start(both, WINDOWS * limit, WINDOWS * WINDOW))


def beside_elsewhere(limit: int) -> str:
    """Search in another process than the ingestion."""
    it = Situation(limit)
    processes = [it.start(ingest, WINDOWS * limit), it.start(people, WINDOWS * WINDOW, "search")]
    return it.report(f"search in another process, {limit} a minute", *processes)


def restarts(limit: int) -> str:
    """Start a script four times in a row."""
    it, processes = Situation(limit), []
    for _ in range(4):
        processes.append(it.start(spend, limit // 2 + 1))
        processes[-1].wait()
    return it.report(f"a script started four times, {limit} a minute", *processes)


def chat(limit: int) -> str:
    """Chat in one process, ingest and search in another."""
    it = Situation(limit)
    span = WINDOWS * WINDOW
    processes = [it.start(both, (WINDOWS - 1) * limit, span), it.start(people, span, "chat")]
    return it.report(f"chat, search and ingestion in two processes, {limit} a minute", *processes)


def cap(limit: int) -> str:
    """Send at most 10 a minute beside another program that sends 12."""
    it = Situation(limit)
    process, began, headers = it.start(capped, 4 * WINDOW), time.monotonic(), {"user-agent": "other"}
    headers["authorization"] = f"Bearer {it.service.api_key}"
    with httpx.Client(headers=headers, timeout=30) as client:
        while time.monotonic() - began < 4 * WINDOW:
            client.post(f"{it.service.base_url}/chat/completions", json=CHAT)
            time.sleep(WINDOW / 12)
    ours = [call.at for call in it.service.calls if call.headers.get("user-agent") != "other"]
    minutes = [sum(ours[0] + WINDOW * k <= at < ours[0] + WINDOW * (k + 1) for at in ours) for k in range(4)]
    return it.report(f"10 of {limit} a minute beside 12 of others", process, more=f"ours in each minute: {minutes}")


def main() -> None:
    """Run all situations side by side."""
    with ThreadPoolExecutor(16) as pool:
        runs = [pool.submit(beside, limit) for limit in (5, 20, 60)]
        runs += [pool.submit(beside_elsewhere, 20), pool.submit(restarts, 5), pool.submit(restarts, 20)]
        runs += [pool.submit(chat, 20), pool.submit(cap, 30)]
        for run in runs:
            print(run.result(), flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        globals()[sys.argv[1]](*sys.argv[2:])
    else:
        main()
