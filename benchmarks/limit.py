"""The same job under the same limit, by this package and by its peers: who finishes, when, and at what cost.

The job is one request more than the limit's window holds, when every request is full: so the shortest possible time is
one window. Every run has an emulator of its own with the documented rules (60 s window, 180 s cooldown, failed calls
counted), 0.3 s of service time and up to 0.5 s of jitter. Runs wait, mostly, so those of one limit run at the same
time, each in a process of its own. A run is stopped after 10 minutes.

    python benchmarks/limit.py          writes benchmarks/results/limit.md, limit.json and limit.png
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import platform
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from electronhub_embeddings.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Callable

RESULTS = Path(__file__).parent / "results"
LIMITS = (5, 20, 60)
WINDOW, COOLDOWN = 60.0, 180.0
LATENCY, JITTER = 0.3, 0.5
LARGEST_REQUEST = 2048
DIMENSIONS = 64
DEADLINE = 600.0


def ours_in_langchain(service: Emulator, limit: int) -> Callable[[list[str]], list[list[float]]]:
    """This package's LangChain adapter with its defaults: it learns the limit from the headers."""
    from langchain_electronhub import ElectronHubEmbeddings

    model = ElectronHubEmbeddings(api_key=service.api_key, base_url=service.base_url, dimensions=DIMENSIONS)
    return model.embed_documents


def ours_in_llama_index(service: Emulator, limit: int) -> Callable[[list[str]], list[list[float]]]:
    """This package's LlamaIndex adapter with its defaults."""
    from llama_index_electronhub import ElectronHubEmbedding

    model = ElectronHubEmbedding(api_key=service.api_key, base_url=service.base_url, dimensions=DIMENSIONS)
    return model.get_text_embedding_batch


def langchain_openai(service: Emulator, limit: int, **settings: Any) -> Callable[[list[str]], list[list[float]]]:
    """langchain-openai with its defaults, but for the token arrays that the service does not take."""
    from langchain_openai import OpenAIEmbeddings

    model = OpenAIEmbeddings(
        model="text-embedding-3-small",
        api_key=service.api_key,
        base_url=service.base_url,
        dimensions=DIMENSIONS,
        check_embedding_ctx_length=False,
        **settings,
    )
    return model.embed_documents


def langchain_openai_tuned(service: Emulator, limit: int) -> Callable[[list[str]], list[list[float]]]:
    """langchain-openai with full requests and many retries: what a user can set."""
    return langchain_openai(service, limit, chunk_size=LARGEST_REQUEST, max_retries=20)


def llama_index_openai(service: Emulator, limit: int, **settings: Any) -> Callable[[list[str]], list[list[float]]]:
    """llama-index-embeddings-openai with its defaults."""
    from llama_index.embeddings.openai import OpenAIEmbedding

    model = OpenAIEmbedding(
        model_name="text-embedding-3-small",
        api_key=service.api_key,
        api_base=service.base_url,
        dimensions=DIMENSIONS,
        **settings,
    )
    return model.get_text_embedding_batch


def llama_index_openai_limited(service: Emulator, limit: int) -> Callable[[list[str]], list[list[float]]]:
    """llama-index-embeddings-openai with full requests and LlamaIndex's own sliding window: what a user can set."""
    from llama_index.core.rate_limiter import SlidingWindowRateLimiter

    limiter = SlidingWindowRateLimiter(requests_per_minute=limit)
    return llama_index_openai(service, limit, embed_batch_size=LARGEST_REQUEST, rate_limiter=limiter)


CONTENDERS = {
    "electronhub, LangChain": ours_in_langchain,
    "electronhub, LlamaIndex": ours_in_llama_index,
    "langchain-openai": langchain_openai,
    "langchain-openai, full requests, 20 retries": langchain_openai_tuned,
    "llama-index-embeddings-openai": llama_index_openai,
    "the same, full requests, SlidingWindowRateLimiter": llama_index_openai_limited,
}


def texts_for(limit: int) -> list[str]:
    """The job: one full request more than the window holds."""
    return [f"Paragraph {i}: what the limit of requests allows." for i in range(LARGEST_REQUEST * limit + 1)]


def client(name: str, limit: int, service: tuple[str, str], answer: Any) -> None:
    """Run one contender in a process of its own, and say how it ended."""
    logging.disable(logging.CRITICAL)
    for variable in list(os.environ):
        if variable.startswith("OPENAI_"):
            del os.environ[variable]

    class Service:
        base_url, api_key = service

    embed = CONTENDERS[name](Service, limit)
    texts = texts_for(limit)
    began = time.perf_counter()
    try:
        vectors, error = len(embed(texts)), ""
    except Exception as failure:
        vectors, error = 0, type(failure).__name__
    answer.send((time.perf_counter() - began, vectors, error))


def any_vectors(texts: list[str]) -> np.ndarray:
    """Return a vector for each text. With a meaning, the services of six runs would take minutes to make them."""
    return np.ones((len(texts), 1))


