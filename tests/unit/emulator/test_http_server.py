"""The emulator's HTTP server: connections, and the end of them."""

import logging
import socket
import ssl
import threading
import time

import httpx
import pytest

from electronhub_embeddings.emulator import Emulator, faults

# No certificates: reading them takes 20 ms, and no test uses any.
TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def ask(service, timeout=5.0):
    """Send one call."""
    body = {"model": "text-embedding-3-small", "input": "hello"}
    headers = {"Authorization": f"Bearer {service.api_key}"}
    return httpx.post(f"{service.base_url}/embeddings", json=body, headers=headers, timeout=timeout, verify=TLS)


def test_close_ends_thread_and_socket():
    """After `close` nothing listens, no thread is left, and the address is still known."""
    before = threading.active_count()
    service = Emulator().start()
    assert ask(service).status_code == 200
    service.close()
    assert threading.active_count() == before
    with pytest.raises(httpx.ConnectError):
        ask(service)


def test_idle_connections_do_not_delay_the_end():
    """An idle connection is closed at once."""
    service = Emulator().start()
    with httpx.Client(verify=TLS) as client:
        client.get(f"{service.base_url}/models")
        start = time.monotonic()
        service.close()
        assert time.monotonic() - start < 0.5


def test_a_kept_alive_connection_responds_at_once():
    """A body does not wait 40 ms for the delayed acknowledgement of its headers."""
    with Emulator() as service, httpx.Client(verify=TLS, base_url=service.base_url) as client:
        seconds = [client.get("/models").elapsed.total_seconds() for _ in range(15)]
    assert sorted(seconds)[7] < 0.03


def test_calls_in_flight_do_not_delay_the_end(caplog):
    """A call in flight is cut off, and nothing is logged about it."""
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


def test_a_client_that_does_not_speak_http():
    """Garbage gets a 400 at once."""
    with Emulator() as service:
        port = httpx.URL(service.base_url).port
        with socket.create_connection(("127.0.0.1", port), timeout=5) as tcp:
            tcp.sendall(b"garbage\r\n\r\n")
            assert tcp.recv(100).startswith(b"HTTP/1.1 400")
