"""How accurate is a forecast? 200 jobs of real text: what `estimate` says after the first answer, and what comes of it.

A job is estimated when one full request of its texts has been answered, and is then begun at once. Half of the jobs
have a stranger on their key, whom the client cannot know but by the headers. 190 jobs run in simulated time, with the
real scheduler and the real limiter (tests/simulation); ten run in real minutes against the emulator, all at once.

    make bench-forecast     writes forecast.md, forecast-tokens.md and forecast.json to benchmarks/results (15 minutes)
"""

from __future__ import annotations

import json
import logging
import random
import statistics
import sysconfig
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from llama_index.core.utils import get_tokenizer

from electronhub_embeddings import EmbeddingsClient
from electronhub_embeddings._codec.text_weight import weigh
from electronhub_embeddings._scheduling.inquiry import Inquiry
from electronhub_embeddings.emulator import Emulator
from simulation.callers import Config, TextInputs
from simulation.network import NetworkConditions
from simulation.scenario import Scenario
from simulation.service import Rules
from simulation.world import World

RESULTS = Path(__file__).parent / "results"
PLANS = (5, 10, 15, 20, 30, 60, 100)
SIMULATED = 190
REAL = {"nobody": 5, "a timer": 3, "people": 2}
"""Jobs in real minutes, by who else uses the key."""
WINDOW = 60.0
BEFORE = 130.0
"""Seconds for which a stranger has been there when a job begins."""
BATCHES = (16, 64, 256, 2048)
ALLOWED = {"requests": 0.02, "tokens": 0.03, "seconds": 0.05}
"""How far off a forecast may be, as a part of what comes."""
NEGLIGIBLE = {"requests": 0.5, "tokens": 0.0, "seconds": 1.0}
"""What is no miss in any case: a second of a job that takes two."""
STRANGERS = ("nobody", "nobody", "a timer", "people")
"""Who else uses the key: a program that asks at even intervals, give or take a fifth, or people, who ask at any time.
Both wait for the end of a cooldown, if they are told of one."""


