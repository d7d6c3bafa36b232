"""Every argument is checked at construction, by the client and both adapters, not at the first text."""

import sys
from pathlib import Path
from types import MappingProxyType

import httpx
import numpy as np
import pytest

from electronhub_embeddings.rate_limit_stores.memory import MemoryStore
from support.entry_points import ENTRY_POINTS, SYNC, EntryPoint

CANARY = "canary-0123456789"


@pytest.fixture
def build(closing):
    """Return a function that creates an object of each class with the same arguments."""
    entry_points = [EntryPoint(ENTRY_POINTS[name], closing) for name in SYNC]
    return lambda **options: [entry_point.build(**{"api_key": "ek-test", **options}) for entry_point in entry_points]


@pytest.fixture
def refused(closing):
    """Return a function that passes invalid arguments to each class, and returns what the errors say, in lines."""

    def refuse_once(name, options):
        try:
            EntryPoint(ENTRY_POINTS[name], closing).build(**{"api_key": "ek-test", **options})
        except ValueError as error:
            said = str(error)
        else:
            pytest.fail(f"{name} takes {options}")
        assert next(iter(options)) in said, name
        assert CANARY not in said, name
        return said

    def refuse(**options):
        return [refuse_once(name, options) for name in SYNC]

    return refuse


async def hook(_):
    """Do nothing, later."""


BAD_URLS = {
    "line break at the end": "https://a.example/v1\n",
    "line break in the host": "https://a.exa\nmple/v1",
    "carriage return": "https://a.example\r/v1",
    "tab": "https://a.\texample/v1",
    "space at the beginning": " https://a.example/v1",
    "space in the path": "https://a.example/v 1",
    "nul": "https://a.example/v1\0",
    "delete": "https://a.example/v1\x7f",
    "no-break space": "https://a.example/v1\xa0",
    "zero-width space": "https://a.example\u200b/v1",
    "lone surrogate": "https://a.example/\ud800",
    "lone surrogate in the host": "https://a\ud800.example/",
    "backslash": "https://a.example\\v1",
    "port above 65,535": "https://a.example:65536/v1",
    "port of five nines": "https://a.example:99999",
    "port 0": "https://a.example:0/v1",
    "port of words": "https://a.example:http/v1",
    "no port": "https://a.example:/v1",
    "no host": "https:///v1",
    "no host, a port": "https://:443/v1",
    "no slashes": "https:a.example/v1",
    "percent-encoded host": "https://a%2eexample/v1",
    "IPv4 out of range": "https://999.1.1.1/v1",
    "IPv4 in short": "https://127.1/v1",
    "IPv4 as a number": "https://2130706433/v1",
    "IPv4 in hexadecimal": "https://0x7f000001/v1",
    "IPv6 that is none": "https://[:::1]/v1",
    "IPv6 that ends nowhere": "https://[::1/v1",
    "IPv6 with a zone": "https://[fe80::1%25eth0]/v1",
    "IPv6 without brackets": "https://::1/v1",
    "two dots": "https://a..example/v1",
    "dot in front": "https://.example/v1",
    "long label": f"https://{'a' * 64}.example/v1",
    "long host": f"https://{'a.' * 130}example/v1",
    "not in IDNA": "https://a\N{SNOWMAN}.example/v1",
    "punycode that is none": "https://xn--a.example/v1",
    "compatibility characters": "https://\N{CARE OF}.example/v1",
    "empty query": "https://a.example/v1?",
    "empty fragment": "https://a.example/v1#",
    "empty user": "https://@a.example/v1",
    "long": f"https://a.example/{'v' * 70_000}",
    "bytes": b"https://a.example/v1",
    "empty bytes": b"",
    "number": 5,
    "zero": 0,
    "httpx.URL": httpx.URL("https://a.example/v1"),
}


@pytest.mark.parametrize("url", BAD_URLS.values(), ids=BAD_URLS)
def test_a_base_url_that_httpx_would_not_take(refused, url):
    """A malformed URL is rejected at construction: `urlsplit` drops line breaks, and httpx fails at the first text."""
    said = refused(base_url=url)
    if isinstance(url, str):
        assert [words for words in said if "https://api.electronhub.ai/v1" not in words] == []


