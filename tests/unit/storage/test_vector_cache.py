"""The vector cache: answered texts are not sent again, and no wrong vector is ever read."""

import asyncio
import contextlib
import logging
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from electronhub_embeddings import CacheError, ElectronHubError, InvalidResponseError
from electronhub_embeddings._codec.distinct_texts import prepare_texts
from electronhub_embeddings._storage import vector_cache as cache
from electronhub_embeddings._storage.database import Database
from electronhub_embeddings._storage.vector_cache import VectorCache
from electronhub_embeddings.emulator import faults
from support.child_processes import begin, finish, release, slow_except
from support.entry_points import expected_vectors, paired, same

pytestmark = pytest.mark.usefixtures("quick_retries", "without_reference_text")

TEXTS = [f"text {number}" for number in range(40)]

WRITER = """
import sys
from electronhub_embeddings import EmbeddingsClient

url, key, path, shift = sys.argv[1:]
client = EmbeddingsClient(api_key=key, base_url=url, cache=path, dimensions=16, batch_size=50, on_model_change="ignore")
print("ready", flush=True)
sys.stdin.readline()
texts = [f"text {number}" for number in range(int(shift), int(shift) + 400)]
client.embed(texts)
client.close()
"""


@pytest.fixture
def path(tmp_path):
    """Return the path of the cache."""
    return tmp_path / "vectors.db"


def sent(service):
    """Return all texts that a service was sent, in order."""
    return [text for call in service.calls for text in call.body["input"]]


def entries(path):
    """Read the entries of a cache behind its back."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT key, vector FROM vectors").fetchall()


def rewrite(path, change):
    """Change every entry of a cache behind its back."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for key, entry in connection.execute("SELECT key, vector FROM vectors").fetchall():
            connection.execute("UPDATE vectors SET vector = ? WHERE key = ?", (change(entry), key))
        connection.commit()


# What it is for.


def test_nothing_is_sent_twice(entry_point, emulator, path):
    """A second object finds the vectors of the first, bit for bit, and only new texts are sent."""
    service = emulator(rpm=0)
    entry_point.embed(entry_point.make(service, cache=path), TEXTS[:30])
    again = entry_point.make(service, cache=path)
    mixed = [*TEXTS[35:], *TEXTS[:10], TEXTS[5], TEXTS[35], *TEXTS[20:35]]
    rows = entry_point.embed(again, mixed)
    assert same(rows, expected_vectors(service, mixed))
    assert sent(service) == [*TEXTS[:30], *TEXTS[35:], *TEXTS[30:35]]
    assert again.usage.cache_hits == 20
    assert isinstance(rows[0], entry_point.kind.row)
    assert isinstance(rows[0][0], entry_point.kind.number)


def test_queries_and_documents_share_it(entry_point, emulator, path):
    """A text embedded as a document is found as a query if the prefixes are the same."""
    service = emulator(rpm=0)
    thing = entry_point.make(service, cache=path)
    entry_point.embed(thing, TEXTS)
    assert same(entry_point.query(thing, TEXTS[3]), service.vector(TEXTS[3]))
    assert len(service.calls) == 1


@pytest.mark.parametrize(
    "change",
    [{"model": "text-embedding-ada-002"}, {"dimensions": 8}, {"document_prefix": "passage: "}],
    ids=["model", "dimensions", "prefix"],
)
def test_what_changes_vectors_is_no_hit(client, emulator, path, change):
    """Another model, length or prefix is embedded again, and both vectors are kept."""
    service = emulator(rpm=0)
    client(service, cache=path).embed(TEXTS)
    for _ in range(2):
        client(service, cache=path, **change).embed(TEXTS)
        client(service, cache=path).embed(TEXTS)
    assert [call.texts for call in service.calls] == [40, 40]


def test_another_service_is_no_hit(client, emulator, path):
    """A vector of one base URL is not used for another."""
    one, two = emulator(rpm=0), emulator(rpm=0)
    for service in (one, two, one, two):
        client(service, cache=path).embed(TEXTS)
    assert [len(one.calls), len(two.calls)] == [1, 1]


