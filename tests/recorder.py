"""A bare HTTP server on loopback: keeps what it is sent, to the byte, and answers whatever it is told.

For what the emulator, a well-behaved service, cannot do: it shows the key, counts connections, speaks TLS, plays a
proxy, and answers with headers and bodies that no honest server sends.
"""

import json
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer


@dataclass(frozen=True)
class Seen:
    """One request as it came."""

    method: str
    target: str
    headers: list
    body: bytes
    peer: int
    """The port it came from: one for each connection."""

    def header(self, name):
        """List the values of a header."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


@dataclass(frozen=True)
class Told:
    """An answer."""

    status: int = 200
    headers: dict = field(default_factory=dict)
    body: bytes = b""


def rows(seen):
    """Answer with a vector of two numbers for each text: its place and its length."""
    texts = json.loads(seen.body)["input"]
    data = [{"index": i, "embedding": [i + 1.0, len(text)]} for i, text in enumerate(texts)]
    return Told(body=json.dumps({"data": data}).encode())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.do_POST()

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        told = self.server.answer(self._see(body))
        headers = {"Content-Type": "application/json", "Content-Length": len(told.body), **told.headers}
        self.send_response_only(told.status)
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()
        with suppress(OSError):  # the other side has had enough
            self.wfile.write(told.body)

    def do_CONNECT(self):
        self._see(b"")
        self.send_response_only(200)
        self.end_headers()
        self.close_connection = True
        with socket.create_connection(("127.0.0.1", self.server.tunnel_to)) as far:
            back = threading.Thread(target=_copy, args=(far, self.connection))
            back.start()
            _copy(self.connection, far)
            back.join()

    def _see(self, body):
        seen = Seen(self.command, self.path, self.headers.items(), body, self.client_address[1])
        self.server.seen.append(seen)
        return seen


def _copy(source, target):
    """Pass on what comes until it ends."""
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


class _Server(ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 256

    def finish_request(self, request, client_address):
        with self.changed:
            self.connections += 1
            self.open.add(request)
        try:
            request.settimeout(30)
            with suppress(OSError):
                super().finish_request(request, client_address)
        finally:
            with self.changed:
                self.open.discard(request)


class Recorder:
    """Serves from `with` to the end of it.

    Args:
        answer: Gives what to tell for what was seen.
        tls: An `ssl.SSLContext` of a server; None: plain HTTP.
        tunnel_to: The port to which it takes every tunnel, whatever host is asked for, when it is used as a proxy.
    """

    def __init__(self, answer=rows, *, tls=None, tunnel_to=None):
        self._server = server = _Server(("127.0.0.1", 0), _Handler)
        server.answer, server.seen, server.connections, server.tunnel_to = answer, [], 0, tunnel_to
        server.changed, server.open = threading.Lock(), set()
        self.port = server.server_address[1]
        self.base_url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}/v1"
        self.api_key = "ek-recorder-canary"
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)

    @property
    def seen(self):
        """What has come so far."""
        return list(self._server.seen)

    @property
    def connections(self):
        """How many connections were opened to it."""
        return self._server.connections

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        with self._server.changed:
            for request in self._server.open:
                with suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)
        self._server.server_close()
