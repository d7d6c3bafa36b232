"""The emulator's life: start, address, close, command line."""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import pytest

import electronhub_embeddings.emulator as package
from electronhub_embeddings.emulator import Emulator, faults

# Made once: it takes 20 ms, and no test uses it.
TLS = httpx.create_ssl_context()


def ask(service, timeout=5.0):
    """Send one call."""
    body = {"model": "text-embedding-3-small", "input": "hello"}
    headers = {"Authorization": f"Bearer {service.api_key}"}
    return httpx.post(f"{service.base_url}/embeddings", json=body, headers=headers, timeout=timeout, verify=TLS)


def test_all_is_complete():
    """What the package exports exists."""
    assert [name for name in package.__all__ if not hasattr(package, name)] == []


def test_the_constructor_starts_nothing():
    """No thread, no address before start; both go and come with it."""
    before = threading.active_count()
    service = Emulator()
    assert threading.active_count() == before
    with pytest.raises(RuntimeError, match="started"):
        _ = service.base_url
    assert repr(service) == "Emulator(not started, calls=0)"


def test_close_ends_thread_and_socket():
    """After `close` nobody listens, no thread is left, and the address is still known."""
    before = threading.active_count()
    service = Emulator().start()
    assert ask(service).status_code == 200
    service.close()
    assert threading.active_count() == before
    with pytest.raises(httpx.ConnectError):
        ask(service)


def test_start_and_close_can_be_repeated():
    """Twice is once; a closed emulator can be started again."""
    service = Emulator(rpm=0)
    assert service.start() is service.start()
    service.close()
    service.close()
    with service:
        assert ask(service).status_code == 200


def test_several_at_once():
    """Each has its own port and its own calls."""
    with Emulator() as one, Emulator(api_key="ek-other") as other:
        assert one.base_url != other.base_url
        ask(other)
        assert (len(one.calls), len(other.calls)) == (0, 1)


def test_idle_connections_do_not_delay_the_end():
    """A kept-alive connection is ended, not waited for."""
    service = Emulator().start()
    with httpx.Client(verify=TLS) as client:
        client.get(f"{service.base_url}/models")
        start = time.monotonic()
        service.close()
        assert time.monotonic() - start < 0.5


def test_a_kept_alive_connection_answers_at_once():
    """No body waits the 40 ms of a delayed acknowledgement for its headers."""
    with Emulator() as service, httpx.Client(verify=TLS, base_url=service.base_url) as client:
        seconds = [client.get("/models").elapsed.total_seconds() for _ in range(15)]
    assert sorted(seconds)[7] < 0.03


def test_calls_under_way_do_not_delay_the_end(caplog):
    """A call that is being served is cut off, and nothing is logged about it."""
    service = Emulator(faults=[faults.delay(30), faults.stall(30)]).start()
    failures = []

    def fail():
        try:
            ask(service, timeout=20)
        except httpx.TransportError as error:
            failures.append(error)

    threads = [threading.Thread(target=fail) for _ in range(2)]
    with caplog.at_level(logging.INFO):
        for thread in threads:
            thread.start()
        while len(service.calls) < 2:
            time.sleep(0.005)
        start = time.monotonic()
        service.close()
        for thread in threads:
            thread.join()
    assert time.monotonic() - start < 1.0
    assert len(failures) == 2
    assert [record for record in caplog.records if record.name.startswith(("uvicorn", "electronhub"))] == []


def test_a_client_that_speaks_no_http_is_told_so():
    """Garbage gets a 400, not a hang."""
    with Emulator() as service:
        port = httpx.URL(service.base_url).port
        with socket.create_connection(("127.0.0.1", port), timeout=5) as tcp:
            tcp.sendall(b"garbage\r\n\r\n")
            assert tcp.recv(100).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.0.1", "::", "example.org"])  # noqa: S104
def test_loopback_only(host):
    """Any other host is refused before anything is bound."""
    with pytest.raises(ValueError, match=r"loopback|address"):
        Emulator(host=host)


def test_localhost_is_loopback():
    """The name is resolved by hand, to the address that clients try first."""
    with Emulator(host="localhost") as service:
        assert service.base_url.startswith("http://127.0.0.1:")


def test_a_port_of_ones_own():
    """A given port is bound; bound twice it is an error of the caller, and leaves the first in peace."""
    with Emulator() as first:
        port = httpx.URL(first.base_url).port
        with pytest.raises(OSError, match="in use"):
            Emulator(port=port).start()
        assert ask(first).status_code == 200
    with Emulator(port=port) as second:
        assert httpx.URL(second.base_url).port == port


@pytest.mark.parametrize(("settings", "match"), [({"plan": "gold"}, "gold"), ({"rpm": -1}, "rpm")])
def test_wrong_settings(settings, match):
    """An unknown plan and a negative limit are refused at once."""
    with pytest.raises(ValueError, match=match):
        Emulator(**settings)


def test_missing_dependencies_are_named():
    """Without starlette the import says what to install."""
    code = "import sys; sys.modules['starlette'] = None; import electronhub_embeddings.emulator"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert 'pip install "electronhub-embeddings[emulator]"' in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_command_line(number):
    """It prints what to export, serves with its options, and leaves with 0 on Ctrl-C and on SIGTERM."""
    command = [sys.executable, "-m", "electronhub_embeddings.emulator", "--port", "0", "--plan", "pro"]
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
        told = [process.stdout.readline() for _ in range(3)]
        url = told[1].partition("=")[2].strip()
        response = httpx.get(f"{url}/user/me", headers={"Authorization": "Bearer ek-x"}, verify=TLS)
        process.send_signal(number)
        rest = process.communicate(timeout=5)
    assert told[0] == "Electron Hub emulator, plan pro: 30 requests in 9 s, cooldown 4 s\n"
    assert told[1].startswith("export ELECTRONHUB_BASE_URL=http://127.0.0.1:")
    assert told[2] == "export ELECTRONHUB_API_KEY=ek-x\n"
    assert (response.status_code, response.headers["X-RateLimit-Limit"]) == (200, "30")
    assert (process.returncode, rest) == (0, ("", ""))
