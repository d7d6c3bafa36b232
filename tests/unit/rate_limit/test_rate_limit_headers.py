"""The rate limit headers: every documented form is parsed, everything else is ignored."""

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from electronhub_embeddings._rate_limit.rate_limit_headers import RateLimitHeaders, read_rate_limit_headers
from support.unusual_characters import CHARACTERS

NOW = 1_780_000_000.0
LATER = NOW + 42


def test_no_headers_say_nothing():
    """An answer without any limit header reports nothing."""
    assert RateLimitHeaders(None, None, None, None) == read_rate_limit_headers({}, NOW)


def test_all_headers_at_once():
    """Each header sets its own field."""
    headers = {
        "x-ratelimit-limit": "60",
        "x-ratelimit-remaining": "7",
        "x-ratelimit-reset": "30",
        "retry-after": "12",
        "location": "/elsewhere",
    }
    report = RateLimitHeaders(limit=60, remaining=7, reset=30.0, retry_after=12.0, location="/elsewhere")
    assert report == read_rate_limit_headers(headers, NOW)


@pytest.mark.parametrize(
    ("value", "limit"),
    [
        ("1", 1),
        ("5", 5),
        ("100000", 100_000),
        ("100.0", 100),
        (" 60 ", 60),
        ("0", None),
        ("-5", None),
        ("", None),
        ("five", None),
        ("nan", None),
        ("inf", None),
        ("60;w=60", None),
    ],
)
def test_limit(value, limit):
    """A limit is a number of at least 1."""
    assert limit == read_rate_limit_headers({"x-ratelimit-limit": value}, NOW).limit


@pytest.mark.parametrize(
    ("value", "remaining"),
    [("0", 0), ("59", 59), ("100000", 100_000), ("-1", None), ("", None), ("none", None), ("inf", None)],
)
def test_remaining(value, remaining):
    """0 remaining requests are valid."""
    assert remaining == read_rate_limit_headers({"x-ratelimit-remaining": value}, NOW).remaining


@pytest.mark.parametrize(
    ("policy", "period"),
    [
        ("5;w=10", 10.0),
        ('"default";q=5;w=0.5', 0.5),
        ("5; w=60", 60.0),
        ("100;w=3600, 5;w=10", 10.0),
        ("5;w=3600", 3600.0),
        ("5;w=3601", None),
        ("5;w=0", None),
        ("50;w=10", None),
        ("5", None),
        ("w=10", None),
        ("", None),
    ],
)
def test_period(policy, period):
    """A policy tells the period if its quota is the limit; that of a proxy, with another quota, does not count."""
    headers = {"x-ratelimit-limit": "5", "ratelimit-policy": policy}
    assert period == read_rate_limit_headers(headers, NOW).period
    assert read_rate_limit_headers({"ratelimit-policy": policy}, NOW).period is None


@pytest.mark.parametrize("name", ["x-ratelimit-reset", "retry-after"])
@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("42", 42.0),
        ("0", 0.0),
        ("1.5", 1.5),
        (f"{LATER:.0f}", 42.0),
        (f"{LATER * 1000:.0f}", 42.0),
        (f"{LATER:.3f}", 42.0),
        (formatdate(LATER, usegmt=True), 42.0),
        (f"{NOW - 5:.0f}", 0.0),
        (formatdate(NOW - 5, usegmt=True), 0.0),
        ("3600", 3600.0),
        ("-3", None),
        ("soon", None),
        ("", None),
        ("nan", None),
    ],
)
def test_moments(name, value, seconds):
    """A time is given in seconds, Unix seconds, Unix milliseconds or as a date; more than an hour is ignored."""
    report = read_rate_limit_headers({name: value}, NOW)
    told = report.reset if name == "x-ratelimit-reset" else report.retry_after
    assert seconds == told


@pytest.mark.parametrize("wall_clock", [NOW - 3000, NOW, NOW + 3000])
def test_moments_are_measured_on_the_service_s_clock(wall_clock):
    """With a Date header, a wrong local clock does not matter."""
    later = formatdate(LATER, usegmt=True)
    headers = {"date": formatdate(NOW, usegmt=True), "x-ratelimit-reset": f"{LATER:.0f}", "retry-after": later}
    report = read_rate_limit_headers(headers, wall_clock)
    assert (report.reset, report.retry_after) == (42.0, 42.0)


@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 99 Foo 2026 00:00:00 GMT"])
def test_a_broken_date_is_no_date(date):
    """Without a readable Date header the local clock is used."""
    assert read_rate_limit_headers({"date": date, "retry-after": f"{LATER:.0f}"}, NOW).retry_after == 42.0


NAMES = ["date", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "retry-after"]
VALUES = st.text(CHARACTERS) | st.floats().map(str) | st.integers().map(str) | st.datetimes().map(str)


@given(st.dictionaries(st.sampled_from(NAMES), VALUES), st.floats(0, 1e10))
def test_no_header_breaks_anything(headers, wall_clock):
    """Whatever the headers contain, each field is a plausible number or None."""
    report = read_rate_limit_headers(headers, wall_clock)
    assert report.limit is None or report.limit >= 1
    assert report.remaining is None or report.remaining >= 0
    assert report.reset is None or report.reset >= 0
    assert report.retry_after is None or report.retry_after >= 0


@pytest.mark.parametrize(
    "value", ["3601", f"{NOW + 3601:.0f}", f"{(NOW + 3601) * 1000:.0f}", formatdate(NOW + 3601, usegmt=True)]
)
def test_a_wait_beyond_an_hour(value):
    """A reset of more than an hour is ignored as a wrong clock; a longer Retry-After is accepted."""
    report = read_rate_limit_headers({"x-ratelimit-reset": value, "retry-after": value}, NOW)
    assert (report.reset, report.retry_after) == (None, 3601.0)


@pytest.mark.parametrize("value", ["100001", "1e30"])
def test_a_limit_beyond_reason(value):
    """Implausible numbers of requests per minute are ignored."""
    report = read_rate_limit_headers({"x-ratelimit-limit": value, "x-ratelimit-remaining": value}, NOW)
    assert (report.limit, report.remaining) == (None, None)
