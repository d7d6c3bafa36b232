"""The user's own headers: no key among them, and shown nowhere."""

import pytest

from electronhub_embeddings._config.default_headers import check_headers
from electronhub_embeddings._config.options import Options
from electronhub_embeddings._config.secret import reveal

CANARY = "ek-canary-0123456789"


@pytest.mark.parametrize("headers", [None, {}])
def test_no_headers_are_no_headers(headers):
    """None and an empty mapping mean the same."""
    assert not reveal(Options(api_key="ek-test", default_headers=headers).default_headers)


@pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION"])
def test_the_key_has_its_own_way(name):
    """A key among the headers is rejected, because tools that show headers would show it."""
    with pytest.raises(ValueError, match="api_key") as caught:
        Options(api_key="ek-test", default_headers={name: f"Bearer {CANARY}"})
    assert CANARY not in str(caught.value)


def test_headers_do_not_show():
    """A header can contain a secret as well."""
    assert CANARY not in repr(Options(api_key="ek-test", default_headers={"X-Token": CANARY}).request_config)


NAME = "x has a name that is not one of a header: letters, digits and hyphens, without colon."
VALUE = "x['X-A'] has white space at an end, or characters that cannot stand in a header."


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ("X-A: 1", 'x must be a mapping, as {"X-Name": "value"}, not str.'),
        ({"X-A": "1", "x-a": "2"}, "x has x-a twice, in upper and lower case."),
        ({5: b"1"}, "x: names and values must be str, not int and bytes."),
        ({"X-A: 1": ""}, NAME),
        ({"authorization": "1"}, "x must not set Authorization: pass api_key."),
        ({"Host": "a.example"}, "x must not set Host: it says how the request is packed."),
        ({"X-A": "\N{LATIN SMALL LETTER E WITH ACUTE}"}, VALUE),
        ({"X-A": "1\r\n2"}, VALUE),
        ({"X-A": " 1"}, VALUE),
    ],
)
def test_the_error_says_what_is_wrong(headers, message):
    """It names the argument and the header, and quotes no value."""
    with pytest.raises(ValueError, match=r"^x") as caught:
        check_headers("x", headers)
    assert str(caught.value) == message


def test_headers_are_kept_in_one_form():
    """Sorted by name, in lower case: the same headers are the same configuration."""
    assert check_headers("x", {"X-B": "2 3", "x-a": "1"}) == (("x-a", "1"), ("x-b", "2 3"))
