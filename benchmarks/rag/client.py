"""Runs one contender in a process of its own: the ingestion in one thread, and each person in a thread of theirs."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Any

from applications import CONTENDERS
from load import LEAD, asks, documents

if TYPE_CHECKING:
    from collections.abc import Callable

    from applications import Job


def client(job: Job, answer: Any) -> None:
    """Run a contender until all is done, or the deadline is reached, and send what was seen through the pipe."""
    logging.disable(logging.CRITICAL)
    for variable in list(os.environ):
        if variable.startswith("OPENAI_"):
            del os.environ[variable]
    os.environ.update(XDG_STATE_HOME=job.state, ELECTRONHUB_BASE_URL=job.base_url, ELECTRONHUB_API_KEY=job.api_key)
    application, rules = CONTENDERS[job.contender](job), job.rules
    texts, people = documents(job.limit, rules), asks(job.limit, rules)
    begun = time.monotonic()
    ingestion: dict[str, Any] = {"done": None, "vectors": 0, "error": ""}

    def keep(vectors: list[list[float]]) -> None:
        ingestion["vectors"] += len(vectors)

    def timed(record: dict[str, Any], what: Callable[[], Any]) -> None:
        try:
            what()
        except Exception as failure:
            record["error"] = type(failure).__name__
        record["done"] = round(time.monotonic() - begun, 3)

    def at(seconds: float) -> None:
        time.sleep(max(0.0, begun + seconds - time.monotonic()))

    def ingest() -> None:
        at(LEAD * rules.window)
        timed(ingestion, lambda: application.ingest(texts, keep))

    threads = [threading.Thread(target=ingest, daemon=True)]
    threads[0].start()
    seen: list[dict[str, Any]] = []
    for ask in people:
        at(ask.at)
        record: dict[str, Any] = {
            "asked": round(time.monotonic() - begun, 3),
            "kind": ask.kind,
            "done": None,
            "error": "",
        }
        what = application.chat if ask.kind == "chat" else application.search
        # A search does not wait for the one before it: they are different people.
        threads.append(threading.Thread(target=timed, args=(record, lambda t=ask.text, w=what: w(t)), daemon=True))
        threads[-1].start()
        seen.append(record)
    end = begun + LEAD * rules.window + rules.deadline
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    answer.send({"begun": begun, "end": time.monotonic() - begun, "ingestion": ingestion, "people": seen})
