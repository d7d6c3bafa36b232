"""The emulator's command line."""

import os
import signal
import socket
import ssl
import subprocess
import sys

import httpx
import pytest

from electronhub_embeddings.emulator import _vector_source
from electronhub_embeddings.emulator.__main__ import main
from electronhub_embeddings.emulator._semantic_vectors import load_model

# No certificates: reading them takes 20 ms, and no test uses any.
TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_command_line(number):
    """It prints what to export, serves with its options, and exits with 0 on Ctrl-C and SIGTERM."""
    command = [sys.executable, "-m", "electronhub_embeddings.emulator", "--port", "0", "--plan", "pro"]
    command += ["--vectors", "hashed"]
    command += [
        "--window",
        "9",
        "--cooldown",
        "4",
        "--api-key",
        "ek-x",
        "--latency",
        "0.01",
        "--jitter",
        "0.01",
    ]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        printed = [process.stdout.readline() for _ in range(3)]
        url = printed[1].partition("=")[2].strip()
        response = httpx.get(f"{url}/user/me", headers={"Authorization": "Bearer ek-x"}, verify=TLS)
        process.send_signal(number)
        rest = process.communicate(timeout=5)
    assert printed[0] == "Electron Hub emulator, plan pro: 30 requests in 9 s, cooldown 4 s, hashed vectors\n"
    assert printed[1].startswith("export ELECTRONHUB_BASE_URL=http://127.0.0.1:")
    assert printed[2] == "export ELECTRONHUB_API_KEY=ek-x\n"
    assert (response.status_code, response.headers["X-RateLimit-Limit"]) == (200, "30")
    assert (process.returncode, rest) == (0, ("", ""))


def run(*arguments):
    """Run the command line, which has to end by itself."""
    command = [sys.executable, "-m", "electronhub_embeddings.emulator", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


@pytest.fixture
def refused(capsys, monkeypatch):
    """Return a function that calls the command line with wrong arguments, and returns its one line without the name."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # this process keeps its own handlers

    def call(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        out, line = capsys.readouterr()
        assert (ended.value.code, out, line.count("\n")) == (2, "", 1)
        return line.removeprefix("python -m electronhub_embeddings.emulator: error: ").removesuffix("\n")

    return call


def test_a_port_in_use(refused):
    """A port in use is one line that says what to do, and exit code 2."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        line = refused("--port", str(port))
    assert line == f"port {port} is in use: choose another with --port, or a free one with --port 0"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--plan", "gold"], "argument --plan: invalid choice: 'gold'"),
        (["--vectors", "words"], "argument --vectors: invalid choice: 'words'"),
        (["--port", "http"], "argument --port: invalid int value: 'http'"),
        (["--speed", "9"], "unrecognized arguments: --speed 9"),
    ],
)
def test_a_wrong_argument(refused, arguments, reason):
    """An argument that is not understood is one line, and exit code 2."""
    assert refused(*arguments).startswith(reason)


def test_semantic_vectors_without_the_extra(refused, monkeypatch):
    """Semantic vectors that cannot be made are one line with the command that installs them, and exit code 2."""
    load_model.cache_clear()
    monkeypatch.setitem(sys.modules, "wordllama", None)
    line = refused("--vectors", "semantic", "--port", "0")
    assert line == 'semantic vectors need wordllama: pip install "electronhub-embeddings[semantic]"'


@pytest.mark.parametrize(
    ("installed", "said"),
    [
        (True, "semantic vectors"),
        (False, 'hashed vectors (for semantic ones: pip install "electronhub-embeddings[semantic]")'),
    ],
)
def test_the_vectors_are_said_at_start(capsys, monkeypatch, installed, said):
    """By default, vectors are semantic where the extra is installed; if not, the first line says how to get it."""
    monkeypatch.setattr(signal, "signal", lambda _, stop: stop())  # so that it ends at once
    monkeypatch.setattr(_vector_source, "is_installed", lambda: installed)
    monkeypatch.setattr(_vector_source, "load_model", lambda: None)
    assert main(["--port", "0"]) == 0
    assert capsys.readouterr().out.splitlines()[0].endswith(f"cooldown 180 s, {said}")


def test_a_wrong_argument_of_a_process():
    """The same for a process of its own."""
    done = run("--plan", "gold")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("python -m electronhub_embeddings.emulator: error: argument --plan: invalid choice")
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_logged_requests():
    """With `--log-requests` each request is a line on stderr, and what to export stays alone on stdout."""
    command = [sys.executable, "-m", "electronhub_embeddings.emulator", "--port", "0", "--log-requests"]
    command += ["--vectors", "hashed"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        url = [process.stdout.readline() for _ in range(3)][1].partition("=")[2].strip()
        httpx.post(f"{url}/embeddings", headers={"Authorization": "Bearer ek-emulator"}, json={}, verify=TLS)
        process.send_signal(signal.SIGTERM)
        printed, logged = process.communicate(timeout=5)
    assert printed == ""
    assert logged.startswith("POST /v1/embeddings 400 remaining=4 texts=0 ms=")
    assert logged.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "value"),
    [("port", "70000"), ("rpm", "-1"), ("window", "0"), ("cooldown", "inf"), ("latency", "-0.5"), ("jitter", "nan")],
)
def test_a_number_out_of_range(refused, option, value):
    """A number out of range is one line that names the option, and exit code 2."""
    line = refused(f"--{option}={value}")
    assert line.startswith(f"{option} must be ")
    assert line.endswith(f", not {value}")
