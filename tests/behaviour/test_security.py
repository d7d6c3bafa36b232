"""A hostile network and environment: the key is sent only to the configured host, and nothing else is leaked."""

import json
import logging
import ssl

import certifi
import httpx
import pybase64
import pytest
import trustme

from electronhub_embeddings import APIConnectionError, APIStatusError, ElectronHubError
from electronhub_embeddings.emulator import faults
from support.audit_hooks import WAYS, audited
from support.child_processes import slow_except
from support.entry_points import SYNC, paired
from support.recording_server import Answer, answer_with_vectors

pytestmark = pytest.mark.usefixtures("quick_retries")

KEY = "ek-recorder-canary"


# The key goes nowhere else.


def test_loopback_without_tls_reads_no_certificates(entry_point, emulator, monkeypatch):
    """The certificates of all authorities take 40 ms to read, and nothing is encrypted."""
    monkeypatch.setattr(certifi, "where", lambda: pytest.fail("they are read"))
    service = emulator()
    assert len(entry_point.query(entry_point.make(service), "one"))


@pytest.mark.parametrize(
    ("entry_point", "status"),
    paired({str(status): (status,) for status in (300, 301, 302, 303, 304, 305, 307, 308)}),
    indirect=["entry_point"],
)
def test_no_redirect_is_followed(entry_point, recording_server, ask, status):
    """A redirect, to any host, is an error after one request; no other host is contacted."""
    elsewhere = recording_server()
    for place in (f"{elsewhere.base_url}/embeddings", f"//127.0.0.1:{elsewhere.port}/", "/v1/embeddings", "?again"):
        headers = {"Location": place, "Refresh": f"0; url={elsewhere.base_url}"}
        server = recording_server(lambda _, headers=headers: Answer(status, headers))
        error = ask(entry_point, server)
        assert (type(error), error.status_code) == (APIStatusError, status)
        assert len(server.requests) == 1
    assert elsewhere.connections == 0


@pytest.mark.parametrize("entry_point", ["client sync"], indirect=True)
def test_a_redirect_to_nowhere(entry_point, recording_server, ask):
    """A redirect to an invalid address is the same error, also after one request."""
    server = recording_server(lambda _: Answer(302, {"Location": "http://[::1"}))
    error = ask(entry_point, server)
    assert (type(error), len(server.requests)) == (APIStatusError, 1)


@pytest.fixture
def credentials(tmp_path, monkeypatch):
    """Create a .netrc with credentials for every host, where programs look for it."""
    file = tmp_path / ".netrc"
    file.write_text("machine 127.0.0.1 login canary password canary\ndefault login canary password canary\n", "utf-8")
    file.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(file))


@pytest.mark.usefixtures("credentials")
def test_nothing_takes_the_place_of_the_key(entry_point, recording_server):
    """Neither a .netrc nor the credentials of the user's own HTTP client replace or accompany the key."""
    server = recording_server()
    with httpx.Client(auth=("canary", "canary"), headers={"Authorization": "Basic canary"}) as http:
        for options in ({}, {"http_client": http}):
            entry_point.query(entry_point.build(api_key=KEY, base_url=server.base_url, **options), "one")
    assert [request.header("authorization") for request in server.requests] == [[f"Bearer {KEY}"]] * 2
    assert "canary" not in repr([request.headers for request in server.requests]).replace(KEY, "")


@pytest.fixture
def authority(tmp_path, monkeypatch):
    """Return a certificate authority that the default HTTP client trusts, like a company's own."""
    root = trustme.CA()
    file = tmp_path / "root.pem"
    root.cert_pem.write_to_path(file)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    return root


