"""How long do a million texts take on each plan? In simulated time, against the shortest possible time.

What decides is the real scheduler and the real limiter (tests/simulation); the network, the service and the clock are
simulated: 0.4 to 0.8 s for an answer, and some jitter. The same on every machine.

    make bench-ingestion     writes benchmarks/results/plans.md, before it measures how fast stores are filled
"""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulation.callers import Config
from simulation.network import NetworkConditions
from simulation.scenario import Scenario
from simulation.service import BYTES_PER_TOKEN, PERIOD, Rules
from simulation.world import World

RESULTS = Path(__file__).parent / "results"
TEXTS = 1_000_000
PLANS = (5, 20, 100)
SIZES = {120: "short paragraphs, 120 bytes", 1000: "chunks of 1,000 bytes"}
NETWORK = NetworkConditions(uplink=(0.02, 0.1), answer=(0.4, 0.8), body=(0.0, 0.1), threads=0.02)


@dataclass(frozen=True)
class Outcome:
    """A job that is over."""

    limit: int
    size: int
    """Bytes of each text."""
    requests: int
    seconds: float
    refused: int

    @property
    def fewest(self) -> int:
        """Return how many requests carry the texts, if each is as full as the service takes it."""
        rules = Rules()
        return -(-TEXTS // min(rules.max_inputs, rules.max_tokens // (1 + self.size // BYTES_PER_TOKEN)))

    @property
    def shortest(self) -> float:
        """Return the seconds that they take if all of the limit is spent as soon as it is free."""
        return (self.fewest - 1) // self.limit * PERIOD + NETWORK.uplink[0] + NETWORK.answer[0]


def run(limit: int, size: int) -> Outcome:
    """Simulate a job."""
    jobs: list[Any] = []

    def arrange(world: World) -> None:
        process = world.add_process(world.add_store())
        client = world.add_client(process, Config("m", batch_size=2048, max_retries=6, max_concurrency=8, timeout=60.0))
        jobs.append(world.add_call(client, [size] * TEXTS))
        world.submit(jobs[0])

    world = World(Scenario(1, "a million", Rules(limit=limit), NETWORK, plan=[arrange]))
    world.play()
    (job,) = jobs
    assert job.error is None
    return Outcome(limit, size, len(world.sent), job.ended_at - job.submitted_at, world.service.refused)


def table(outcomes: list[Outcome]) -> str:
    """Write the outcomes as Markdown."""
    lines = [
        f"| {TEXTS:,} texts | requests a minute | requests | fewest | minutes | shortest | over |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for each in outcomes:
        cells = [
            SIZES[each.size],
            f"{each.limit}",
            f"{each.requests:,}",
            f"{each.fewest:,}",
            f"{each.seconds / 60:.1f}",
            f"{each.shortest / 60:.1f}",
            f"{each.seconds / each.shortest - 1:.1%}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    refused = sum(each.refused for each in outcomes)
    return "\n".join([*lines, "", f"Requests that were refused: {refused}.", ""])


def main() -> None:
    """Simulate all, and write the table."""
    pairs = [(limit, size) for size in SIZES for limit in PLANS]
    with ProcessPoolExecutor() as processes:
        outcomes = list(processes.map(run, *zip(*pairs, strict=True)))
    text = table(outcomes)
    (RESULTS / "plans.md").write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
