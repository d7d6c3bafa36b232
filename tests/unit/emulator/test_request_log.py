"""The line that the emulator logs for each request."""

import re
import ssl

import httpx
import pytest

from electronhub_embeddings.emulator import Emulator, faults

# No certificates: reading them takes 20 ms, and no test uses any.
TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
EMBEDDINGS = {"model": "text-embedding-3-small", "input": ["one", "two", "three"]}
CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def lines_of(until):
    """Return a function that serves some requests, one after another, and returns the lines without the time."""

    def serve(*requests, key="ek-emulator", **settings):
        lines = []
        headers = {"Authorization": f"Bearer {key}"}
        with Emulator(log=lines.append, **settings) as service:
            for number, (method, path, body) in enumerate(requests, 1):
                with httpx.Client(base_url=service.base_url, headers=headers, verify=TLS) as client:
                    try:
                        client.request(method, path, json=body)
                    except httpx.TransportError:
                        assert settings["faults"]
                # The line is written once the response has ended, which a client may see first.
                until(lambda number=number: len(lines) == number)
        assert [line for line in lines if key in line] == []
        return [re.fullmatch(r"(.+) ms=\d+", line)[1] for line in lines]

    return serve


def test_a_line_for_each_request(lines_of):
    """Calls have their texts or messages, and every request has its status and the calls that remain."""
    stream = {**CHAT, "stream": True}
    requests = [
        ("POST", "/embeddings", EMBEDDINGS),
        ("POST", "/chat/completions", CHAT),
        ("POST", "/chat/completions", stream),
        ("GET", "/models", None),
        ("POST", "/embeddings", {"input": 7}),
        ("GET", "/user/me", None),
        ("GET", "/nowhere", None),
        ("POST", "/models", None),
    ]
    assert lines_of(*requests, rpm=3) == [
        "POST /v1/embeddings 200 remaining=2 texts=3",
        "POST /v1/chat/completions 200 remaining=1 messages=1",
        "POST /v1/chat/completions 200 remaining=0 messages=1",
        "GET /v1/models 200 remaining=0",
        "POST /v1/embeddings 429 remaining=0 texts=0",
        "GET /v1/user/me 200 remaining=0",
        "GET /v1/nowhere 404 remaining=0",
        "POST /v1/models 405 remaining=0",
    ]


def test_headers_and_limit_may_be_missing(lines_of):
    """The calls that remain are logged without the headers too; without a limit there is a dash."""
    request = ("POST", "/embeddings", EMBEDDINGS)
    assert lines_of(request, rpm=3, rate_limit_headers=False) == ["POST /v1/embeddings 200 remaining=2 texts=3"]
    assert lines_of(request, rpm=0) == ["POST /v1/embeddings 200 remaining=- texts=3"]


def test_faults_are_logged(lines_of):
    """A dropped connection has no status; a response that is damaged on its way has one."""
    script = [faults.drop(), faults.error(503), faults.wrong_length(5), faults.truncate()]
    statuses = [line.split()[2] for line in lines_of(*[("POST", "/embeddings", EMBEDDINGS)] * 4, rpm=0, faults=script)]
    assert statuses == ["-", "503", "200", "200"]


@pytest.mark.parametrize("key", ["ek-emulator", "ek-wrong"])
def test_a_query_is_not_logged(lines_of, key):
    """A key in the address or in the header is in no line, and a path is logged as it was sent."""
    requests = [("POST", f"/embeddings?api_key={key}", EMBEDDINGS), ("GET", f"/a%0Ab?key={key}", None)]
    paths = [line.split()[1] for line in lines_of(*requests, rpm=0, key=key)]
    assert paths == ["/v1/embeddings", "/v1/a%0Ab"]


def test_a_call_cut_off_by_the_end(until):
    """A call that is cut off by `close` is logged too, with the time that it took."""
    lines = []
    service = Emulator(rpm=0, latency=30, log=lines.append).start()
    headers = {"Authorization": f"Bearer {service.api_key}"}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{service.base_url}/embeddings", json=EMBEDDINGS, headers=headers, verify=TLS, timeout=0.2)
    until(lambda: service.calls)
    service.close()
    (line,) = lines
    assert re.fullmatch(r"POST /v1/embeddings 200 remaining=- texts=3 ms=\d{3,4}", line)