def serving(authority, name):
    """Return the TLS settings of a server with a name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


@pytest.mark.usefixtures("credentials")
def test_a_proxy_sees_a_tunnel(entry_point, recording_server, authority, monkeypatch):
    """A proxy from the environment is asked for a tunnel, with its own password and without the key."""
    server = recording_server(tls=serving(authority, "service.invalid"))
    proxy = recording_server(tunnel_to=server.port)
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:word@127.0.0.1:{proxy.port}")
    thing = entry_point.build(api_key=KEY, base_url="https://service.invalid/v1")
    assert len(entry_point.embed(thing, ["one", "two"])) == 2
    (tunnel,) = proxy.requests
    assert (tunnel.method, tunnel.target) == ("CONNECT", "service.invalid:443")
    assert tunnel.header("proxy-authorization") == [f"Basic {pybase64.b64encode(b'user:word').decode()}"]
    assert KEY not in repr(tunnel)
    (request,) = server.requests
    assert (request.header("authorization"), request.header("proxy-authorization")) == ([f"Bearer {KEY}"], [])


def through_proxies(entry_point, recording_server, authority, environment):
    """Send a request to a TLS server; return how often the proxy in the environment was used."""
    server = recording_server(tls=serving(authority, "127.0.0.1"))
    proxy = recording_server(tunnel_to=server.port)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value.format(proxy=f"127.0.0.1:{proxy.port}"))
        entry_point.query(entry_point.build(api_key=KEY, base_url=server.base_url, max_retries=0), "one")
    assert len(server.requests) == 1
    return proxy.connections


@pytest.mark.parametrize(
    "environment",
    [
        {"https_proxy": "{proxy}"},
        {"ALL_PROXY": "http://{proxy}"},
        {"HTTPS_PROXY": "{proxy}", "NO_PROXY": "example.com,27.0.0.1"},
        {"HTTPS_PROXY": "{proxy}", "ALL_PROXY": "http://127.0.0.1:1"},
    ],
)
@pytest.mark.parametrize("entry_point", SYNC, indirect=True)
def test_a_proxy_is_found(entry_point, recording_server, authority, environment):
    """Proxies are found in the usual variables, with or without a scheme."""
    assert through_proxies(entry_point, recording_server, authority, environment) == 1


@pytest.mark.parametrize(
    "environment",
    [
        {"HTTP_PROXY": "{proxy}"},
        {"HTTPS_PROXY": "{proxy}", "NO_PROXY": "127.0.0.1"},
        {"HTTPS_PROXY": "{proxy}", "no_proxy": "example.com, 127.0.0.1"},
        {"ALL_PROXY": "{proxy}", "NO_PROXY": "*"},
    ],
)
@pytest.mark.parametrize("entry_point", SYNC, indirect=True)
def test_no_other_proxy_is_asked(entry_point, recording_server, authority, environment):
    """A proxy for another scheme, or for an excluded host, is not used."""
    assert through_proxies(entry_point, recording_server, authority, environment) == 0


@pytest.mark.parametrize("entry_point", SYNC, indirect=True)
def test_without_tls_a_proxy_sees_the_key(entry_point, recording_server, monkeypatch):
    """With `allow_http=True`, an http proxy is used without a tunnel, and sees the key."""
    proxy = recording_server()
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
    entry_point.query(
        entry_point.build(api_key=KEY, base_url="http://service.invalid/v1", allow_http=True, max_retries=0), "one"
    )
    (request,) = proxy.requests
    assert (request.method, request.header("authorization")) == ("POST", [f"Bearer {KEY}"])


@pytest.mark.parametrize("name", ["HTTP_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize("entry_point", SYNC, indirect=True)
def test_loopback_needs_no_proxy(entry_point, recording_server, monkeypatch, name):
    """Requests to this machine without TLS use no proxy, which would see the key."""
    server, proxy = recording_server(), recording_server()
    monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    entry_point.query(entry_point.build(api_key=KEY, base_url=server.base_url), "one")
    assert (len(server.requests), proxy.connections) == (1, 0)


@pytest.mark.parametrize("entry_point", SYNC, indirect=True)
def test_cookies_are_not_kept(entry_point, recording_server):
    """Cookies of the service are not kept."""
    server = recording_server(
        lambda request: Answer(200, {"Set-Cookie": "session=canary; Path=/"}, answer_with_vectors(request).body)
    )
    thing = entry_point.build(api_key=KEY, base_url=server.base_url)
    for text in ("one", "two"):
        entry_point.query(thing, text)
    assert [request.header("cookie") for request in server.requests] == [[], []]


HOSTILE_URLS = [
    "http://[::1].evil.invalid/v1",
    "http://[::1]evil.invalid/v1",
    "http://127.0.0.1:80:90/v1",
    "http://127.0.0.1\n.evil.invalid/v1",
    "http://localhost\t.evil.invalid/v1",
    "http://127.0.0.1\\@evil.invalid/v1",
    "http://127.0.0.1%2eevil.invalid/v1",
    "http://127.0.0.1;evil.invalid/v1",
    "http://127.0.0.1%00.evil.invalid/v1",
]


@pytest.mark.parametrize("url", HOSTILE_URLS)
@pytest.mark.parametrize("entry_point", ["client sync"], indirect=True)
def test_urls_that_two_parsers_could_read_differently(entry_point, url, monkeypatch):
    """An address that only looks like loopback is refused, at the latest before any host is looked up."""
    looked_up = []
    monkeypatch.setattr("socket.getaddrinfo", lambda host, *_, **__: looked_up.append(host) or [])
    with pytest.raises((ValueError, ElectronHubError)):
        entry_point.query(entry_point.build(api_key=KEY, base_url=url, max_retries=0), "one")
    assert looked_up == []


@pytest.mark.parametrize("kind", slow_except({"client"}, WAYS))
def test_one_host_from_import_to_exit(emulator, kind):
    """From the first import to the last vector, sync and async, the whole process contacts the configured host only."""
    script = """