def test_another_key_is_a_hit(client, emulator, path):
    """Vectors are shared between keys: a new key does not embed a corpus again."""
    service = emulator(rpm=0)
    client(service, cache=path).embed(TEXTS)
    client(service, cache=path, api_key="ek-another", timeout=9.0, user="somebody").embed(TEXTS)
    assert len(service.calls) == 1


def test_hits_need_no_slot(entry_point, emulator, path):
    """If the limit is used up, cached vectors are returned at once."""
    service = emulator(rpm=1)
    first = entry_point.make(service, cache=path, max_wait=0)
    entry_point.embed(first, TEXTS)
    first.close()
    second = entry_point.make(service, cache=path, max_wait=0)
    assert same(entry_point.embed(second, TEXTS[::-1]), expected_vectors(service, TEXTS[::-1]))


def test_a_finished_request_is_on_disk_before_the_next_starts(entry_point, emulator, path):
    """At the start of each request, the vectors of all earlier ones are in the file."""
    seen = []

    def look(answer):
        seen.append(len(entries(path)) if path.exists() else 0)
        return answer

    service = emulator(rpm=0, faults=[faults.edit(look)] * 4)
    entry_point.embed(entry_point.make(service, cache=path, batch_size=10, max_concurrency=1), TEXTS)
    assert seen == [0, 10, 20, 30]


def test_a_job_that_failed_goes_on_where_it_was(entry_point, emulator, path):
    """After a failure, repeating the call sends only the unanswered texts."""
    service = emulator(rpm=0, faults=[None, None, faults.error(402)])
    options = {"cache": path, "batch_size": 10, "max_concurrency": 1}
    with pytest.raises(ElectronHubError) as caught:
        entry_point.embed(entry_point.make(service, **options), TEXTS)
    assert sorted(caught.value.partial) == list(range(20))
    assert same(entry_point.embed(entry_point.make(service, **options), TEXTS), expected_vectors(service, TEXTS))
    assert sent(service) == [*TEXTS[:30], *TEXTS[20:]]


def test_partial_results_name_the_callers_inputs(client, emulator, path):
    """Cached vectors are in `.partial` too, and `.index` is the caller's index."""
    service = emulator(rpm=0)
    ours = client(service, cache=path)
    ours.embed(TEXTS[::2])
    service.script(faults.error(400, "Invalid 'input[3]': maximum input length is 8192 tokens."))
    with pytest.raises(ElectronHubError) as caught:
        ours.embed([TEXTS[0], *TEXTS])
    error = caught.value
    assert error.index == 8  # the fourth text that was not known is text 7, and its caller has put one before
    assert sorted(error.partial) == [place for place in range(41) if place != 8]
    assert all(same(row, service.vector([TEXTS[0], *TEXTS][place])) for place, row in error.partial.items())


def test_a_stream_finds_what_is_known(client, emulator, path):
    """`iter_embed` yields cached vectors in order, and caches the others."""
    service = emulator(rpm=0)
    ours = client(service, cache=path, batch_size=8)
    ours.embed(TEXTS[3:21])
    before = len(sent(service))
    assert same(list(ours.iter_embed(iter(TEXTS))), expected_vectors(service, TEXTS))
    assert sorted(sent(service)[before:]) == sorted([*TEXTS[:3], *TEXTS[21:]])
    assert same(list(ours.iter_embed(iter(TEXTS))), expected_vectors(service, TEXTS))
    assert len(sent(service)) == len(TEXTS)


def test_an_event_loop_goes_on_while_it_is_read(client, emulator, path, monkeypatch):
    """Reading the file does not block other tasks, even one that the read waits for."""
    service = emulator(rpm=0)
    ours = client(service, cache=path)
    ours.embed(TEXTS)
    read = VectorCache.recall

    async def scene():
        loop, reached, release_ = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()

        def slow(self, inputs):
            loop.call_soon_threadsafe(reached.set)
            asyncio.run_coroutine_threadsafe(release_.wait(), loop).result(10)
            return read(self, inputs)

        monkeypatch.setattr(VectorCache, "recall", slow)
        call = asyncio.create_task(ours.aembed(TEXTS))
        await reached.wait()
        release_.set()
        return await call

    assert same(asyncio.run(scene()), expected_vectors(service, TEXTS))


