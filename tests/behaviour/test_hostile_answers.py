"""A hostile service: its answers are only treated as data, and take a bounded amount of memory."""

import gzip
import json
import os
import pickle
import subprocess
import sys
import zlib

import pybase64
import pytest

from electronhub_embeddings import APIConnectionError, APIStatusError, InvalidResponseError
from support.audit_hooks import WAYS, audited
from support.child_processes import slow_except
from support.entry_points import paired
from support.recording_server import Answer, answer_with_vectors

pytestmark = pytest.mark.usefixtures("quick_retries")


class Trap:
    """Writes a file when it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch canary",)


@pytest.mark.parametrize("kind", slow_except({"client"}, WAYS))
def test_answers_are_only_data(recording_server, kind):
    """No answer, good or bad, makes the process write a file, start a program, unpickle or import anything."""
    trap = pickle.dumps(Trap())
    code = "__import__('os').system('touch canary')"
    answers = [
        Answer(200, {"Content-Disposition": "attachment; filename=canary", "Link": "</x>; rel=preload"}, b"{}"),
        Answer(200, {"Content-Type": "application/x-python-pickle"}, trap),
        Answer(200, {}, json.dumps({"data": [{"index": 0, "embedding": pybase64.b64encode(trap).decode()}]}).encode()),
        Answer(200, {}, json.dumps({"data": [{"index": 0, "embedding": code}], "__class__": code}).encode()),
        Answer(200, {"Content-Type": "application/x-yaml"}, b"!!python/object/apply:os.system ['touch canary']"),
        Answer(200, {"Content-Type": "text/html; charset=utf-7"}, b"+ADw-script+AD4-"),
        Answer(200, {"Content-Type": f"text/plain; charset={'x' * 5000}"}, b"{}"),
        Answer(400, {"Content-Type": "text/html; charset=idna"}, b"<html><script src='http://evil.invalid'></script>"),
        Answer(500, {"Content-Encoding": "x-python"}, code.encode()),
        Answer(418, {"X-RateLimit-Limit": code, "Retry-After": code}, json.dumps({"error": {"code": code}}).encode()),
    ]
    warm = [Answer(400, {}, b'{"error": {"message": "no"}}'), Answer(200, {}, b"no"), Answer(500, {}, b"<html>")]
    left = iter([*warm, *answers])

    def answer(request):
        return answer_with_vectors(request) if len(server.requests) == 1 else next(left)

    server = recording_server(answer)
    script = f"""
failed = 0
for number in range({1 + len(warm) + len(answers)}):
    armed[:] = [True] * (number > {len(warm)})
    try:
        thing.{{query}}("one")
    except Exception as error:
        failed += type(error).__module__ == "electronhub_embeddings.errors"
armed.clear()
print(json.dumps([failed, done]))
"""
    assert audited(kind, script, server, dimensions=2) == [len(warm) + len(answers), []]


# Answers that are too much.

LONG = 10_000_000


def size(error):
    """Return the number of characters in an error."""
    return len(f"{error!s}{error!r}{vars(error)}")


PAGES = {
    "text": b"x" * LONG,
    "html": b"<html><title>" + b"x" * LONG,
    "json": b'{"error": {"message": "' + b"x" * LONG + b'"}}',
    "nested": b"[" * LONG,
    "zeros": b"\0" * LONG,
}


@pytest.mark.parametrize(
    ("entry_point", "status", "body"),
    paired({f"{status} {name}": (status, body) for status in (400, 503) for name, body in PAGES.items()}),
    indirect=["entry_point"],
)
def test_error_pages_are_cut(entry_point, recording_server, ask, status, body):
    """However long an error page is, the exception holds only a short part of it."""
    error = ask(entry_point, recording_server(lambda _: Answer(status, {}, body)), max_retries=0)
    assert isinstance(error, APIStatusError)
    assert size(error) < 30_000


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("field", ["param", "code", "other"])
@pytest.mark.parametrize("entry_point", ["client sync"], indirect=True)
def test_errors_in_json_are_cut(entry_point, recording_server, ask, status, field):
    """The same for every field of a JSON error, including one with status 200."""
    body = json.dumps({"error": {"message": "no", field: "x" * 60_000}}).encode()
    assert size(ask(entry_point, recording_server(lambda _: Answer(status, {}, body)), max_retries=0)) < 30_000


def zeros(gigabytes):
    """Return a deflate stream that expands to `gigabytes`, about a megabyte for each: one block repeated."""
    packer = zlib.compressobj(9, wbits=31)
    start = packer.compress(b"") + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return start + block * (gigabytes << 10)


def run_length_zeros(gigabytes):
    """Return a Zstandard frame of so many GB, four bytes for each 128 KB."""
    block = (1 << 1 | (1 << 17) << 3).to_bytes(3, "little") + b"\0"
    return b"\x28\xb5\x2f\xfd\x00\x58" + block * (gigabytes << 13)


BOMBED = """
import json, resource, sys
from electronhub_embeddings import EmbeddingsClient, ElectronHubError

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10

client = EmbeddingsClient(max_retries=0, dimensions=2)
client.embed_query("one")
resource.setrlimit(resource.RLIMIT_AS, (3 << 29, 3 << 29))  # a machine must not go down with a failing test
before = peak()
try:
    client.embed_query("two")
except ElectronHubError as error:
    print(json.dumps([type(error).__name__, peak() - before]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is counted in KB there")
@pytest.mark.parametrize("status", [200, pytest.param(500, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("encoding", "make"),
    [
        pytest.param("gzip", lambda: zeros(10), marks=pytest.mark.slow),
        ("gzip, gzip", lambda: gzip.compress(zeros(10))),
        ("zstd", lambda: run_length_zeros(10)),
    ],
    ids=["gzip", "gzip twice", "zstd"],
)
def test_decompression_bombs(recording_server, status, encoding, make):
    """A small body that expands to 10 GB of zeros raises an error of this package, and takes a few megabytes."""
    bomb = Answer(status, {"Content-Encoding": encoding}, make())
    server = recording_server(lambda request: answer_with_vectors(request) if len(server.requests) == 1 else bomb)
    env = {**os.environ, "ELECTRONHUB_API_KEY": server.api_key, "ELECTRONHUB_BASE_URL": server.base_url}
    command = [sys.executable, "-c", BOMBED]
    ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=True)
    name, megabytes = json.loads(ended.stdout)
    assert name in {"InvalidResponseError", "ServerError"}
    assert megabytes < 250


def test_headers_without_end(entry_point, recording_server, ask):
    """An answer with endless headers is rejected as broken."""
    server = recording_server(
        lambda request: Answer(
            200, {f"X-{number}": "x" * 1000 for number in range(1000)}, answer_with_vectors(request).body
        )
    )
    assert type(ask(entry_point, server, max_retries=0)) is APIConnectionError


def test_broken_encodings(entry_point, recording_server, ask):
    """A body that does not match its Content-Encoding is rejected for that reason."""
    error = ask(
        entry_point, recording_server(lambda _: Answer(200, {"Content-Encoding": "gzip"}, b"no gzip")), max_retries=0
    )
    assert type(error) is InvalidResponseError
    assert "encoding" in str(error)
