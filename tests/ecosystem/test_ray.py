"""The example for Ray Data: actors in separate processes that share a limit in Redis, and a service that counts."""

import os
import secrets
import subprocess
import sys
import tempfile
from http import HTTPStatus

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from electronhub_embeddings._config.account import Account
from electronhub_embeddings._config.secret import Secret
from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow
from electronhub_embeddings.rate_limit_stores.redis import RedisStore
from support.entry_points import expected_vectors, same
from support.redis_server import Server
from support.repository import ROOT
from support.window_changes import look

pytestmark = pytest.mark.xdist_group("ray")  # two clusters at once need more memory than most machines have

EXAMPLES = ROOT / "examples"

TIMEOUT = 600.0
"""Seconds after which a run is given up: Ray starts a dozen processes for it, which takes minutes on a busy machine."""

LIMIT, PERIOD = 4, 2.0
ACTORS, BATCH, DIMENSIONS = 2, 50, 8
FILES = (70, 130, 1, 249, 140)
"""Rows of each file: twelve requests in all, three windows, when every request but the last is full."""


@pytest.fixture
def redis_url(tmp_path):
    """Return the address of a Redis server."""
    server = Server(tmp_path).start()
    yield server.url
    server.close()


@pytest.fixture
def run():
    """Return a function that runs Python code beside the examples; Ray's own files are gone after the test."""
    with tempfile.TemporaryDirectory() as short:  # Ray's sockets are in it, and their paths may not be long
        quiet = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DATA_LOG_LEVEL": "WARNING", "RAY_DATA_DISABLE_PROGRESS_BARS": "1"}
        token = secrets.token_hex(32)  # else Ray writes one into the home directory
        fixed = {
            **os.environ,
            **quiet,
            "RAY_AUTH_TOKEN": token,
            "RAY_TMPDIR": short,
            "PYTHONPATH": os.pathsep.join([str(EXAMPLES), *sys.path]),
        }

        def finish(code, *arguments, **environment):
            command = [sys.executable, "-c", code, *map(str, arguments)]
            env = {**fixed, **environment}
            return subprocess.run(command, env=env, text=True, capture_output=True, timeout=TIMEOUT, check=False)

        yield finish


TWO_JOBS = """
import sys
import ray_data

first, second, *options = sys.argv[1:]
for folder in (first, second):
    sys.argv[1:] = [f"{folder}/in", f"{folder}/out", *options]
    ray_data.main()
"""
"""Runs the example twice in one process: starting Ray takes most of the time."""


def write(directory, files):
    """Write a data set of files with so many rows below `directory`/in; return its texts."""
    (directory / "in").mkdir(parents=True)
    texts = [f"text {number} of {directory.name}" for number in range(sum(files))]
    for number, rows in enumerate(files):
        first = sum(files[:number])
        table = pa.table({"id": range(first, first + rows), "text": texts[first : first + rows]})
        pq.write_table(table, directory / "in" / f"{number}.parquet")
    return texts


def shorten(store, service):
    """Let the window of a service's account begin with the period of the test: who comes later takes it over."""
    ours = RedisStore(store, Account(service.base_url, Secret(service.api_key)).name, SlidingWindow(period=PERIOD))
    ours.update(look)
    ours.close()


def busiest(calls):
    """Count the calls in the window that holds most of them."""
    return max(sum(0 <= other.at - call.at < PERIOD for other in calls) for call in calls)


def test_actors_share_a_limit(run, emulator, redis_url, tmp_path):
    """Every row comes out once, with the vector of its text; requests are full, and no window holds too many.

    In a second job a text is refused: the actor's error reaches the caller with its type, and no row comes out.
    """
    service = emulator(rpm=LIMIT, window=PERIOD, cooldown=PERIOD, refuse=lambda text: text == "text 7 of job-2")
    texts, _ = write(tmp_path / "job-1", FILES), write(tmp_path / "job-2", [20])
    shorten(redis_url, service)
    jobs = (tmp_path / "job-1", tmp_path / "job-2")
    options = ("--store", redis_url, "--actors", ACTORS, "--batch", BATCH, "--dimensions", DIMENSIONS)
    environment = {"ELECTRONHUB_API_KEY": service.api_key, "ELECTRONHUB_BASE_URL": service.base_url}
    ended = run(TWO_JOBS, *jobs, *options, **environment)
    assert "590 texts in 12 requests" in ended.stdout, ended.stderr
    table = pq.read_table(tmp_path / "job-1/out").sort_by("id")
    assert table.schema.field("vector").type == pa.list_(pa.float32(), DIMENSIONS)
    assert (table["id"].to_pylist(), table["text"].to_pylist()) == (list(range(len(texts))), texts)
    assert same(table["vector"].to_pylist(), expected_vectors(service, texts, DIMENSIONS))
    accepted, refused = service.calls[:12], service.calls[12:]
    assert {call.status for call in accepted} == {200}
    assert sorted(call.texts for call in accepted) == [40, *[BATCH] * 11]
    assert busiest(service.calls) == LIMIT
    assert ended.returncode != 0
    assert "BadRequestError" in ended.stderr
    assert [(call.status, call.texts) for call in refused] == [(HTTPStatus.BAD_REQUEST, 20), (HTTPStatus.OK, 19)]
    assert pq.read_table(tmp_path / "job-2/out").num_rows == 0


def test_it_shows_itself(run):
    """Without a key and arguments, the example starts an emulator, embeds its own data set, and prints the result."""
    ended = run("import ray_data; ray_data.LIMIT = 60; ray_data.main()")  # one window: nobody has a minute here
    assert ended.returncode == 0, ended.stderr
    assert "14,000 texts in 7 requests" in ended.stdout
    assert "0 refused; 7 in the busiest window, where 60 are allowed" in ended.stdout