@pytest.mark.parametrize("url", ["https://user:canary-0123456789@a.example", "https://a.example:canary-0123456789"])
def test_a_base_url_is_not_quoted(refused, url):
    """The URL may contain a password."""
    refused(base_url=url)


@pytest.mark.parametrize("entry_point", SYNC, indirect=True)
def test_the_variable_is_named(entry_point, monkeypatch):
    """An error in an environment variable names the variable, not the argument."""
    monkeypatch.setenv("ELECTRONHUB_BASE_URL", "https://a.example/v1\n")
    with pytest.raises(ValueError, match=r"ELECTRONHUB_BASE_URL has '\\n' at position 20"):
        entry_point.build(api_key="ek-test")


GOOD_URLS = [
    "https://a.example:1/v1",
    "https://a.example:65535/v1",
    "https://a.example./v1",
    "https://my_service/v1",
    "https://203.0.113.7/v1",
    "https://[2001:db8::1]:8443/v1",
    "https://b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example/v1",
    "https://xn--bcher-kva.example/v1",
    "https://a.example/v%201/~x;y=1",
]


@pytest.mark.parametrize("url", GOOD_URLS)
def test_a_base_url_that_httpx_takes(build, url):
    """Every accepted URL is valid for httpx, so it cannot fail at the first text."""
    build(base_url=url)
    assert httpx.URL(f"{url}/embeddings").host


BAD = [
    ("user", 5),
    ("user", ""),
    ("user", True),
    ("user", b"u-1"),
    ("user", ["u-1"]),
    ("user", "u\ud800"),
    ("model", 5),
    ("model", ""),
    ("model", b"m"),
    ("model", "m\ud800"),
    ("query_prefix", None),
    ("query_prefix", 5),
    ("query_prefix", "\ud800"),
    ("document_prefix", b"d: "),
    ("document_prefix", "\udfff"),
    ("timeout", float("nan")),
    ("timeout", float("inf")),
    ("timeout", True),
    ("timeout", "60"),
    ("timeout", np.array([60.0])),
    ("max_wait", float("nan")),
    ("max_wait", -1),
    ("max_wait", True),
    ("max_wait", "60"),
    ("dimensions", np.float64(8)),
    ("dimensions", np.bool_(1)),
    ("dimensions", True),
    ("dimensions", "8"),
    ("dimensions", 8.0),
    ("dimensions", 2**64),
    ("dimensions", 10**5000),
    ("batch_size", "8"),
    ("batch_size", True),
    ("max_retries", False),
    ("max_retries", "1"),
    ("requests_per_minute", "5"),
    ("requests_per_minute", 2**64),
    ("max_concurrency", 1.0),
    ("encoding_format", b"float"),
    ("encoding_format", ["float"]),
    ("allow_http", "false"),
    ("allow_http", 1),
    ("allow_http", None),
    ("api_key", CANARY.encode()),
    ("api_key", b""),
    ("api_key", 5),
    ("api_key", 0),
    ("api_key", [CANARY]),
    ("default_headers", f"X-Name: {CANARY}"),
    ("default_headers", [("X-Name", CANARY)]),
    ("default_headers", {"X-Name": 5}),
    ("default_headers", {"X-Name": CANARY.encode()}),
    ("default_headers", {5: CANARY}),
    ("default_headers", {f"X-Name: {CANARY}": ""}),
    ("default_headers", {"X-Name": f"{CANARY}\n"}),
    ("default_headers", {"X-Name": CANARY, "x-name": CANARY}),
    ("http_client", httpx.AsyncClient(verify=False)),  # noqa: S501 - certificates take 20 ms to read
    ("http_client", httpx.Client),
    ("http_client", httpx.HTTPTransport),
    ("http_client", httpx),
    ("http_client", True),
    ("http_client", "http://proxy"),
    ("on_request", 5),
    ("on_request", "print"),
    ("on_request", hook),
    ("on_model_change", None),
    ("on_model_change", "Warn"),
    ("on_model_change", False),
    ("cache", 5),
    ("cache", b"x.db"),
    ("cache", ""),
    ("cache", f"redis://:{CANARY}@localhost"),
    ("rate_limit_store", 5),
    ("rate_limit_store", ""),
    ("rate_limit_store", MemoryStore),
    ("rate_limit_store", f"redis://:{CANARY}@localhost".encode()),
    ("rate_limit_store", f"REDIS://:{CANARY}@localhost"),
    ("rate_limit_store", f"valkey://:{CANARY}@localhost"),
    ("rate_limit_store", f"https://:{CANARY}@localhost"),
]


