"""What requests have in common: equal configurations travel together."""

from dataclasses import fields

from electronhub_embeddings._config.options import DECLARED, Options
from electronhub_embeddings._config.request_config import RequestConfig


def config(options):
    """Make the configuration of requests."""
    return Options(api_key="ek-test", **options).request_config


def test_requests_are_made_of_declared_options():
    """The fields of a request configuration are options, without defaults of their own."""
    assert {it.name for it in fields(RequestConfig)} <= set(DECLARED)


def test_equal_configurations_travel_together():
    """Clients with the same options share requests; the order and case of headers do not matter."""
    one, two = {"X-A": "1", "x-b": "2"}, {"X-B": "2", "x-a": "1"}
    assert config({"default_headers": one}) == config({"default_headers": two})
    assert len({config({"default_headers": headers}) for headers in (one, two)}) == 1
