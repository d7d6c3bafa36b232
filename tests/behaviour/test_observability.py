"""Observability: a hook, spans, metrics and totals, none of which contains a text or a key."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from electronhub_embeddings import (
    AuthenticationError,
    BadRequestError,
    ElectronHubError,
    EmbeddingsClient,
    NotFoundError,
    PermissionDeniedError,
    RequestInfo,
)
from electronhub_embeddings._codec.vector_output import VectorOutput
from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow
from electronhub_embeddings.emulator import faults
from electronhub_embeddings.rate_limit_stores.memory import MemoryStore
from support.entry_points import ENTRY_POINTS
from support.recording_server import Answer

TEXTS = ["a text that nobody must see", "another secret", "a third one"]
MODELS = [name for name in ENTRY_POINTS if name.endswith(" sync") and not name.startswith("client")]

BAD_DAY = [faults.short(), faults.error(503), faults.error_with_200()]


@pytest.fixture(scope="session")
def exporter():
    """Collect the spans of this process; OpenTelemetry's provider can only be set once."""
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


@pytest.fixture
def spans(exporter):
    """Return a function that lists the spans of this test."""
    exporter.clear()
    return exporter.get_finished_spans


@pytest.fixture(scope="session")
def reader():
    """Collect the metrics of this process; OpenTelemetry's provider can only be set once."""
    reader = InMemoryMetricReader(preferred_temporality={Histogram: AggregationTemporality.DELTA})
    metrics.set_meter_provider(MeterProvider([reader]))
    return reader


@pytest.fixture
def measured(reader):
    """Return a function that lists what was measured since its last call, and of a service only, by metric."""

    def collect(service):
        port = int(service.base_url.split(":")[2].partition("/")[0])
        data = reader.get_metrics_data()
        found = [] if data is None else [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics]
        points = {m.name: [p for p in m.data.data_points if p.attributes["server.port"] == port] for m in found}
        return {name: kept for name, kept in points.items() if kept}

    collect(SimpleNamespace(base_url="http://127.0.0.1:1/v1"))
    return collect


@pytest.mark.usefixtures("quick_retries")
def test_the_hook_is_told_of_each_request(entry_point, emulator):
    """The hook gets each attempt and its result; the sums equal what the service counted."""
    service, infos = emulator(rpm=0, faults=BAD_DAY), []
    entry_point.embed(entry_point.make(service, model="text-embedding-3-large", on_request=infos.append), TEXTS)
    assert [(info.attempt, info.status, info.error) for info in infos] == [
        (1, 200, "InvalidResponseError"),
        (2, 503, "ServerError"),
        (3, 200, "ServerError"),
        (4, 200, None),
    ]
    assert {(info.model, info.texts) for info in infos} == {("text-embedding-3-large", 3)}
    assert [info.tokens for info in infos] == [call.prompt_tokens for call in service.calls]
    assert all(info.seconds > 0 for info in infos)


@pytest.mark.usefixtures("quick_retries")
def test_totals_are_what_the_service_counted_on_a_bad_day(entry_point, emulator):
    """Rejected answers are charged, so they are in the totals as well."""
    service = emulator(rpm=0, faults=BAD_DAY)
    model = entry_point.make(service)
    entry_point.embed(model, TEXTS)
    entry_point.query(model, "a question")
    charged = sum(call.prompt_tokens for call in service.calls)
    usage = model.usage
    assert (usage.attempts, usage.prompt_tokens, usage.total_tokens) == (len(service.calls), charged, charged)
    assert (usage.requests, usage.texts) == (2, 4)