# Several at once.


@pytest.mark.slow
def test_processes_share_it(emulator, path):
    """Processes that create one file concurrently lose no vector, and read those of the others."""
    service = emulator(rpm=0)
    arguments = (service.base_url, service.api_key, path)
    children = [child for shift in (0, 200, 400) for child in begin(WRITER, *arguments, shift)]
    release(children)
    finish(children)
    assert len(entries(path)) == 800
    before = len(service.calls)
    children = [child for shift in (100, 300) for child in begin(WRITER, *arguments, shift)]
    release(children)
    finish(children)
    assert len(service.calls) == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_children_use_it(client, emulator, path):
    """Forked children read and write through their own connections, even if forked during reads and writes."""
    service = emulator(rpm=0)
    ours = client(service, cache=path, dimensions=8)
    stop, trouble = threading.Event(), []

    def work():
        try:
            number = 0
            while not stop.is_set():
                number += 1
                ours.embed([*TEXTS, f"parent {number}"])
        except Exception as error:  # noqa: BLE001 - told below
            trouble.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    statuses = []
    for number in range(8):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of a fork with threads, which is the point
            pid = os.fork()
        if pid == 0:
            texts = [*TEXTS, f"child {number}"]
            os._exit(0 if same(ours.embed(texts), expected_vectors(service, texts, 8)) else 1)
        statuses.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    stop.set()
    for thread in threads:
        thread.join()
    assert statuses == [0] * 8
    assert trouble == []
    hits = ours.usage.cache_hits
    ours.embed([f"child {number}" for number in range(8)])
    assert ours.usage.cache_hits == hits + 8


# Damage.


@pytest.mark.parametrize(
    "damage",
    [
        lambda entry: bytes([entry[0] ^ 1]) + entry[1:],
        lambda entry: entry[:-1] + bytes([entry[-1] ^ 128]),
        lambda entry: entry[:-4],
        lambda entry: entry[4:],
        lambda entry: entry[:-1],
        lambda _: b"",
        lambda _: b"\0" * 4,
        lambda _: "text",
        lambda entry: entry * 2,
    ],
    ids=["vector", "checksum", "short", "head", "odd", "empty", "zeros", "type", "double"],
)
def test_a_damaged_entry_is_a_miss(client, emulator, path, damage):
    """A damaged entry is embedded and stored again."""
    service = emulator(rpm=0)
    client(service, cache=path).embed(TEXTS)
    rewrite(path, damage)
    for _ in range(2):
        assert same(client(service, cache=path).embed(TEXTS), expected_vectors(service, TEXTS))
    assert len(service.calls) == 2


def test_entries_that_changed_places_are_misses(client, emulator, path):
    """An entry stored under another text's key is not used for that text."""
    service = emulator(rpm=0)
    client(service, cache=path).embed(["one", "two"])
    (one, first), (two, second) = entries(path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for key, entry in ((one, second), (two, first)):
            connection.execute("UPDATE vectors SET vector = ? WHERE key = ?", (entry, key))
        connection.commit()
    assert same(client(service, cache=path).embed(["one", "two"]), expected_vectors(service, ["one", "two"]))


def not_a_database(path):
    """Write something that is no SQLite file."""
    path.write_bytes(b"Dear diary, " * 1000)


def broken_pages(path):
    """Overwrite the middle of the file."""
    for file in path.parent.glob("*-wal"):
        file.unlink()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 4096))


def another_database(path):
    """Put a database of something else there."""
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE diary (day TEXT)")


