"""Checks the URL of a Redis server by the rules of redis-py, without importing redis-py or connecting.

redis-py itself raises for an invalid URL only at the first call, with messages that may quote the password. It raises
for unknown parameters only when it connects, and ignores a database that is not a number.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from electronhub_embeddings._config.base_url import MAX_PORT, find_unsafe, is_host

if TYPE_CHECKING:
    from urllib.parse import SplitResult

SCHEMES = ("redis://", "rediss://", "unix://")

PORT = re.compile(r":[0-9]*$")
DATABASE = re.compile(r"/?|/[0-9]{1,9}")

WHOLE = re.compile(r"[0-9]{1,9}")
SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")
TRUTH = re.compile(r"0|1|f|t|n|y|false|true|no|yes", re.IGNORECASE)
TEXT = re.compile(r".+")

PARAMETERS = {
    "db": WHOLE,
    "username": TEXT,
    "password": TEXT,
    "client_name": TEXT,
    "protocol": re.compile("[23]"),
    "socket_timeout": SECONDS,
    "socket_connect_timeout": SECONDS,
    "retry_on_timeout": TRUTH,
    "health_check_interval": WHOLE,
    "max_connections": re.compile(r"0*[1-9][0-9]{0,8}"),
}
"""Parameters of all connections, except those that change replies, such as `decode_responses`."""

TCP_PARAMETERS = {"socket_keepalive": TRUTH}

TLS_PARAMETERS = {
    "ssl_ca_certs": TEXT,
    "ssl_ca_data": TEXT,
    "ssl_ca_path": TEXT,
    "ssl_cert_reqs": re.compile("none|optional|required"),
    "ssl_certfile": TEXT,
    "ssl_check_hostname": TRUTH,
    "ssl_ciphers": TEXT,
    "ssl_keyfile": TEXT,
    "ssl_password": TEXT,
}


def is_redis_url(where: str) -> bool:
    """Return whether a string is a Redis URL rather than a path."""
    return where.startswith(SCHEMES)


def check_redis_url(name: str, url: str) -> None:
    """Check a URL for which `is_redis_url` is true.

    Raises:
        ValueError: redis-py could not use the URL; the message does not quote it, because it may contain a password.
    """
    if problem := find_unsafe(url) or _find_problem(url):
        raise ValueError(
            f"{name} {problem}: a Redis URL must look like redis://user:password@host:6379/0, "
            "its user, password and path percent-encoded."
        )


def _find_problem(url: str) -> str:
    if "#" in url:
        return "has a '#'"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # the original message may quote the password
        return f"has no host, or a port that is not from 1 to {MAX_PORT}"
    if parts.scheme != "unix":
        return _find_problem_of_server(parts, port)
    if not parts.path.strip("/") or parts.hostname:
        return "must have the path of a socket behind unix://"
    return _find_wrong_parameter(parts.query, PARAMETERS)


def _find_problem_of_server(parts: SplitResult, port: int | None) -> str:
    if port == 0 or parts.netloc.endswith(":"):
        return f"has a port that is not from 1 to {MAX_PORT}"
    if not _is_redis_host(parts.netloc.rpartition("@")[2]):
        return "has a host that cannot be looked up"
    if not DATABASE.fullmatch(unquote(parts.path)):
        return "has a database that is not a number"
    tls = TLS_PARAMETERS if parts.scheme == "rediss" else {}
    return _find_wrong_parameter(parts.query, {**PARAMETERS, **TCP_PARAMETERS, **tls})


def _is_redis_host(address: str) -> bool:
    """Return whether redis-py can resolve a host; a missing host means localhost, and IPv6 zones are allowed."""
    host = unquote(PORT.sub("", address))
    return not host or is_host(host)


def _find_wrong_parameter(query: str, known: dict[str, re.Pattern[str]]) -> str:
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in known:
            return f"has a parameter that is not one of {', '.join(sorted(known))}"
        if not known[name].fullmatch(value):
            return f"has a wrong value of {name}"
    return ""