def test_each_client_is_told_of_its_own_texts(client, emulator, hold, until):
    """Clients that share a request each get a share of its tokens, and the shares add up."""
    service, one, two = emulator(rpm=0, faults=[hold.fault]), [], []
    store = MemoryStore(SlidingWindow(period=0.01, margin=0.001))
    first = client(service, rate_limit_store=store, on_request=one.append)
    second = client(service, rate_limit_store=store, on_request=two.append)
    with ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(first.embed, hold.texts)]
        until(lambda: len(service.calls) == 1)
        jobs += [pool.submit(first.embed, ["one", "two"]), pool.submit(second.embed, ["three four five six"])]
        hold.release()
        for job in jobs:
            job.result()
    assert sum(info.tokens for info in one + two) == sum(call.prompt_tokens for call in service.calls)
    assert sum(info.texts for info in two) == 1
    assert sum(info.texts for info in one) == len(hold.texts) + 2


def test_the_hook_is_told_of_the_wait(client, emulator):
    """`RequestInfo` has the time that a request waited for the limit."""
    service, infos = emulator(rpm=1, window=0.3), []
    store = MemoryStore(SlidingWindow(period=0.3, margin=0.01))
    waiting = client(service, rate_limit_store=store, on_request=infos.append)
    waiting.embed(["one"])
    waiting.embed(["two"])
    assert infos[0].waited == 0
    assert 0 < infos[1].waited <= waiting.usage.seconds_waited


def test_a_hook_that_fails_loses_nothing(entry_point, emulator, caplog):
    """An error in the hook is logged, and the vectors are returned."""

    def fail(info):
        raise RuntimeError(info.model)

    with caplog.at_level(logging.ERROR, "electronhub_embeddings"):
        assert len(entry_point.embed(entry_point.make(emulator(rpm=0), on_request=fail), TEXTS)) == len(TEXTS)
    assert "on_request failed" in caplog.text


def test_spans_that_fail_lose_nothing(entry_point, emulator, monkeypatch, caplog):
    """An exporter's error is logged, and the vectors are returned."""

    def fail(*_):
        raise RuntimeError("no collector")

    monkeypatch.setattr(trace, "get_tracer", fail)
    with caplog.at_level(logging.ERROR, "electronhub_embeddings"):
        assert len(entry_point.embed(entry_point.make(emulator(rpm=0)), TEXTS)) == len(TEXTS)
    assert "OpenTelemetry failed" in caplog.text


def test_a_hook_is_something_to_call(entry_point, emulator):
    """A hook that is not callable is rejected before a text is sent."""
    with pytest.raises(ValueError, match="on_request must be callable"):
        entry_point.make(emulator(rpm=0), on_request="print")


def test_infos_hold_no_text_and_no_key(client, emulator):
    """A `RequestInfo` contains nothing confidential and can be logged."""
    service, infos = emulator(rpm=0), []
    client(service, on_request=infos.append).embed(TEXTS)
    assert isinstance(infos[0], RequestInfo)
    assert all(secret not in repr(infos) for secret in (*TEXTS, service.api_key))


@pytest.mark.usefixtures("quick_retries")
def test_each_request_is_a_span(entry_point, emulator, spans):
    """Spans are children of the caller's span, follow the semantic conventions, and record errors."""
    service = emulator(rpm=0, faults=[faults.error(503, "TEXTS and keys may stand here")])
    model = entry_point.make(service, dimensions=256)
    with trace.get_tracer("test").start_as_current_span("the application"):
        entry_point.embed(model, TEXTS)
    failed, good, outer = spans()
    assert outer.name == "the application"
    for span in (failed, good):
        assert span.name == "embeddings text-embedding-3-small"
        assert span.kind is trace.SpanKind.CLIENT
        assert span.parent.span_id == outer.context.span_id
        assert outer.start_time <= span.start_time < span.end_time
    assert dict(good.attributes) == {
        "gen_ai.operation.name": "embeddings",
        "gen_ai.provider.name": "electronhub",
        "gen_ai.request.model": "text-embedding-3-small",
        "gen_ai.request.encoding_formats": ("base64",),
        "gen_ai.usage.input_tokens": service.calls[1].prompt_tokens,
        "gen_ai.embeddings.dimension.count": 256,
        "http.response.status_code": 200,
        "server.address": "127.0.0.1",
        "server.port": int(service.base_url.split(":")[2].partition("/")[0]),
        "electronhub.texts": 3,
        "electronhub.attempt": 2,
        "electronhub.seconds_waited": 0.0,
    }
    assert failed.attributes["error.type"] == "ServerError"
    assert failed.status.status_code is trace.StatusCode.ERROR
    assert all(secret not in span.to_json() for span in spans() for secret in (*TEXTS, service.api_key, "keys may"))