def directory(path):
    """Put a directory in the way."""
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("entry_point", "damage"),
    paired({it.__name__: (it,) for it in (not_a_database, broken_pages, another_database, directory)}),
    indirect=["entry_point"],
)
def test_a_damaged_file_is_a_clear_error(entry_point, emulator, path, damage):
    """An unusable file raises before anything is sent; the error names it and what to do; without it, calls work."""
    service = emulator(rpm=0)
    first = entry_point.make(service, cache=path)
    entry_point.embed(first, TEXTS)
    first.close()
    thing = entry_point.make(service, cache=path)
    damage(path)
    for embed, asked in ((entry_point.embed, TEXTS), (entry_point.query, "one")):
        with pytest.raises(CacheError, match=path.name) as caught:
            embed(thing, asked)
        assert "Name another file" in str(caught.value)
        assert ("delete" in str(caught.value)) is (damage is not another_database)  # which is of use to somebody
    thing.close()
    assert len(service.calls) == 1
    path.rename(path.with_suffix(".old"))
    assert same(entry_point.embed(entry_point.make(service, cache=path), TEXTS), expected_vectors(service, TEXTS))


def test_what_cannot_be_written_is_returned_all_the_same(client, emulator, path, monkeypatch, caplog):
    """If a vector cannot be stored, the job continues with one warning, and later vectors are stored again."""
    monkeypatch.setattr(cache, "BUSY_TIMEOUT", 0.01)
    service = emulator(rpm=0)
    ours = client(service, cache=path, batch_size=10, max_concurrency=1)
    ours.embed_query("one")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other, caplog.at_level(logging.WARNING):
        other.execute("BEGIN IMMEDIATE")
        assert same(ours.embed(TEXTS), expected_vectors(service, TEXTS))
        other.execute("ROLLBACK")
        assert same(ours.embed(TEXTS[:20]), expected_vectors(service, TEXTS[:20]))
        other.execute("BEGIN IMMEDIATE")
        ours.embed_query("two")
        other.execute("ROLLBACK")
    warned = [record.getMessage() for record in caplog.records]
    assert [message.partition(" (")[0] for message in warned] == ["the cache cannot be written"] * 2
    assert len(entries(path)) == 21


def test_a_service_that_changed_its_vectors(client, entry_point, emulator, path):
    """Vectors of two lengths are never mixed: a call with cached ones of the old length fails, others succeed."""
    service = emulator(rpm=0)
    first = client(service, cache=path)
    first.embed(TEXTS[:20])
    first.close()
    service.script(*[faults.edit(shortened)] * 9)
    ours, other = entry_point.make(service, cache=path, batch_size=10, max_concurrency=1), client(service)
    with pytest.raises(InvalidResponseError, match="1536 dimensions in the cache, 8 at the service") as caught:
        entry_point.embed(ours, TEXTS)
    assert sorted(caught.value.partial) == list(range(20))
    assert len(service.calls) == 2  # nothing is sent of what cannot be used
    assert other.embed(TEXTS).shape == (40, 8)


IMPOSSIBLE = {
    "not a number": np.full(8, np.nan),
    "infinite": np.array([1, 2, 3, np.inf, 5, 6, 7, 8]),
    "short": np.ones(4),
    "long": np.ones(16),
}


@pytest.mark.parametrize(
    ("entry_point", "wrong", "count"),
    paired({f"{name}, {count}": (wrong, count) for name, wrong in IMPOSSIBLE.items() for count in (1, 40)}),
    indirect=["entry_point"],
)
def test_an_entry_that_no_answer_could_be_is_a_miss(entry_point, emulator, path, wrong, count):
    """Entries that would be invalid in an answer are embedded and stored again, even with a correct checksum."""
    service = emulator(rpm=0)
    entry_point.embed(entry_point.make(service, cache=path, dimensions=8), TEXTS)
    vector = wrong.astype("<f4").tobytes()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for (key,) in connection.execute("SELECT key FROM vectors LIMIT ?", (count,)).fetchall():
            connection.execute("UPDATE vectors SET vector = ? WHERE key = ?", (vector + checksum(key, vector), key))
        connection.commit()
    for _ in range(2):
        thing = entry_point.make(service, cache=path, dimensions=8)
        assert same(entry_point.embed(thing, TEXTS), expected_vectors(service, TEXTS, 8))
    assert [call.texts for call in service.calls] == [40, count]


