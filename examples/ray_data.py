"""Embed a Parquet data set with Ray Data: many actors on one machine or many, and one limit for all of them.

Every actor has a client of its own, and all of them share one key. The service counts requests per key, so the actors
keep one window together, in the store that `--store` names: a Redis server for actors on many machines, a file for
those on one. They never pass the limit, however many they are, and each request is full.

With ELECTRONHUB_API_KEY set this talks to the service. Else it starts the emulator on this machine, and without an
input it makes a data set of its own.

    pip install "electronhub-embeddings[redis,emulator]" "ray[data]"
    python examples/ray_data.py                                                  # a small data set, an emulator
    python examples/ray_data.py texts/ vectors/ --store redis://limits:6379/0    # yours

On a cluster RAY_ADDRESS says where it is, and ELECTRONHUB_API_KEY must be set where the actors run: Ray would show it
in its dashboard if it were passed on from here. RAY_DATA_LOG_LEVEL=WARNING makes Ray say less.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import deque
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import ray
import ray.data

from electronhub_embeddings import EmbeddingsClient, Usage
from electronhub_embeddings.emulator import Emulator

LIMIT, WINDOW = 5, 60.0
"""Requests in so many seconds that the emulator allows: the free plan."""


class Tally:
    """Adds up what all clients have used, wherever they are."""

    def __init__(self) -> None:
        self._latest: dict[str, Usage] = {}

    def note(self, client: str, usage: Usage) -> None:
        """Replace what is known of a client."""
        self._latest[client] = usage

    def total(self) -> Usage:
        """Return the sums over all clients."""
        every = self._latest.values()
        counters = [name for name in vars(Usage()) if name != "price"]
        return Usage(**{name: sum(getattr(usage, name) for usage in every) for name in counters})


class Embedder:
    """Embeds batches of rows in a process of its own."""

    def __init__(self, options: argparse.Namespace, tally: ray.actor.ActorHandle) -> None:
        self._client = EmbeddingsClient(
            rate_limit_store=options.store, batch_size=options.batch, dimensions=options.dimensions
        )
        self._column = options.column
        self._tally = tally
        self._name = ray.get_runtime_context().get_actor_id()

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Append the vectors: lists of a fixed length, which everything that reads Parquet understands."""
        vectors = self._client.embed(rows[self._column].to_pylist())
        ray.get(self._tally.note.remote(self._name, self._client.usage))
        return rows.append_column("vector", pa.FixedSizeListArray.from_arrays(vectors.ravel(), vectors.shape[1]))


def embed(options: argparse.Namespace) -> Usage:
    """Embed one data set into another, and return what all actors have used together."""
    tally = ray.remote(num_cpus=0)(Tally).remote()
    # One block is one batch, and one batch is one request. As the files are cut, most batches would not be full.
    texts = ray.data.read_parquet(options.input).repartition(target_num_rows_per_block=options.batch, strict=True)
    texts.map_batches(
        Embedder,
        fn_constructor_args=(options, tally),
        batch_size=options.batch,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=options.actors),
        num_cpus=0,  # actors wait for answers: what there is of processors is for reading and writing
    ).write_parquet(options.output, mode=ray.data.SaveMode.ERROR)
    return ray.get(tally.total.remote())


def make_texts(directory: Path) -> str:
    """Write a small data set: seven requests, two more than a window holds, in files that are no full request."""
    directory.mkdir()
    for file in range(7):
        numbers = range(2000 * file, 2000 * (file + 1))
        texts = [f"Parcel {number} goes to shelf {number % 97} in row {number % 31}." for number in numbers]
        pq.write_table(pa.table({"id": list(numbers), "text": texts}), directory / f"{file}.parquet")
    return str(directory)


def start_emulator() -> Emulator:
    """Start the service's stand-in, and let every client of this machine find it."""
    print(f"ELECTRONHUB_API_KEY is not set: starting an emulator here ({LIMIT} requests in {WINDOW:.0f} seconds).")
    emulator = Emulator(rpm=LIMIT, window=WINDOW, keep_bodies=False).start()
    os.environ.update(ELECTRONHUB_API_KEY=emulator.api_key, ELECTRONHUB_BASE_URL=emulator.base_url)
    return emulator


def busiest(moments: list[float], window: float) -> int:
    """Count the calls in the window that holds most of them."""
    most, inside = 0, deque[float]()
    for moment in moments:
        inside.append(moment)
        while inside[0] <= moment - window:
            inside.popleft()
        most = max(most, len(inside))
    return most


def report(usage: Usage, began: float, emulator: Emulator | None) -> None:
    """Print what it took, and what the emulator saw of it."""
    print(f"{usage.texts:,} texts in {usage.attempts} requests, {time.perf_counter() - began:.1f} seconds")
    if emulator is not None:
        refused = sum(call.status != 200 for call in emulator.calls)  # noqa: PLR2004 - the one that is no refusal
        most = busiest([call.at for call in emulator.calls], WINDOW)
        print(f"{refused} refused; {most} in the busiest window, where {LIMIT} are allowed")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Embed a Parquet data set with Ray Data.")
    parser.add_argument("input", nargs="?", help="Parquet files (default: a small data set of its own)")
    parser.add_argument("output", nargs="?", help="where the same rows go, with a column `vector`")
    parser.add_argument("--store", help="redis://… for many machines; a path for one (default: limit.sqlite)")
    parser.add_argument("--actors", type=int, default=4)
    parser.add_argument("--column", default="text", help="the column with the texts")
    parser.add_argument("--batch", type=int, default=2048, help="texts in a request")
    parser.add_argument("--dimensions", type=int, help="length of the vectors (default: the model's own)")
    options = parser.parse_args()
    if options.input and not options.output:
        parser.error("where to? An input needs an output")
    return options


def main() -> None:
    """Embed what the command line names."""
    options, began = parse(), time.perf_counter()
    emulator = None if os.environ.get("ELECTRONHUB_API_KEY") else start_emulator()
    with tempfile.TemporaryDirectory() as scratch:
        options.input = options.input or make_texts(Path(scratch, "texts"))
        options.output = options.output or str(Path(scratch, "vectors"))
        # Outside of the emulator it is kept: a script run twice in a minute then knows what it has sent.
        options.store = options.store or str(Path(scratch if emulator else ".", "limit.sqlite").absolute())
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else Ray tells its makers
        ray.init(include_dashboard=False, log_to_driver=False)
        try:
            report(embed(options), began, emulator)
        finally:
            ray.shutdown()
    if emulator is not None:
        emulator.close()


if __name__ == "__main__":
    main()
