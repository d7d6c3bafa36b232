"""How bytes are read from a connection."""

import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpcore
import httpx
import pytest
import trustme

from electronhub_embeddings._http import network_stream
from electronhub_embeddings._http.attempt_timeout import AttemptTimeout
from electronhub_embeddings._http.network_stream import FULL_READ, NetworkBackend

AUTHORITY = trustme.CA()


def context(purpose):
    """Return a context of one end."""
    context = ssl.create_default_context(purpose)
    if purpose is ssl.Purpose.CLIENT_AUTH:
        AUTHORITY.issue_cert("127.0.0.1").configure_cert(context)
    else:
        AUTHORITY.configure_trust(context)
    return context


@pytest.fixture
def timeout():
    """Return the timeout of an attempt that has begun."""
    timeout = AttemptTimeout(10)
    timeout.start()
    return timeout


@pytest.fixture(params=["plain", "tls", "tls in tls"])
def ends(request, timeout):
    """Return a stream of ours, and the other end."""
    with ExitStack() as stack:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            stream = NetworkBackend(httpcore.SyncBackend(), timeout).connect_tcp(*listener.getsockname())
            other, _ = listener.accept()
        stack.callback(other.close)
        stack.callback(stream.close)
        for _ in range(request.param.count("tls")):
            server = TLSServer(other)
            with ThreadPoolExecutor(1) as pool:
                accepting = pool.submit(server.accept)
                try:
                    stream = stream.start_tls(context(ssl.Purpose.SERVER_AUTH), server_hostname="127.0.0.1")
                except RuntimeError as error:  # httpcore before 1.0
                    stream.close()
                    accepting.exception(10)
                    pytest.skip(str(error))
                accepting.result(10)
            stack.callback(stream.close)
            other = server
        yield stream, other


class TLSServer:
    """The far end of a connection with TLS, which may run on top of another."""

    def __init__(self, connection):
        self._connection = connection
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context(ssl.Purpose.CLIENT_AUTH).wrap_bio(self._incoming, self._outgoing, server_side=True)

    def accept(self):
        """Shake hands."""
        while not self._try_to_accept():
            self._receive()

    def _receive(self):
        if received := self._connection.recv(FULL_READ):
            self._incoming.write(received)
        else:
            self._incoming.write_eof()

    def _try_to_accept(self):
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        finally:
            self._connection.sendall(self._outgoing.read())
        return True

    def sendall(self, content):
        """Encrypt, and send."""
        while content:
            content = content[self._tls.write(content) :]
            self._connection.sendall(self._outgoing.read())

    def recv(self, size):
        """Receive, and decrypt."""
        while True:
            try:
                return self._tls.read(size)
            except ssl.SSLWantReadError:  # noqa: PERF203
                self._receive()

    def close(self):
        """Close the connection below."""
        self._connection.close()


def send(other, content):
    """Send bytes in the background: they may not fit into the buffers of the system."""
    thread = threading.Thread(target=other.sendall, args=(content,))
    thread.start()
    return thread


def test_nothing_is_lost_or_reordered(ends):
    """All bytes arrive in order, whether they come as records, small or large."""
    stream, other = ends
    content = bytes(i % 251 for i in range(1_000_000))
    sending = send(other, content)
    received = b""
    while len(received) < len(content):
        received += stream.read(65_536)
    sending.join(10)
    assert received == content
    other.sendall(b"the end")
    assert stream.read(65_536) == b"the end"


@pytest.mark.parametrize("ends", ["plain", "tls"], indirect=True)
def test_a_read_takes_all_that_has_arrived(ends):
    """A chunk may be longer than a TLS record, and than was asked for."""
    stream, other = ends
    other.sendall(bytes(4 * FULL_READ))
    assert len(stream.read(FULL_READ)) == 4 * FULL_READ


def test_a_read_does_not_wait_for_more(ends):
    """What has arrived is returned at once, also if exactly one record has."""
    stream, other = ends
    other.sendall(bytes(FULL_READ))
    received = 0
    while received < FULL_READ:
        received += len(stream.read(65_536))
    other.sendall(b"more")
    assert stream.read(65_536) == b"more"


@pytest.mark.parametrize("ends", ["plain", "tls"], indirect=True)
def test_the_end_of_a_connection(ends):
    """What came before the end is returned, and then nothing."""
    stream, other = ends
    sending = send(other, bytes(3 * FULL_READ))
    received = 0
    while received < 3 * FULL_READ:
        received += len(stream.read(65_536))
    sending.join(10)
    other.close()
    assert stream.read(65_536) == b""


def test_reads_end_with_the_attempt(ends, timeout, monkeypatch):
    """A read waits no longer than the attempt may take, whatever time-out it was given."""
    stream, _ = ends
    monkeypatch.setattr(timeout, "seconds", 0.01)
    timeout.start()
    with pytest.raises((httpx.ReadTimeout, httpcore.ReadTimeout)):
        stream.read(65_536, timeout=60)


def test_the_buffer_is_made_when_it_is_needed(ends, monkeypatch):
    """Short answers, as those of queries, need no buffer."""
    monkeypatch.setattr(network_stream, "BUFFER_BYTES", -1)  # cannot be made
    stream, other = ends
    other.sendall(b"short")
    assert stream.read(65_536) == b"short"