def checksum(key, vector):
    """Return the checksum of an entry."""
    return zlib.crc32(vector, zlib.crc32(key)).to_bytes(4, "little")


def test_vectors_as_the_service_makes_them_now_are_the_measure(client, emulator, path):
    """Without `dimensions`, entries with a different length from the latest vectors are misses."""
    service = emulator(rpm=0)
    with client(service, cache=path) as before:
        before.embed(TEXTS[:20])
    ours = client(service, cache=path)
    service.script(*[faults.edit(shortened)] * 3)
    assert ours.embed(TEXTS[20:]).shape == (20, 8)
    assert ours.embed(TEXTS).shape == (40, 8)
    assert [call.texts for call in service.calls] == [20, 20, 20]


def shortened(answer):
    """Answer with vectors of eight numbers."""
    rows = [{**row, "embedding": row["embedding"][:40] + "AAA="} for row in answer["data"]]
    return {**answer, "data": rows}


# Disks.

DISK = """
import logging, subprocess, sys
import numpy as np
from electronhub_embeddings import EmbeddingsClient
from electronhub_embeddings._storage import file_opening

url, key, place, state, journal = sys.argv[1:]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", place], check=True)
logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING, stream=sys.stdout)
make = lambda: EmbeddingsClient(api_key=key, base_url=url, cache=f"{place}/vectors.db", dimensions=8)
with make() as client:
    expected = client.embed(["one", "two"])
if journal == "delete":  # as somebody leaves it who prepares a file for a disk that nobody writes to
    connection = file_opening.sqlite3.connect(f"{place}/vectors.db")
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
if state == "full":
    with open(f"{place}/ballast", "wb", 0) as ballast:
        try:
            while ballast.write(bytes(4096)):
                pass
        except OSError:
            pass
else:
    subprocess.run(["mount", "-o", "remount,ro", place], check=True)

def sleep(seconds):
    sys.exit("it waits")

file_opening.time.sleep = sleep
with make() as client:
    for text in ("three", "four", "five"):
        assert np.array_equal(client.embed(["one", "two", text])[:2], expected)
    print(client.usage.cache_hits, client.usage.texts)
"""
"""Fills a cache on a disk of its own, ends the writing, and uses it: prints warnings, the hits and what was sent."""


@pytest.fixture
def mounting(tmp_path):
    """Skip a test if processes cannot mount their own disks."""
    tool = shutil.which("unshare")
    if tool is None:
        pytest.skip("needs unshare")
    command = [tool, "--mount"]
    if subprocess.run(
        [*command, "mount", "-t", "tmpfs", "tmpfs", tmp_path], check=False, capture_output=True
    ).returncode:
        pytest.skip("mounting is not allowed here")
    return command


@pytest.mark.parametrize("journal", slow_except({"wal"}, ["wal", "delete"]))
@pytest.mark.parametrize("state", ["full", "read-only"])
def test_a_cache_that_can_only_be_read_is_read(emulator, tmp_path, mounting, state, journal):
    """On a full or read-only disk, hits are returned at once, and there is one warning for all calls."""
    service = emulator(rpm=0)
    command = [*mounting, sys.executable, "-c", DISK, service.base_url, service.api_key, tmp_path, state, journal]
    run = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True, timeout=60)
    assert run.returncode == 0
    warning, counts = run.stdout.splitlines()
    assert warning.startswith("WARNING the cache cannot be written (")
    assert counts == "6 3"


def test_a_cache_that_may_not_be_written_is_not_tried_again(client, emulator, path, monkeypatch, caplog):
    """After the warning no writing is attempted before the file is opened again."""
    client(emulator(rpm=0), cache=path).embed(TEXTS)
    attempts = []

    @contextlib.contextmanager
    def change(self):
        attempts.append(self)
        raise sqlite3.OperationalError("attempt to write a readonly database")
        yield

    monkeypatch.setattr(Database, "change", change)
    monkeypatch.setattr(os, "access", lambda *_: False)
    service = emulator(rpm=0)
    ours = client(service, cache=path, rate_limit_store="memory")
    for text in TEXTS:
        ours.embed_query(text)
    assert len(attempts) == 1
    assert [record.getMessage().partition(" (")[0] for record in caplog.records] == ["the cache cannot be written"]


