"""How close to the shortest possible time the limiter comes, in real minutes, over a slow and jittery network.

Every row is a job of three windows and one request (3N + 1) against an emulator of its own, with 0.3 s of service time
and up to 1.5 s of jitter on the way up; the shortest possible time is three windows and one service time. All rows run
at the same time: they wait, mostly.

    python benchmarks/pacing.py
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

from electronhub_embeddings.emulator import Emulator
from langchain_electronhub import ElectronHubEmbeddings
from llama_index_electronhub import ElectronHubEmbedding

WINDOW = 60.0
LATENCY = 0.3
JITTER = 1.5
WINDOWS = 3
TEXTS = 4

JOBS = {
    "LangChain sync": (ElectronHubEmbeddings, lambda model, texts: model.embed_documents(texts)),
    "LangChain async": (ElectronHubEmbeddings, lambda model, texts: asyncio.run(model.aembed_documents(texts))),
    "LlamaIndex sync": (ElectronHubEmbedding, lambda model, texts: model.get_text_embedding_batch(texts)),
    "LlamaIndex async": (
        ElectronHubEmbedding,
        lambda model, texts: asyncio.run(model.aget_text_embedding_batch(texts)),
    ),
}


def run(name: str, limit: int) -> str:
    """Run one job and report it as a row."""
    requests = WINDOWS * limit + 1
    texts = [f"text {i} of {name} at {limit}" for i in range(TEXTS * requests)]
    kind, embed = JOBS[name]
    with Emulator(rpm=limit, window=WINDOW, latency=LATENCY, jitter=JITTER, seed=limit, keep_bodies=False) as service:
        model = kind(api_key=service.api_key, base_url=service.base_url, batch_size=TEXTS)
        began = time.perf_counter()
        rows = embed(model, texts)
        seconds = time.perf_counter() - began
        model.close()
        refused = sum(call.limited for call in service.calls)
        calls = len(service.calls)
    shortest = WINDOWS * WINDOW + LATENCY
    assert len(rows) == len(texts)
    return (
        f"{limit:>5} {name:<17} {calls:>5} {refused:>4} {seconds:>8.1f} {shortest:>8.1f} {seconds / shortest - 1:>6.1%}"
    )


def main() -> None:
    """Run all rows at once."""
    print("limit job               calls  429s  seconds shortest   over")
    pairs = [(name, limit) for limit in (5, 20, 60, 100) for name in JOBS]
    with ThreadPoolExecutor(len(pairs)) as pool:
        for row in pool.map(lambda pair: run(*pair), pairs):
            print(row, flush=True)


if __name__ == "__main__":
    main()