@pytest.mark.usefixtures("quick_retries")
def test_each_request_is_measured(entry_point, emulator, measured):
    """Durations of all attempts and the tokens charged, as the conventions name them; sums are what was counted."""
    service = emulator(rpm=0, faults=BAD_DAY)
    entry_point.embed(entry_point.make(service, model="text-embedding-3-large"), TEXTS)
    found = measured(service)
    common = {
        "gen_ai.operation.name": "embeddings",
        "gen_ai.provider.name": "electronhub",
        "gen_ai.request.model": "text-embedding-3-large",
        "server.address": "127.0.0.1",
        "server.port": int(service.base_url.split(":")[2].partition("/")[0]),
    }
    (tokens,) = found["gen_ai.client.token.usage"]
    assert tokens.attributes == {**common, "gen_ai.token.type": "input"}
    assert (tokens.count, tokens.sum) == (2, sum(call.prompt_tokens for call in service.calls))
    assert tokens.explicit_bounds[:3] == (1, 4, 16)
    durations = {point.attributes.get("error.type"): point for point in found["gen_ai.client.operation.duration"]}
    assert {error: point.count for error, point in durations.items()} == {
        None: 1,
        "InvalidResponseError": 1,
        "ServerError": 2,
    }
    assert durations[None].attributes == common
    assert 0 < durations[None].sum < 60
    assert durations[None].explicit_bounds[-1] == 81.92
    assert all(secret not in repr(found) for secret in (*TEXTS, service.api_key))


def test_each_wait_is_measured(entry_point, emulator, measured):
    """The histogram has one entry for each call, and its sum is `usage.seconds_waited`."""
    service = emulator(rpm=1, window=0.3)
    model = entry_point.make(service, rate_limit_store=MemoryStore(SlidingWindow(period=0.3, margin=0.01)))
    for text in ("one", "two"):
        entry_point.query(model, text)
    (waits,) = measured(service)["electronhub.rate_limit.wait.duration"]
    assert (waits.count, waits.min) == (2, 0)
    assert waits.sum == pytest.approx(model.usage.seconds_waited)


def test_waiting_texts_are_measured(client, emulator, measured, *, hold, until, waiting):
    """The depth of the queue counts texts that wait, and neither those on the wire nor those that are finished."""
    service = emulator(rpm=1, window=0.1, faults=[hold.fault])
    model = client(service, rate_limit_store=MemoryStore(SlidingWindow(period=0.1, margin=0.01)))

    def depth():
        (point,) = measured(service)["electronhub.queue.depth"]
        assert point.attributes["gen_ai.request.model"] == "text-embedding-3-small"
        return point.value

    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(model.embed, hold.texts)]
        until(lambda: len(service.calls) == 1)
        assert depth() == 0
        jobs.append(pool.submit(model.embed, TEXTS))
        until(lambda: waiting(model) == len(TEXTS))
        assert depth() == len(TEXTS)
        hold.release()
        for job in jobs:
            job.result()
    assert depth() == 0


def test_callers_that_share_a_request_are_linked(client, emulator, hold, until, spans, waiting):  # noqa: PLR0917
    """The span is a child of the first caller's span, with links to the others."""
    service = emulator(rpm=1, window=0.1, faults=[hold.fault])
    store = MemoryStore(SlidingWindow(period=0.1, margin=0.01))
    sharing = client(service, rate_limit_store=store)

    def call(name):
        with trace.get_tracer("test").start_as_current_span(name):
            sharing.embed([name])

    with ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(sharing.embed, hold.texts)]
        until(lambda: len(service.calls) == 1)
        jobs += [pool.submit(call, name) for name in ("one", "two")]
        until(lambda: waiting(sharing) == 2)
        hold.release()
        for job in jobs:
            job.result()
    shared = next(span for span in spans() if span.links)
    outer = {span.context.span_id for span in spans() if span.name in {"one", "two"}}
    assert {shared.parent.span_id, shared.links[0].context.span_id} == outer


