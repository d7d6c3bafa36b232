"""The address: https anywhere, http on loopback, and no host in disguise."""

import pytest

from electronhub_embeddings._config.base_url import check_scheme, is_local, resolve_base_url
from electronhub_embeddings._config.options import Options

CANARY = "ek-canary-0123456789"


def account(api_key, base_url):
    """Resolve a key and a URL."""
    return Options(api_key=api_key, base_url=base_url).account


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://a.example/v1", "https://a.example/v1"),
        ("https://a.example/v1/", "https://a.example/v1"),
        ("https://a.example:8443/v1//", "https://a.example:8443/v1"),
        ("HTTPS://a.example", "HTTPS://a.example"),
        ("http://localhost:8787/v1", "http://localhost:8787/v1"),
        ("http://127.0.0.1:8787", "http://127.0.0.1:8787"),
        ("http://[::1]:8787", "http://[::1]:8787"),
        ("https://[1:2:3:4:5:6:7:8]/X/", "https://[1:2:3:4:5:6:7:8]/X"),
        ("https://a.5X/v1", "https://a.5X/v1"),
        ("https://a.example/embeddingsX", "https://a.example/embeddingsX"),
        (f"https://{'a.' * 126}a", f"https://{'a.' * 126}a"),
        (f"https://a.example/{'v' * 2030}", f"https://a.example/{'v' * 2030}"),
    ],
)
def test_good_urls(url, kept):
    """Use https anywhere, http on loopback; slashes at the end are cut off."""
    assert kept == account("ek-a", url).base_url


@pytest.mark.parametrize(
    "url",
    [
        "http://a.example/v1",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "http://[::1].evil.example",
        "http://[::1]evil.example/v1",
        "http://localhost:80:80",
        "http://0.0.0.0:8787",
        "ftp://a.example",
        "a.example/v1",
        "//a.example",
        "https://",
        "https:///v1",
        "/v1",
        "https://user@a.example",
        "https://user:word@a.example",
        "https://a.example?x=1",
        "https://a.example/v1#top",
    ],
)
def test_urls_that_would_betray_or_mislead_the_key_are_refused(url):
    """URLs that would send the key unencrypted, or hide the host behind a user name, are rejected."""
    with pytest.raises(ValueError, match="base_url") as caught:
        account(CANARY, url)
    assert "word" not in str(caught.value)


ADVICE = ": it must look like https://api.electronhub.ai/v1."
HOST = "has a host that cannot be looked up"
REFUSED = [
    (5, "must be a str, not int"),
    ("https://a.example/v 1", "has ' ' at position 19"),
    (f"https://a.example/{'v' * 2031}", "has more than 2,048 characters"),
    ("https://a.example?x=1", "must have neither query nor fragment, since paths are put behind it"),
    ("https://[::1/v1", "is not a URL"),
    ("a.example/v1", "must begin with https://"),
    ("https://a.example/v1/embeddings/", "must end before /embeddings, which is put behind it"),
    ("https://user@a.example", "must have no user in it: the key is all that is sent"),
    ("https:///v1", "must have a host, and a port in digits if any"),
    ("https://a.example:65536", "has a port that is not from 1 to 65535"),
    ("https://a..example/v1", HOST),
    ("https://127.1./v1", HOST),
    (f"https://{'a.' * 126}ab", HOST),
]


@pytest.mark.parametrize(("url", "problem"), REFUSED)
def test_the_error_says_what_is_wrong(url, problem):
    """It names the argument, and shows what a URL looks like."""
    with pytest.raises(ValueError, match=r"^x ") as caught:
        resolve_base_url("x", url)
    assert str(caught.value) == f"x {problem}{ADVICE}"


def test_an_unencrypted_url_needs_a_word():
    """The error says where http:// may be used, and how to allow it."""
    check_scheme("http://a.example", allow_http=True)
    with pytest.raises(ValueError, match="base_url") as caught:
        check_scheme("http://a.example", allow_http=False)
    assert str(caught.value) == (
        "base_url must begin with https://: http:// shows the key to the network. For a network of your own, set "
        "allow_http=True."
    )


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://localhost:8787/v1", True),
        ("http://127.0.0.1", True),
        ("http://[::1]:8787", True),
        ("https://localhost:8787/v1", False),
        ("http://a.example", False),
        ("https://a.example", False),
    ],
)
def test_which_requests_stay_on_this_machine_unencrypted(url, local):
    """Neither proxies nor certificates apply to them."""
    assert is_local(url) is local
