"""Checks the base URL before the key is sent: every URL parser must read the URL in the same way. No I/O."""

from __future__ import annotations

import ipaddress
import os
import re
from typing import Any
from urllib.parse import urlsplit

from electronhub_embeddings._config.import_lock import importing

DEFAULT_BASE_URL = "https://api.electronhub.ai/v1"
LOOPBACK = {"localhost", "127.0.0.1", "::1"}

MAX_URL_LENGTH = 2048
MAX_HOST_LENGTH = 253
MAX_PORT = 65_535

ADDRESS = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]@:/?#\s]+)(?::([0-9]{1,5}))?", re.IGNORECASE)
"""A host and a port, without any part that two parsers could interpret differently."""

HOST_NAME = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?", re.IGNORECASE)
"""A name that the resolver accepts, with labels of at most 63 characters; no percent-encoding, which few decode."""

NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.IGNORECASE)
"""The last part of an IPv4 address; the resolver also reads "127.1" and "0x7f000001" as addresses."""


def resolve_base_url(name: str, url: Any) -> str:
    """Return the URL, or else ELECTRONHUB_BASE_URL, or else the service's public URL; without trailing slashes.

    Raises:
        ValueError: The URL is invalid; the message does not quote the URL, because it may contain a password.
    """
    if url is None or url == "":
        name = "ELECTRONHUB_BASE_URL"
        url = os.environ.get(name) or DEFAULT_BASE_URL
    if problem := _find_problem(url):
        raise ValueError(f"{name} {problem}: it must look like {DEFAULT_BASE_URL}.")
    base_url: str = url.rstrip("/")
    return base_url


def check_scheme(base_url: str, *, allow_http: bool) -> None:
    """Check that the key is sent encrypted, or only to this machine.

    Raises:
        ValueError: The key would be sent unencrypted to another host.
    """
    parts = urlsplit(base_url)
    if parts.scheme != "https" and not (parts.scheme == "http" and (allow_http or parts.hostname in LOOPBACK)):
        raise ValueError(
            "base_url must begin with https://: http:// shows the key to the network. For a network of your own, set "
            "allow_http=True."
        )


def is_local(base_url: str) -> bool:
    """Return whether requests stay on this machine, unencrypted."""
    parts = urlsplit(base_url)
    return parts.scheme == "http" and parts.hostname in LOOPBACK


def find_unsafe(url: str) -> str:
    """Describe the first character that URL parsers drop silently or interpret differently; empty: there is none."""
    for position, char in enumerate(url):
        if char in " \\" or not char.isprintable():
            return f"has {char!r} at position {position}"
    return ""


def is_host(host: str) -> bool:
    """Return whether the resolver accepts a host: a name, an IPv4 address, or an IPv6 address in brackets."""
    try:
        if host.startswith("["):
            ipaddress.IPv6Address(host[1:-1])
            return True
        if not host.isascii() or "xn--" in host.lower():
            host = _to_ascii(host)
        if NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
            ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return bool(HOST_NAME.fullmatch(host)) and len(host) <= MAX_HOST_LENGTH


def _find_problem(url: Any) -> str:
    if not isinstance(url, str):
        return f"must be a str, not {type(url).__name__}"
    if unsafe := find_unsafe(url):
        return unsafe
    if len(url) > MAX_URL_LENGTH:
        return f"has more than {MAX_URL_LENGTH:,} characters"
    if "?" in url or "#" in url:
        return "must have neither query nor fragment, since paths are put behind it"
    try:
        parts = urlsplit(url)
    except ValueError:  # the original message quotes the host and the user info before it
        return "is not a URL"
    is_endpoint = parts.path.rstrip("/").endswith("/embeddings")
    problem = "must end before /embeddings, which is put behind it" if is_endpoint else ""
    return _find_problem_of_address(parts.scheme, parts.netloc) or problem


def _find_problem_of_address(scheme: str, netloc: str) -> str:
    if scheme not in {"https", "http"}:
        return "must begin with https://"
    if "@" in netloc:
        return "must have no user in it: the key is all that is sent"
    address = ADDRESS.fullmatch(netloc)
    if address is None:
        return "must have a host, and a port in digits if any"
    host, port = address.groups()
    if port is not None and not 1 <= int(port) <= MAX_PORT:
        return f"has a port that is not from 1 to {MAX_PORT}"
    return "" if is_host(host) else "has a host that cannot be looked up"


def _to_ascii(host: str) -> str:
    """Encode an internationalised host name for the resolver, by the rules that httpx follows (IDNA 2008).

    Raises:
        ValueError: The name is invalid.
    """
    with importing:
        import idna  # noqa: PLC0415 - installed with httpx and rarely needed

    return idna.encode(host.lower()).decode("ascii")