# Secrets.


def test_it_holds_neither_texts_nor_keys(client, emulator, path):
    """The files contain neither texts nor keys."""
    service = emulator(rpm=0)
    with client(service, cache=path, document_prefix="passage: ") as ours:
        ours.embed(["a secret text"])
        during = b"".join(file.read_bytes() for file in path.parent.iterdir())
    written = during + path.read_bytes()
    secrets = [service.api_key, service.api_key[3:], service.base_url, "127.0.0.1", "a secret text", "passage"]
    assert [secret for secret in secrets if secret.encode() in written] == []
    assert (
        service.vector("passage: a secret text").astype("<f4").tobytes()[-99:] in path.read_bytes()
    )  # it was the right file


@pytest.mark.skipif(os.name != "posix", reason="needs permissions")
def test_only_its_owner_may_read_it(client, emulator, path):
    """The file and SQLite's additional files have mode 0600, whatever the umask."""
    before = os.umask(0)
    try:
        client(emulator(rpm=0), cache=path).embed(TEXTS)
    finally:
        os.umask(before)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == dict.fromkeys(["vectors.db", "vectors.db-wal", "vectors.db-shm"], 0o600)


# Its life.


def test_nothing_is_made_before_the_first_text(client, emulator, path):
    """The constructor opens no file, but rejects impossible paths."""
    client(emulator(rpm=0), cache=path)
    assert not path.exists()
    for wrong in (7, b"path", ""):
        with pytest.raises(ValueError, match="cache must be a path"):
            client(emulator(rpm=0), cache=wrong)


def test_a_path_means_the_same_after_a_change_of_directory(client, emulator, tmp_path, monkeypatch):
    """A relative path is resolved when the client is created."""
    monkeypatch.chdir(tmp_path)
    ours = client(emulator(rpm=0), cache="vectors.db")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    ours.embed(TEXTS)
    assert len(entries(tmp_path / "vectors.db")) == len(TEXTS)


def test_a_closed_client_answers_nothing(client, emulator, path):
    """A closed client does not return cached vectors either."""
    ours = client(emulator(rpm=0), cache=path)
    ours.embed(TEXTS)
    ours.close()
    with pytest.raises(ElectronHubError, match="closed"):
        ours.embed(TEXTS)
    assert [file.name for file in path.parent.iterdir()] == ["vectors.db"]  # SQLite has cleared up behind it


# The cache itself.


@pytest.fixture(scope="module")
def shared_cache(tmp_path_factory):
    """Return a cache that all examples share."""
    kept = VectorCache(tmp_path_factory.mktemp("cache") / "vectors.db", "a namespace")
    yield kept
    kept.close()


FLOATS = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=3, max_size=3)


@given(known=st.dictionaries(st.text(min_size=1), FLOATS), asked=st.lists(st.text(min_size=1)))
def test_any_text_and_any_vector(shared_cache, known, asked):
    """Every stored vector is found, bit for bit, and every input keeps its own text."""
    if known:
        new = shared_cache.recall(prepare_texts(list(known)))
        new.keep(0, len(known), np.array([known[text] for text in new.inputs.texts], "<f4"))
    inputs = prepare_texts([*asked, *known])
    recalled = shared_cache.recall(inputs)
    count = 0 if recalled.rows is None else len(recalled.rows)
    assert set(known) <= set(recalled.inputs.texts[:count])
    for text, row in zip(recalled.inputs.texts[:count], recalled.rows if count else (), strict=True):
        assert text not in known or row.tobytes() == np.array(known[text], "<f4").tobytes()

    def by_input(some):
        return [some.texts[place] for place in some.places or range(len(some.texts))]

    def sizes(some):
        return [end - start for start, end in zip([0, *some.ends], some.ends, strict=False)]

    assert by_input(recalled.inputs) == [*asked, *known]
    assert sizes(recalled.inputs) == [len(text.encode()) for text in recalled.inputs.texts]
