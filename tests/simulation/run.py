"""Run seeds on all cores, and show what happened before a rule was broken.

make simulate               10,000 seeds
make simulate SEEDS=500     as many
make simulate SEED=1234     one, with its last events
"""

import argparse
import logging
import multiprocessing
import os
import sys
import time
import traceback
from collections import Counter
from contextlib import contextmanager

from simulation.invariants import Violation
from simulation.scenario import draw
from simulation.world import World

SEEDS = 10_000
CHUNK = 20


class BugHandler(logging.Handler):
    """Turns a bug that the package logs into a failure of the run."""

    def emit(self, record):
        """Raise what was logged with its traceback."""
        if record.exc_info:
            raise record.exc_info[1]


@contextmanager
def watched_log():
    """Raise bugs that the package logs, and print nothing."""
    logger, handler = logging.getLogger("electronhub_embeddings"), BugHandler()
    before = logger.propagate, logger.level
    logger.propagate = False
    logger.setLevel(logging.ERROR)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = before[0]
        logger.setLevel(before[1])  # not the attribute: the logger remembers which levels are enabled


def simulate(seed):
    """Run one seed; return the world, and the violation that ended it or None."""
    world = World(draw(seed))
    try:
        world.play()
    except Exception as error:  # noqa: BLE001 - a bug of the package is as good a finding
        return world, error
    return world, None


def describe(world, error):
    """Describe a failed run: seed, rule, last events, and how to run it again."""
    scenario = world.scenario
    lines = [f"seed {scenario.seed} ({scenario.family}): {error!r}"]
    lines += [f"  {when:10.4f}  {process.name}  {_words(what)}" for when, process, what in world.trace]
    if not isinstance(error, Violation):
        lines += traceback.format_exception(error)[-8:]
    return "\n".join([*lines, f"again: make simulate SEED={scenario.seed}"])


def _words(what):
    return " ".join(map(_word, what))


def _word(value):
    if hasattr(value, "slices"):
        return f"{value.slot} {value.config.model}{' probe' if value.is_probe else ''}: " + ", ".join(
            f"no. {part.call.number}[{part.start}:{part.stop}]" for part in value.slices
        )
    return f"no. {value.number}" if hasattr(value, "attachment") and hasattr(value, "number") else str(value)


def _run_chunk(seeds):
    failures, requests, steps, seconds = [], 0, 0, 0.0
    for seed in seeds:
        with watched_log():
            world, error = simulate(seed)
        requests += len(world.sent)
        steps += world.steps
        seconds += world.clock.now - world.started_at
        if error is not None:
            failures.append((seed, describe(world, error), getattr(error, "rule", type(error).__name__)))
    return failures, requests, steps, seconds


def run_many(first, count, workers):
    """Run many seeds, with a line of progress now and then; return whether all held."""
    chunks = [range(start, min(start + CHUNK, first + count)) for start in range(first, first + count, CHUNK)]
    started, done, shown = time.monotonic(), 0, time.monotonic()
    failures, requests, steps, seconds = [], 0, 0, 0.0
    with multiprocessing.Pool(workers) as pool:
        for found, more_requests, more_steps, more_seconds in pool.imap_unordered(_run_chunk, chunks):
            failures += found
            requests, steps, seconds = requests + more_requests, steps + more_steps, seconds + more_seconds
            done += CHUNK
            if time.monotonic() - shown > 10:
                shown = time.monotonic()
                print(f"{min(done, count)} of {count} seeds, {len(failures)} failed", flush=True)
    failures.sort()
    took = time.monotonic() - started
    for _, text, _ in failures[:3]:
        print(text, end="\n\n")
    print(f"{count} seeds in {took:.0f} s ({60 * count / took:.0f} a minute): {requests} requests, {steps} steps,")
    print(f"{seconds / 3600:.0f} hours of simulated time; {len(failures)} failed")
    for rule, times in Counter(rule for *_, rule in failures).most_common():
        first_seeds = [seed for seed, _, name in failures if name == rule][:8]
        print(f"  {times} x {rule}: seeds {first_seeds}")
    return not failures


def main():
    """Run one seed, or many."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="run this one, and show its last events")
    parser.add_argument("--first", type=int, default=0, help="the first of many seeds")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="how many processes")
    options = parser.parse_args()
    if options.seed is None:
        return 0 if run_many(options.first, options.seeds, options.workers) else 1
    with watched_log():
        world, error = simulate(options.seed)
    print(describe(world, error))
    return 0 if error is None else 1


if __name__ == "__main__":
    sys.exit(main())
