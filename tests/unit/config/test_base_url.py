"""The address: https anywhere, http on loopback, and no host in disguise."""

import pytest

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