thing.{embed}(["one", "two"])
thing.{query}("three")
asyncio.run(thing.a{embed}(["four"]))
asyncio.run(thing.a{query}("five"))
thing.close()
print(json.dumps(sorted(contacted)))
"""
    service = emulator(rpm=0)
    url = httpx.URL(service.base_url)
    assert audited(kind, script, service) == [f"({url.host!r}, {url.port})"]
    assert len(service.calls) == 4


# Nothing is told.


def test_logs_tell_nothing(entry_point, emulator, caplog):
    """All loggers of the process at DEBUG level contain no text, vector, header, user or key."""
    canaries = [KEY, "canary-text", "canary-header", "canary-user", "canary-said"]
    trouble = [faults.error(503, "canary-said"), faults.drop(), faults.truncate(), faults.nonsense(b"canary-said")]
    service = emulator(rpm=0, api_key=KEY, faults=[None, *trouble, None, faults.error(400, "canary-said")])
    thing = entry_point.make(service, default_headers={"X-Secret": "canary-header"}, user="canary-user")
    with caplog.at_level(logging.DEBUG):
        for name in list(logging.root.manager.loggerDict):
            logging.getLogger(name).setLevel(logging.NOTSET)
        for _ in range(2):
            entry_point.embed(thing, ["canary-text"])
        with pytest.raises(ElectronHubError):
            entry_point.query(thing, "canary-text")
    vector = service.vector("canary-text")
    canaries += [pybase64.b64encode(vector.tobytes()).decode()[:20], str(float(vector[0]))[:8]]
    logged = [f"{vars(record)} {record.getMessage()}" for record in caplog.records]
    assert len(service.calls) == 7
    assert len(logged) > 20
    assert [(canary, line) for canary in canaries for line in logged if canary in line] == []


@pytest.mark.parametrize("entry_point", SYNC, indirect=True)
def test_the_password_of_a_store_does_not_show(entry_point, emulator):
    """The error for two different stores quotes no password."""
    service = emulator(rpm=0)
    first = entry_point.make(service, rate_limit_store="memory")
    entry_point.query(first, "one")
    with pytest.raises(ValueError, match="same store") as caught:
        entry_point.query(entry_point.make(service, rate_limit_store="redis://user:canary@127.0.0.1:1/0"), "two")
    assert "canary" not in str(caught.value)


# Injection.

INJECTED = "x\r\nX-Evil: canary\r\n\r\nPOST /v1/embeddings HTTP/1.1\r\n\r\n"


def test_values_cannot_become_headers(entry_point, recording_server):
    """Line breaks in a model, a user, a prefix or a text stay inside the JSON, to the character."""
    server = recording_server()
    thing = entry_point.build(
        api_key=KEY, base_url=server.base_url, model=INJECTED, user=INJECTED, query_prefix=INJECTED, max_retries=0
    )
    entry_point.query(thing, INJECTED)
    (request,) = server.requests
    assert request.header("x-evil") == []
    body = json.loads(request.body)
    assert (body["model"], body["user"], body["input"]) == (INJECTED, INJECTED, [INJECTED * 2])


@pytest.mark.parametrize("entry_point", SYNC, indirect=True)
@pytest.mark.parametrize(
    "options",
    [
        {"api_key": f"{KEY}\r\nX-Evil: canary"},
        {"api_key": f"{KEY}\n X-Evil: canary"},
        {"default_headers": {"X-Good": INJECTED}},
        {"default_headers": {INJECTED: "good"}},
        {"default_headers": {"X-Good": "x\0"}},
        {"default_headers": {"X-Good": "x\x85X-Evil: canary"}},
    ],
    ids=["key", "folded key", "value", "name", "nul", "unicode line"],
)
def test_line_breaks_in_headers_are_refused(entry_point, recording_server, options):
    """A key or header that would end its line is refused when the object is made."""
    server = recording_server()
    with pytest.raises(ValueError, match=r"api_key|default_headers"):
        entry_point.build(**{"api_key": KEY, "base_url": server.base_url, **options})
    assert server.connections == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"X Bad": "x"},
        {"": "x"},
        {"X:Y": "x"},
        {"X-Bad": " x"},
        {"X-Bad": 5},
        {"Content-Length": "3"},
        {"Transfer-Encoding": "chunked"},
        {"Host": "evil.invalid"},
    ],
    ids=repr,
)
@pytest.mark.parametrize("entry_point", ["client sync"], indirect=True)
def test_headers_that_cannot_be_sent_are_refused(entry_point, headers):
    """A header that no request can carry, or that would break its framing, is refused when the object is made."""
    with pytest.raises(ValueError, match="default_headers"):
        entry_point.build(api_key=KEY, base_url="https://service.invalid/v1", default_headers=headers)


# TLS.


@pytest.mark.parametrize("name", ["127.0.0.1", "other.invalid"], ids=["unknown authority", "another name"])
def test_certificates_are_checked(entry_point, recording_server, authority, ask, name):
    """A certificate of an unknown authority or for another host is refused before the key is sent, for that reason."""
    unknown = trustme.CA() if name == "127.0.0.1" else authority
    server = recording_server(tls=serving(unknown, name))
    error = ask(entry_point, server)
    assert (type(error), error.sent, error.retries) == (APIConnectionError, False, 0)
    assert "certificate verify failed" in str(error)
    assert server.requests == []


def test_certificates_of_ones_own(entry_point, recording_server, authority, monkeypatch):
    """A private authority is trusted through an HTTP client that trusts it, and through SSL_CERT_FILE."""
    server = recording_server(tls=serving(authority, "127.0.0.1"))
    entry_point.query(entry_point.build(api_key=KEY, base_url=server.base_url, max_retries=0), "one")
    monkeypatch.delenv("SSL_CERT_FILE")
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with httpx.Client(verify=trusting) as http:
        entry_point.query(
            entry_point.build(api_key=KEY, base_url=server.base_url, max_retries=0, http_client=http), "one"
        )
    assert [request.header("authorization") for request in server.requests] == [[f"Bearer {KEY}"]] * 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTPS_PROXY", "nonsense://127.0.0.1:1"),
        # Older ones take no notice of a file that is not there, and use their own certificates.
        *([("SSL_CERT_FILE", "/nowhere/certificates.pem")] if httpx.__version__ >= "0.28" else []),
    ],
)
def test_an_environment_that_cannot_be_used(entry_point, ask, monkeypatch, name, value):
    """Unusable proxies and certificates raise an error of this package at once, and nothing is sent."""
    monkeypatch.setenv(name, value)

    class Nowhere:
        api_key, base_url = KEY, "https://127.0.0.1:1/v1"

    error = ask(entry_point, Nowhere)
    assert (type(error), error.sent, error.retries) == (APIConnectionError, False, 0)
    assert "environment" in str(error)