@pytest.mark.parametrize(("name", "value"), BAD, ids=[f"{name}-{number}" for number, (name, _) in enumerate(BAD)])
def test_an_argument_that_cannot_be_meant(refused, name, value):
    """The error names the argument, nothing is sent, and a confidential value is not quoted."""
    refused(**{name: value})


@pytest.mark.parametrize("entry_point", SYNC, indirect=True)
@pytest.mark.parametrize(
    ("client", "words"),
    [
        (httpx.AsyncClient, r"httpx2\.Client\(…\), which serves async calls as well, not an instance of httpx\.AsyncC"),
        (lambda: httpx.Client, "not the class Client"),
        (type("Session", (), {"__module__": "requests.sessions"}), "not an instance of requests.Session"),
    ],
)
def test_another_http_client(entry_point, client, words):
    """The message says what to pass."""
    with pytest.raises(ValueError, match=words):
        entry_point.build(api_key="ek-test", http_client=client())


def test_a_closed_http_client(refused):
    """The client could not send any request."""
    with httpx.Client() as http:
        pass
    assert [words for words in refused(http_client=http) if "is closed" not in words] == []


BAD_KEYS = {
    "line break": (f"{CANARY}\n", "api_key begins or ends with white space"),
    "header": (f"Bearer {CANARY}", "api_key must be the key alone, without 'Bearer'"),
    "quoted": (f"'{CANARY}'", "without 'Bearer' or quotation marks"),
    "bytes": (CANARY.encode(), r"api_key must be a str, not bytes: key\.decode\(\) makes one"),
}


REDIS_URLS = {
    "port above 65,535": "redis://localhost:99999",
    "port 0": "redis://localhost:0",
    "no port": "redis://localhost:",
    "port of words": f"redis://localhost:{CANARY}",
    "password with #": f"redis://:{CANARY}#@localhost",
    "password with /": f"redis://:{CANARY}/x@localhost",
    "line break": f"redis://:{CANARY}@localhost\n",
    "space": f"redis://:{CANARY}@ localhost",
    "database of words": f"redis://:{CANARY}@localhost/first",
    "negative database": "redis://localhost/-1",
    "database that is none": "redis://localhost?db=x",
    "unknown parameter": f"redis://:{CANARY}@localhost?{CANARY}=1",
    "of another kind of client": "redis://localhost?decode_responses=True",
    "blank parameter": "redis://localhost?client_name=",
    "time that is none": "redis://localhost?socket_timeout=soon",
    "protocol": "redis://localhost?protocol=4",
    "TLS without TLS": "redis://localhost?ssl_cert_reqs=none",
    "certificates": "rediss://localhost?ssl_cert_reqs=maybe",
    "IPv6": "redis://[::1",
    "two dots": "redis://a..example",
    "no socket": "unix://",
    "socket of a host": "unix://host/a.sock",
    "keep-alive of a socket": "unix:///a.sock?socket_keepalive=1",
}


@pytest.mark.parametrize("url", REDIS_URLS.values(), ids=REDIS_URLS)
@pytest.mark.parametrize("installed", [True, False])
def test_a_redis_url_that_cannot_be_parsed(refused, url, installed, monkeypatch):
    """An invalid Redis URL is rejected with or without redis-py, and its password is not quoted."""
    if not installed:
        monkeypatch.setitem(sys.modules, "redis", None)
    said = refused(rate_limit_store=url)
    assert [words for words in said if "redis://user:password@host:6379/0" not in words] == []


GOOD_REDIS_URLS = [
    "redis://",
    "redis://localhost",
    "redis://:word@localhost:6379/0",
    "rediss://user:w%40rd@a.example:6380/15?ssl_cert_reqs=none&ssl_check_hostname=False&socket_timeout=0.5",
    "redis://[::1]:6379?db=2&protocol=3&client_name=x&health_check_interval=30&max_connections=9&socket_keepalive=yes",
    "unix:///run/redis.sock?db=1&retry_on_timeout=true",
    "unix://user:word@/run/a%20b.sock",
]


