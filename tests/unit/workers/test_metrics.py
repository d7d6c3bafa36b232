"""Metrics: instruments, attributes and buckets after the conventions; without OpenTelemetry, nothing."""

import logging
import subprocess
import sys
from types import SimpleNamespace

import pytest
from opentelemetry import metrics as api

from electronhub_embeddings._codec.result import Result
from electronhub_embeddings._workers import metrics
from electronhub_embeddings.errors import ServerError


class Meter:
    """Keeps what is made with it, as an application's meter does."""

    def __init__(self, *, takes_advice=True):
        self.takes_advice = takes_advice
        self.made = {}
        self.recorded = []
        self.callbacks = []

    def create_histogram(self, name, unit, description, **advice):
        """Create a histogram; older versions take no advice."""
        if advice and not self.takes_advice:
            raise TypeError("unexpected keyword argument")
        self.made[name] = unit, advice.get("explicit_bucket_boundaries_advisory")
        assert description.endswith(".")
        return SimpleNamespace(record=lambda value, attributes: self.recorded.append((name, value, attributes)))

    def create_observable_up_down_counter(self, name, callbacks, **_):
        """Create a counter that is observed."""
        self.made[name] = None
        self.callbacks += callbacks


@pytest.fixture
def meter(monkeypatch):
    """Return a function that lets all metrics of the test go to one meter."""

    def use(**options):
        meter = Meter(**options)
        monkeypatch.setattr(api, "get_meter", lambda *_: meter)
        return meter

    for cached in (metrics._histogram, metrics._observe):
        cached.cache_clear()
    yield use
    for cached in (metrics._histogram, metrics._observe):
        cached.cache_clear()


SERVER = {"server.address": "api.electronhub.ai", "server.port": 443}
MODEL = {"gen_ai.request.model": "m"}
CONVENTIONS = {**SERVER, **MODEL, "gen_ai.operation.name": "embeddings", "gen_ai.provider.name": "electronhub"}


def test_a_request(meter):
    """Its tokens and its duration, with the attributes of the conventions."""
    used = meter()
    metrics.Metrics(SERVER).record_request("m", Result(prompt_tokens=7, seconds=0.5))
    assert used.recorded == [
        ("gen_ai.client.token.usage", 7, {**CONVENTIONS, "gen_ai.token.type": "input"}),
        ("gen_ai.client.operation.duration", 0.5, CONVENTIONS),
    ]


def test_a_request_that_failed(meter):
    """Its error is in the duration; tokens that nobody reported are no zero."""
    used = meter()
    metrics.Metrics(SERVER).record_request("m", Result(error=ServerError("x", status_code=503), seconds=0.5))
    assert used.recorded == [("gen_ai.client.operation.duration", 0.5, {**CONVENTIONS, "error.type": "ServerError"})]


def test_calls(meter):
    """How long each has waited."""
    used = meter()
    config = SimpleNamespace(model="m")
    call = SimpleNamespace(waited=3.0, attachment=SimpleNamespace(config=config))
    metrics.Metrics(SERVER).record_waits([call])
    assert used.recorded == [("electronhub.rate_limit.wait.duration", 3.0, {**SERVER, **MODEL})]


def test_buckets(meter):
    """Those that the conventions advise, where the installed version takes advice."""
    used = meter()
    metrics.Metrics(SERVER).record_request("m", Result(prompt_tokens=7))
    tokens = [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864]
    seconds = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]
    assert used.made == {
        "gen_ai.client.token.usage": ("{token}", tokens),
        "gen_ai.client.operation.duration": ("s", seconds),
    }


def test_an_older_version_takes_no_advice(meter):
    """The histogram has its default buckets then."""
    used = meter(takes_advice=False)
    metrics.Metrics(SERVER).record_request("m", Result(seconds=0.5))
    assert used.made == {"gen_ai.client.operation.duration": ("s", None)}
    assert len(used.recorded) == 1


def test_queues_of_several_accounts_are_added_up(meter):
    """No attribute tells two keys apart, so the sums are what can be observed."""
    used = meter()
    url = "https://api.electronhub.ai/v1"
    for _ in range(2):  # once for each account
        metrics.observe_queues(depths)
    (observe,) = used.callbacks
    assert [(seen.value, seen.attributes) for seen in observe(None)] == [
        (5, {**SERVER, "gen_ai.request.model": "m"}),
        (1, {**SERVER, "gen_ai.request.model": "n"}),
    ]
    assert url == depths()[0][0]


def depths():
    """Return what is waiting in three queues."""
    url = "https://api.electronhub.ai/v1"
    return [(url, "m", 2), (url, "n", 1), (url, "m", 3)]


@pytest.mark.parametrize(("base_url", "port"), [("https://x/v1", 443), ("http://x/v1", 80), ("http://x:8080/v1", 8080)])
def test_the_server(base_url, port):
    """The port is that of the scheme, if none is named."""
    assert metrics.server_attributes(base_url) == {"server.address": "x", "server.port": port}


def test_a_meter_that_fails_is_logged(monkeypatch, meter, caplog):
    """Nothing is raised to a client or to a worker."""
    meter()
    monkeypatch.setattr(api, "get_meter", lambda *_: 1 / 0)
    with caplog.at_level(logging.ERROR, "electronhub_embeddings"):
        metrics.observe_queues(depths)
        config = SimpleNamespace(model="m")
        metrics.Metrics(SERVER).record_waits([SimpleNamespace(waited=0.0, attachment=SimpleNamespace(config=config))])
    assert [record.message for record in caplog.records] == ["OpenTelemetry failed"] * 2


@pytest.mark.slow
def test_without_opentelemetry(emulator):
    """Where it is not installed, texts are embedded all the same."""
    service = emulator(rpm=0)
    script = f"""
import sys
sys.modules["opentelemetry"] = None
from electronhub_embeddings import EmbeddingsClient
with EmbeddingsClient(api_key={service.api_key!r}, base_url={service.base_url!r}) as client:
    print(len(client.embed(["a"])), [name for name in sys.modules if name.startswith("opentelemetry.")])
"""
    assert subprocess.check_output([sys.executable, "-c", script], text=True).split() == ["1", "[]"]