@dataclass(frozen=True)
class Job:
    """One job, drawn from its number."""

    number: int
    limit: int
    batch: int
    windows: float
    """Length of the job, in windows of the limit."""
    stranger: str
    share: float
    """Part of the limit that the stranger spends."""
    latency: float

    def texts(self) -> list[str]:
        """Return real texts: as many as full requests carry, but for the last one."""
        requests = max(2, round(self.windows * self.limit * (1 - self.share)))
        texts = list(corpus())
        random.Random(self.number).shuffle(texts)
        wanted = (requests - 1) * self.batch + max(1, self.batch // 3)
        return [f"{texts[i % len(texts)]} {i:06}" for i in range(wanted)]  # numbered: equal texts are sent once

    def arrivals(self, until: float) -> list[float]:
        """Return when the stranger's requests come, in seconds."""
        if self.stranger == "nobody":
            return []
        dice, every, at, times = random.Random(f"stranger {self.number}"), WINDOW / (self.share * self.limit), 0.0, []
        while at < until:
            at += dice.uniform(0.8, 1.2) * every if self.stranger == "a timer" else dice.expovariate(1 / every)
            times.append(at)
        return times


def draw(number: int, windows: tuple[float, float] = (0.3, 6.0), batches: tuple[int, ...] = BATCHES) -> Job:
    """Draw a job of a length between two numbers of windows, whose requests hold as many texts as one of `batches`."""
    dice = random.Random(f"job {number}")
    limit, stranger = PLANS[number % len(PLANS)], STRANGERS[number // len(PLANS) % len(STRANGERS)]
    share = 0.0 if stranger == "nobody" else max(1 / limit, dice.choice((0.1, 0.2, 0.4)))
    batch = dice.choice(batches if limit < 30 else batches[:3])
    return Job(number, limit, batch, dice.uniform(*windows), stranger, share, dice.choice((0.2, 0.6, 2.0)))


@cache
def corpus() -> tuple[str, ...]:
    """Return the paragraphs of the modules of Python's standard library: English and code, each once."""
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    paragraphs = (part.strip() for file in files for part in file.read_text("utf-8", "replace").split("\n\n"))
    return tuple(dict.fromkeys(part for part in paragraphs if 60 <= len(part) <= 4000))


@cache
def count_tokens(text: str) -> int:
    """Count the tokens of cl100k_base, which is what text-embedding-3 counts; LlamaIndex brings its vocabulary."""
    return len(get_tokenizer()(text))


@dataclass(frozen=True)
class Outcome:
    """What was said, and what came."""

    job: Job
    where: str
    said: dict[str, float]
    came: dict[str, float]
    tokens_range: tuple[int, int]
    refused: int
    """Requests of ours that were refused, because together with the stranger's they were one too many."""

    def error(self, what: str) -> float:
        """Return how far what was said is off, as a part of what came."""
        return self.said[what] / self.came[what] - 1

    def is_within(self, what: str) -> bool:
        """Return whether that is allowed."""
        return abs(self.said[what] - self.came[what]) <= max(NEGLIGIBLE[what], ALLOWED[what] * self.came[what])


class ForecastWorld(World):
    """A world with one job, which is estimated after its first answer.

    Args:
        job: The job.
    """

    def __init__(self, job: Job) -> None:
        conditions = NetworkConditions(
            uplink=(0.02, 0.1), answer=(0.7 * job.latency, 1.3 * job.latency), body=(0.0, 0.1), threads=0.02
        )
        super().__init__(Scenario(job.number, "forecast", Rules(limit=job.limit), conditions, plan=[_arrange]))
        self.job = job
        self.said: dict[str, float] = {}
        self.tokens_range = (0, 0)
        self.tokens: dict[str, int] = {}
        self.service.count_tokens = lambda texts: sum(self.tokens[text] for text in texts)
        self.first: Any = None
        self.rest: Any = None

    def add_texts(self, client: Any, texts: list[str]) -> Any:
        """Add a call of real texts."""
        self.tokens.update(zip(texts, map(count_tokens, texts), strict=True))
        return self.add_call(client, [len(text.encode()) for text in texts], texts)

    def ended(self, record: Any) -> None:
        """Estimate the rest of the job when its first request is answered, and begin it."""
        super().ended(record)
        if record is self.first:
            inputs, weight = TextInputs(self.rest.texts, self.rest.sizes), weigh(self.rest.texts)
            inquiry = Inquiry(inputs, weight, record.client.attachment, lambda: None)
            inquiry.resolve = lambda: self._begin(inquiry)
            record.process.inquire(inquiry)

    def _begin(self, inquiry: Inquiry) -> None:
        forecast = inquiry.result()
        self.said = {"requests": forecast.requests, "tokens": forecast.tokens[0], "seconds": forecast.seconds or 0.0}
        self.tokens_range = forecast.tokens[1:]
        self.submit(self.rest)


def _arrange(world: ForecastWorld) -> None:
    job = world.job
    process = world.add_process(world.add_store())
    client = world.add_client(
        process, Config("m", batch_size=job.batch, max_retries=6, max_concurrency=8, timeout=60.0)
    )
    texts = job.texts()
    world.first, world.rest = world.add_texts(client, texts[: job.batch]), world.add_texts(client, texts[job.batch :])
    world.clock.after(BEFORE, lambda: world.submit(world.first))
    for at in job.arrivals(BEFORE + 6000):
        world.clock.after(at, lambda: _come(world))


def _come(world: ForecastWorld) -> None:
    """Let the stranger ask, unless it was told to wait."""
    if world.rest.ended_at is None and world.clock.now >= world.service.locked_until:
        world.service.count(world.clock.now)


def simulate(number: int) -> Outcome:
    """Run a job in simulated time."""
    job = draw(number)
    world = ForecastWorld(job)
    world.play()
    own = set(world.rest.texts)
    came = {
        "requests": sum(not own.isdisjoint(texts) for _, texts in world.sent),
        "tokens": sum(world.tokens[text] for text in own),
        "seconds": world.rest.ended_at - world.rest.submitted_at,
    }
    return Outcome(job, "simulated", world.said, came, world.tokens_range, world.service.refused)


def run(number: int) -> Outcome:
    """Run a job in real minutes."""
    job = draw(number, (1.1, 1.6), BATCHES[:2])  # the emulator shares the processor with the clients
    texts = job.texts()
    with Emulator(rpm=job.limit, latency=job.latency, jitter=0.1, seed=number, api_key=f"ek-{number}") as service:
        over = threading.Event()
        stranger = threading.Thread(target=_ask, args=(job, service, over))
        stranger.start()
        time.sleep(WINDOW if job.share else 0.0)
        with EmbeddingsClient(
            api_key=service.api_key,
            base_url=service.base_url,
            batch_size=job.batch,
            dimensions=8,
            rate_limit_store="memory",
        ) as client:
            client.embed(texts[: job.batch])
            estimate, before, began = client.estimate(texts[job.batch :]), client.usage, time.monotonic()
            client.embed(texts[job.batch :])
            seconds, after = time.monotonic() - began, client.usage
        over.set()
        stranger.join()
        refused = sum(call.limited and call.endpoint == "/v1/embeddings" for call in service.calls)
    said = {"requests": estimate.requests, "tokens": estimate.tokens, "seconds": estimate.seconds or 0.0}
    came: dict[str, float] = {
        "requests": after.attempts - before.attempts,
        "tokens": after.prompt_tokens - before.prompt_tokens,
    }
    return Outcome(job, "real", said, {**came, "seconds": seconds}, estimate.tokens_range, refused)


def _ask(job: Job, service: Emulator, over: threading.Event) -> None:
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "a question"}]}
    headers, began = {"authorization": f"Bearer {service.api_key}"}, time.monotonic()
    locked_until = began
    with httpx.Client(headers=headers, timeout=30, trust_env=False) as client:
        for at in job.arrivals(3600.0):
            if over.wait(max(0.0, began + at - time.monotonic())):
                return
            if time.monotonic() >= locked_until:
                answer = client.post(f"{service.base_url}/chat/completions", json=body)
                locked_until = time.monotonic() + (180.0 if answer.status_code == 429 else 0.0)


