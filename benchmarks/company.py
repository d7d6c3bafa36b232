"""The limit in company, in real minutes: another client on the same key, and four processes that share a store.

1. Another client spends half of the limit of the same key, evenly; it has done so for a minute when a job of ours
   begins that takes about ten minutes. When it is refused it waits for the cooldown. Counted: refused calls of both.
2. Four processes share an SQLite file on a plan of 20 a minute, for four windows; one alone does the same. Compared:
   calls a window that all four reach together with those that one reaches.

    python benchmarks/company.py
"""

from __future__ import annotations

import multiprocessing
import random
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from electronhub_embeddings import EmbeddingsClient
from electronhub_embeddings.emulator import Emulator

WINDOW = 60.0
MINUTES = 10
LIMIT = 20
LATENCY, JITTER = 0.3, 0.5


def neighbour(service: Emulator, stop: threading.Event) -> None:
    """Spend half of the limit, evenly; wait 180 s after a refusal."""
    dice = random.Random(1)
    headers = {"authorization": f"Bearer {service.api_key}", "user-agent": "neighbour"}
    body = {"model": "text-embedding-3-small", "input": "theirs", "dimensions": 8}
    with httpx.Client(headers=headers) as client:
        while not stop.wait(2 * WINDOW / LIMIT * dice.uniform(0.8, 1.2)):
            if client.post(f"{service.base_url}/embeddings", json=body, timeout=30).status_code == 429:
                stop.wait(180)


def beside_a_neighbour() -> str:
    """Run a job of ten minutes beside another client."""
    with Emulator(rpm=LIMIT, latency=LATENCY, jitter=JITTER, keep_bodies=False) as service:
        stop = threading.Event()
        other = threading.Thread(target=neighbour, args=(service, stop))
        other.start()
        time.sleep(WINDOW)
        with EmbeddingsClient(api_key=service.api_key, base_url=service.base_url, dimensions=8, batch_size=4) as client:
            texts = [f"text {i}" for i in range(4 * (LIMIT // 2 - 2) * MINUTES)]
            began = time.monotonic()
            rows = client.embed(texts)
            seconds = time.monotonic() - began
        stop.set()
        other.join()
        ours = [call for call in service.calls if call.headers.get("user-agent") != "neighbour"]
        theirs = [call for call in service.calls if call.headers.get("user-agent") == "neighbour"]
        refused = [sum(call.limited for call in calls) for calls in (ours, theirs)]
    return (
        f"beside a neighbour: {len(rows)} of {len(texts)} texts in {seconds:.0f} s; ours {len(ours)} calls, "
        f"{refused[0]} refused; theirs {len(theirs)} calls, {refused[1]} refused"
    )


def worker(base_url: str, api_key: str, store: str, share: int) -> None:
    """Send requests of one text through the shared store."""
    with EmbeddingsClient(
        api_key=api_key, base_url=base_url, dimensions=8, batch_size=1, rate_limit_store=store
    ) as client:
        client.embed([f"text {i} of {share}" for i in range(share)])


def sharing(processes: int) -> str:
    """Let processes share a store for four windows."""
    requests = 4 * LIMIT
    spawn = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as folder,
        Emulator(rpm=LIMIT, latency=LATENCY, jitter=JITTER, keep_bodies=False) as service,
    ):
        store = str(Path(folder) / "limit.sqlite")
        workers = [
            spawn.Process(target=worker, args=(service.base_url, service.api_key, store, requests // processes))
            for _ in range(processes)
        ]
        for process in workers:
            process.start()
        for process in workers:
            process.join()
        calls = service.calls
        seconds = calls[-1].at - calls[0].at
        refused = sum(call.limited for call in calls)
    return f"{processes} process(es) sharing: {len(calls)} calls in {seconds:.1f} s, {refused} refused"


def main() -> None:
    """Run all at the same time: they wait, mostly."""
    with ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(beside_a_neighbour), pool.submit(sharing, 4), pool.submit(sharing, 1)]
        for run in reversed(runs):
            print(run.result(), flush=True)


if __name__ == "__main__":
    main()