def run(name: str, limit: int) -> dict[str, Any]:
    """Run one contender under one limit."""
    processes = multiprocessing.get_context("spawn")
    with Emulator(
        rpm=limit,
        window=WINDOW,
        cooldown=COOLDOWN,
        latency=LATENCY,
        jitter=JITTER,
        seed=limit,
        keep_bodies=False,
        max_request_tokens=10**9,  # the job is about requests, not tokens
        embed=any_vectors,
    ) as service:
        mine, theirs = processes.Pipe()
        process = processes.Process(target=client, args=(name, limit, (service.base_url, service.api_key), theirs))
        process.start()
        if mine.poll(DEADLINE + 30):
            seconds, vectors, error = mine.recv()
        else:
            seconds, vectors, error = DEADLINE, 0, "stopped after 10 minutes"
        process.terminate()
        process.join()
        calls = service.calls
    wanted = len(texts_for(limit))
    answered = sum(call.texts for call in calls if call.status == 200)
    return {
        "contender": name,
        "limit": limit,
        "finished": vectors == wanted,
        "error": error,
        "seconds": seconds,
        "shortest": WINDOW + LATENCY,
        "calls": len(calls),
        "refused": sum(call.limited for call in calls),
        "texts": wanted,
        "lost": 0 if vectors == wanted else answered,
        "timeline": [(call.at - calls[0].at, call.status) for call in calls],
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Write the result as a Markdown table."""
    lines = [
        "| a minute | texts | client | | seconds | shortest possible | calls | 429s | paid vectors lost |",
        "|---:|---:|---|---|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        end = "finished" if row["finished"] else f"failed: {row['error']}"
        lines.append(
            f"| {row['limit']} | {row['texts']:,} | {row['contender']} | {end} | {row['seconds']:.1f} | "
            f"{row['shortest']:.1f} | {row['calls']} | {row['refused']} | {row['lost']:,} |"
        )
    return "\n".join(lines)


def picture(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw every call on a time line: answered, or refused, with the cooldowns that the refusals began."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    plt.style.use(Path(__file__).parent / "pictures.mplstyle")

    figure, axes = plt.subplots(len(LIMITS), 1, figsize=(11, 8.5), layout="constrained")
    for axis, limit in zip(axes, LIMITS, strict=True):
        chosen = [row for row in rows if row["limit"] == limit]
        for place, row in enumerate(reversed(chosen)):
            good = [at for at, status in row["timeline"] if status == 200]
            bad = [at for at, status in row["timeline"] if status == 429]
            if bad:  # each began its cooldown in that of the one before
                locked = bad[-1] + COOLDOWN - bad[0]
                axis.barh(place, locked, left=bad[0], height=0.5, color="#e5534b33", zorder=1)
            axis.plot(good, [place] * len(good), "|", color="#2da44e", markersize=11, zorder=3)
            axis.plot(bad, [place] * len(bad), "x", color="#e5534b", markersize=6, zorder=3)
            last = row["timeline"][-1][0] if row["timeline"] else 0.0
            axis.annotate(
                "finished" if row["finished"] else "failed",
                (max(last, 0.0), place),
                xytext=(8, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                color="#2da44e" if row["finished"] else "#e5534b",
            )
        axis.axvline(WINDOW, color="#888888", linewidth=0.8, linestyle="--", zorder=2)
        axis.set_yticks(range(len(chosen)), [row["contender"] for row in reversed(chosen)], fontsize=8)
        axis.set_ylim(-0.6, len(chosen) - 0.4)
        axis.set_xlim(-5, max(230.0, *(max((at for at, _ in row["timeline"]), default=0.0) + 40 for row in chosen)))
        axis.set_title(f"{limit} requests a minute, {chosen[0]['texts']:,} texts", fontsize=10, loc="left")
        axis.spines[["top", "right"]].set_visible(False)
    figure.supxlabel(
        "seconds from the first call      | answered      x refused (429)      "
        "shaded: the cooldown that a refusal starts      dashed: one window",
        fontsize=9,
    )
    figure.savefig(path, dpi=120)


def main() -> None:
    """Run everything, and write the table and the picture."""
    rows: list[dict[str, Any]] = []
    with ThreadPoolExecutor(len(CONTENDERS)) as pool:
        for limit in LIMITS:
            rows += pool.map(run, CONTENDERS, [limit] * len(CONTENDERS))
    RESULTS.mkdir(exist_ok=True)
    packages = ("langchain-openai", "llama-index-embeddings-openai", "openai", "langchain-core", "llama-index-core")
    machine = f"Python {platform.python_version()}, {os.cpu_count()} cores; " + ", ".join(
        f"{name} {version(name)}" for name in packages
    )
    text = f"{table(rows)}\n\n{machine}\n"
    (RESULTS / "limit.md").write_text(text, encoding="utf-8")
    (RESULTS / "limit.json").write_text(json.dumps(rows), encoding="utf-8")
    picture(rows, RESULTS / "limit.png")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
