"""The URL of a Redis server: refused for what redis-py would stumble over later, or ignore."""

import pytest

from electronhub_embeddings._config.redis_url import check_redis_url, is_redis_url

ADVICE = ": a Redis URL must look like redis://user:password@host:6379/0, its user, password and path percent-encoded."
PORT = "has no host, or a port that is not from 1 to 65535"
OF_A_SOCKET = (
    "has a parameter that is not one of client_name, db, health_check_interval, max_connections, password, protocol, "
    "retry_on_timeout, socket_connect_timeout, socket_timeout, username"
)
REFUSED = {
    "redis://local host": "has ' ' at position 13",
    "redis://:word#@host": "has a '#'",
    "redis://host:port": PORT,
    "redis://host:0": "has a port that is not from 1 to 65535",
    "redis://a..example": "has a host that cannot be looked up",
    "redis://host/first": "has a database that is not a number",
    "redis://host?protocol=4": "has a wrong value of protocol",
    "unix://": "must have the path of a socket behind unix://",
    "unix:///": "must have the path of a socket behind unix://",
    "unix://host/a.sock": "must have the path of a socket behind unix://",
    "unix:///a.sock?ssl_keyfile=a": OF_A_SOCKET,
}


@pytest.mark.parametrize("url", REFUSED)
def test_the_error_says_what_is_wrong(url):
    """It names the argument, and shows what a URL looks like."""
    assert is_redis_url(url)
    with pytest.raises(ValueError, match=r"^x ") as caught:
        check_redis_url("x", url)
    assert str(caught.value) == f"x {REFUSED[url]}{ADVICE}"


@pytest.mark.parametrize("url", ["redis://[fe80::1%25eth0]:6379", "redis://[::1]", "redis://:word@/1", "unix:///X"])
def test_a_url_that_redis_py_takes(url):
    """IPv6 with a zone, no host at all, and the path of a socket."""
    check_redis_url("x", url)