def test_a_cached_call_is_traced_below_its_task(client, emulator, spans, tmp_path):
    """The caller's span is kept although the cache is read in another thread."""
    caching = client(emulator(rpm=0), cache=tmp_path / "cache")

    async def main():
        with trace.get_tracer("test").start_as_current_span("the task"):
            await caching.aembed(TEXTS)

    asyncio.run(main())
    inner, outer = spans()
    assert inner.parent.span_id == outer.context.span_id


def test_models_that_embed_are_listed(client, emulator):
    """`list_models` returns the service's models, without the key, and does not count against the limit."""
    service = emulator(plan="free")
    asking = client(service)
    assert "text-embedding-3-large" in asking.list_models()
    assert "gpt-4o-mini" not in asking.list_models()
    assert asyncio.run(asking.alist_models()) == asking.list_models()
    assert service.calls == []


def test_the_key_is_not_sent_for_a_public_list(client, recording_server):
    """A request that needs no key does not contain one."""
    heard = recording_server(lambda _: Answer(body=b'{"data":[{"id":"m"}]}'))
    assert client(heard).list_models() == ["m"]
    assert heard.requests[0].target.endswith("/models")
    assert heard.requests[0].header("authorization") == []


@pytest.mark.parametrize("status", [401, 403])
def test_a_list_that_wants_a_key(entry_point, recording_server, status):
    """The error says that no key was sent, so that the key is not suspected, and what to do."""
    heard = recording_server(lambda _: Answer(status, body=b'{"error":{"message":"Missing key."}}'))
    thing = entry_point.make(heard)
    client = thing if isinstance(thing, EmbeddingsClient) else thing._client()
    for ask in (client.list_models, lambda: asyncio.run(client.alist_models())):
        with pytest.raises(
            (AuthenticationError, PermissionDeniedError), match=r"No key was sent.*id of a model"
        ) as caught:
            ask()
        assert "ELECTRONHUB_API_KEY" not in str(caught.value)
    assert [request.header("authorization") for request in heard.requests] == [[], []]


@pytest.mark.parametrize(("status", "kind"), [(400, BadRequestError), (404, NotFoundError)])
def test_an_unknown_model_costs_one_request(entry_point, recording_server, ask, status, kind):
    """The error says how to list the models, and sends no request to list them."""
    body = b'{"error":{"message":"No such model.","code":"model_not_found"}}'
    heard = recording_server(lambda _: Answer(status, body=body))
    error = ask(entry_point, heard, model="text-embedding-3-smal")
    assert type(error) is kind
    assert "list_models()" in str(error)
    assert [request.method for request in heard.requests] == ["POST"]


@pytest.mark.parametrize("entry_point", MODELS, indirect=True)
def test_a_model_goes_on_counting_when_it_is_used_again(entry_point, emulator):
    """Closing a model closes its connections: the totals stay, and the next call opens new ones."""
    model = entry_point.make(emulator(rpm=0))
    entry_point.query(model, "one")
    model.close()
    assert model.usage.requests == 1
    entry_point.query(model, "two")
    assert model.usage.requests == 2


def test_what_a_fault_of_ours_cost_is_counted(entry_point, emulator, monkeypatch):
    """If vectors cannot be returned, for example for lack of memory, the call fails and its usage is counted."""

    def fail(*_, **__):
        raise MemoryError("no room")

    infos = []
    thing = entry_point.make(emulator(rpm=0), on_request=infos.append)
    monkeypatch.setattr(VectorOutput, "put", fail)
    with pytest.raises(ElectronHubError, match="Unexpected MemoryError: no room"):
        entry_point.embed(thing, TEXTS)
    assert thing.usage.attempts == 1
    assert thing.usage.total_tokens == infos[0].tokens > 0