def summary(outcomes: list[Outcome]) -> str:
    """Return how many jobs were within bounds, and how far off they were, by company and by place."""
    bounds = ["requests within 2 %", "tokens within 3 %", "seconds within 5 %, or one second"]
    lines = [
        f"| jobs | | {' | '.join(bounds)} | error of seconds: median, p95 | refused |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    groups = [
        ("alone", [each for each in outcomes if each.job.stranger == "nobody"]),
        ("beside a timer", [each for each in outcomes if each.job.stranger == "a timer"]),
        ("beside people", [each for each in outcomes if each.job.stranger == "people"]),
        ("all", outcomes),
        ("of these without a refused request", [each for each in outcomes if not each.refused]),
        ("of these in real minutes", [each for each in outcomes if each.where == "real"]),
    ]
    for name, group in filter(all, groups):
        within = [f"{sum(each.is_within(what) for each in group)}" for what in ALLOWED]
        errors = sorted(abs(each.error("seconds")) for each in group)
        middle, high = statistics.median(errors), errors[int(0.95 * (len(errors) - 1))]
        refused = sum(each.refused > 0 for each in group)
        lines.append(f"| {name} | {len(group)} | {' | '.join(within)} | {middle:.1%}, {high:.1%} | {refused} |")
    return "\n".join(lines) + "\n"


def summary_of_tokens(outcomes: list[Outcome]) -> str:
    """Return how right the tokens were, by the texts of the first answer."""
    lines = [
        "| texts in the first answer | jobs | tokens within 3 % | within the range said | error: median, p95 |",
        "|---:|---:|---:|---:|---:|",
    ]
    for batch in BATCHES:
        group = [each for each in outcomes if each.job.batch == batch]
        errors = sorted(abs(each.error("tokens")) for each in group)
        ranges = sum(each.tokens_range[0] <= each.came["tokens"] <= each.tokens_range[1] for each in group)
        within = sum(each.is_within("tokens") for each in group)
        middle, high = statistics.median(errors), errors[int(0.95 * (len(errors) - 1))]
        texts = f"{batch:,}" if batch < BATCHES[-1] else "as many as fit"
        lines.append(f"| {texts} | {len(group)} | {within} | {ranges} | {middle:.1%}, {high:.1%} |")
    return "\n".join(lines) + "\n"


def _real_jobs() -> list[int]:
    """Choose jobs of different limits, as many for each stranger as there are to be."""
    wanted, numbers = dict(REAL), []
    for number in range(1000, 2000, 8):
        stranger = draw(number).stranger
        if wanted[stranger]:
            wanted[stranger] -= 1
            numbers.append(number)
    return numbers


def main() -> None:
    """Run all jobs; print the tables and every miss."""
    logging.disable(logging.WARNING)
    corpus()
    with ThreadPoolExecutor(sum(REAL.values())) as threads:  # first, because the simulation takes all processors
        outcomes = list(threads.map(run, _real_jobs()))
    with ProcessPoolExecutor() as processes:
        outcomes += processes.map(simulate, range(SIMULATED), chunksize=5)
    tables = {"forecast.md": summary(outcomes), "forecast-tokens.md": summary_of_tokens(outcomes)}
    for name, lines in tables.items():
        (RESULTS / name).write_text(lines, encoding="utf-8")
    (RESULTS / "forecast.json").write_text(json.dumps([asdict(each) for each in outcomes], indent=1), encoding="utf-8")
    for each in outcomes:
        if missed := [what for what in ALLOWED if not each.is_within(what)]:
            words = ", ".join(f"{what} {each.said[what]:.0f}, came {each.came[what]:.0f}" for what in missed)
            print(f"{each.where} {each.job.number}: {each.job.limit} a minute beside {each.job.stranger}: {words}")
    print(*tables.values(), sep="\n", end="")


if __name__ == "__main__":
    main()
