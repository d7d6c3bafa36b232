"""A minimal HTTP server on loopback that records requests byte for byte and sends arbitrary answers.

It does what the emulator, a well-behaved service, does not do: it records the key, counts connections, supports TLS,
acts as a proxy, and sends headers and bodies that no honest server would send.
"""

import itertools
import json
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer


@dataclass(frozen=True)
class RecordedRequest:
    """One request as received."""

    method: str
    target: str
    headers: list
    body: bytes
    peer: int
    """The client's port, which identifies the connection."""

    def header(self, name):
        """List the values of a header."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


@dataclass(frozen=True)
class Answer:
    """An answer to send."""

    status: int = 200
    headers: dict = field(default_factory=dict)
    body: bytes = b""


def answer_with_vectors(request):
    """Answer with a vector of two numbers for each text: its position (from 1) and its length."""
    texts = json.loads(request.body)["input"]
    data = [{"index": i, "embedding": [i + 1.0, len(text)]} for i, text in enumerate(texts)]
    return Answer(body=json.dumps({"data": data}).encode())


def answer_with_chat(limit=60):
    """Return a function that answers chat calls, plain or streamed, and others with vectors, and names the limit."""
    numbers = itertools.count(1)

    def answer(request):
        headers = {"X-RateLimit-Limit": limit, "X-RateLimit-Remaining": limit - next(numbers)}
        if not request.target.endswith("/chat/completions"):
            return replace(answer_with_vectors(request), headers=headers)
        base = {"id": "chat-1", "created": 1, "model": "gpt-4o-mini"}
        words = ["Paris", " is", " it."]
        if not json.loads(request.body).get("stream"):
            message = {"role": "assistant", "content": "".join(words)}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            usage = {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}
            body = {**base, "object": "chat.completion", "choices": [choice], "usage": usage}
            return Answer(headers=headers, body=json.dumps(body).encode())
        chunks = [{"delta": {"role": "assistant", "content": word}, "finish_reason": None} for word in words]
        chunks.append({"delta": {}, "finish_reason": "stop"})
        base["object"] = "chat.completion.chunk"
        events = [json.dumps({**base, "choices": [{"index": 0, **chunk}]}) for chunk in chunks]
        body = "".join(f"data: {event}\n\n" for event in [*events, "[DONE]"]).encode()
        return Answer(headers={**headers, "Content-Type": "text/event-stream"}, body=body)

    return answer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.do_POST()

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        answer = self.server.answer(self._see(body))
        headers = {"Content-Type": "application/json", "Content-Length": len(answer.body), **answer.headers}
        self.send_response_only(answer.status)
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()
        with suppress(OSError):  # the client has closed the connection
            self.wfile.write(answer.body)
        if int(headers["Content-Length"]) > len(answer.body):  # else the client would wait until it times out
            self.close_connection = True

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
        request = RecordedRequest(self.command, self.path, self.headers.items(), body, self.client_address[1])
        self.server.requests.append(request)
        return request


def _copy(source, target):
    """Forward bytes until the source is closed."""
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


class RecordingServer:
    """Serves inside a `with` block.

    Args:
        answer: Returns the answer to a recorded request.
        tls: The server's `ssl.SSLContext`; None: plain HTTP.
        tunnel_to: The port to which every proxy tunnel is connected, whatever host is requested.
    """

    def __init__(self, answer=answer_with_vectors, *, tls=None, tunnel_to=None):
        self._server = server = _Server(("127.0.0.1", 0), _Handler)
        server.answer, server.requests, server.connections, server.tunnel_to = answer, [], 0, tunnel_to
        server.changed, server.open = threading.Lock(), set()
        self.port = server.server_address[1]
        self.base_url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}/v1"
        self.api_key = "ek-recorder-canary"
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)

    @property
    def requests(self):
        """The requests so far."""
        return list(self._server.requests)

    @property
    def connections(self):
        """The number of connections so far."""
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