@pytest.mark.parametrize("url", GOOD_REDIS_URLS)
def test_a_redis_url_that_redis_py_takes(build, url):
    """Every accepted Redis URL is valid for redis-py, and no connection is opened."""
    redis = pytest.importorskip("redis")
    build(rate_limit_store=url)
    assert redis.ConnectionPool.from_url(url).make_connection()


@pytest.mark.parametrize("entry_point", SYNC, indirect=True)
@pytest.mark.parametrize("url", ["redis://localhost", "rediss://localhost", "unix:///run/redis.sock"])
def test_redis_py_is_missing(entry_point, monkeypatch, url):
    """The constructor's error says what to install."""
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ImportError, match=r'pip install "electronhub-embeddings\[redis\]"'):
        entry_point.build(api_key="ek-test", rate_limit_store=url)


GOOD = [
    ("user", None),
    ("user", "u 1\n"),
    ("model", "vendor/model:free (beta)"),
    ("query_prefix", "Fr\N{LATIN SMALL LETTER A WITH ACUTE}ge:\n"),
    ("timeout", 5),
    ("timeout", np.float64(5)),
    ("max_wait", 0),
    ("max_wait", float("inf")),
    ("dimensions", 1),
    ("dimensions", np.int64(256)),
    ("batch_size", np.int32(8)),
    ("max_wait", np.float32(2)),
    ("requests_per_minute", np.uint16(5)),
    ("default_headers", MappingProxyType({"X-Name": "value"})),
    ("default_headers", {}),
    ("api_key", "ek-test"),
    ("cache", Path("v.db")),
    ("rate_limit_store", Path("limits.db")),
    ("rate_limit_store", MemoryStore()),
    ("on_request", print),
    ("http_client", type("Mine", (httpx.Client,), {})(verify=False)),
]


@pytest.mark.parametrize(("name", "value"), GOOD, ids=[f"{name}-{number}" for number, (name, _) in enumerate(GOOD)])
def test_an_argument_at_the_edge(build, name, value):
    """The smallest and largest valid values are accepted, and nothing is opened."""
    build(**{name: value})


@pytest.mark.parametrize("entry_point", SYNC, indirect=True)
@pytest.mark.parametrize(("key", "words"), BAD_KEYS.values(), ids=BAD_KEYS)
def test_a_key_that_was_copied_badly(entry_point, key, words):
    """The error says what is wrong with the key, and does not quote it."""
    with pytest.raises(ValueError, match=words) as caught:
        entry_point.build(api_key=key)
    assert CANARY not in str(caught.value)


BAD_NAMES = {
    "of another class": (["chunk_size"], ["has no argument chunk_size. Use batch_size"]),
    "of a key": (["openai_api_key"], ["has no argument openai_api_key. Use api_key, or set the environment variable"]),
    "not needed": (["tiktoken_enabled"], ["has no argument tiktoken_enabled. Leave it out: texts are sent as"]),
    "misspelt": (["batchsize"], ["has no argument batchsize. Did you mean batch_size?"]),
    "unknown": (["nonsense"], ["has no argument nonsense. help(", ") lists its arguments."]),
    "two": (["api_base", "max_retry"], ["no argument api_base. Use base_url", "no argument max_retry. Did you mean"]),
}


@pytest.mark.parametrize("entry_point", SYNC, indirect=True)
@pytest.mark.parametrize(("names", "words"), BAD_NAMES.values(), ids=BAD_NAMES)
def test_an_argument_that_is_called_otherwise(entry_point, names, words):
    """The error names what to write instead, and quotes no value: a wrong name can have the right key."""
    with pytest.raises((TypeError, ValueError), match="has no argument") as caught:
        entry_point.build(api_key="ek-test", **dict.fromkeys(names, CANARY))
    assert [part for part in words if part not in str(caught.value)] == []
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("entry_point", SYNC, indirect=True)
def test_an_empty_key_is_none(entry_point, monkeypatch):
    """An empty key, as from a settings object, means that the environment's key is used."""
    with pytest.raises(ValueError, match="ELECTRONHUB_API_KEY"):
        entry_point.build(api_key="")
    monkeypatch.setenv("ELECTRONHUB_API_KEY", "ek-env")
    entry_point.build(api_key="")
