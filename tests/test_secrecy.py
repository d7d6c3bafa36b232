"""The key shows nowhere, and goes nowhere but to the configured host."""

import copy
import json
import logging
import socket
import traceback

import httpx
import numpy as np
import pytest
from faces import KINDS, same

from electronhub_embeddings import APIStatusError, BadRequestError, ElectronHubError
from electronhub_embeddings.emulator import faults

pytestmark = pytest.mark.usefixtures("quick_retries")

KEY = "ek-canary-5f1d2c7b9a"

LANGCHAIN = [name for name in KINDS if name == "LangChain sync"]
LLAMA_INDEX = [name for name in KINDS if name == "LlamaIndex sync"]


def told(error):
    """Return all that an exception tells, and the exceptions that it came from."""
    chain = []
    while error is not None:
        words = [getattr(error, name, None) for name in ("message", "body", "param", "code")]
        chain += [str(error), repr(error), repr(error.args), repr(vars(error)), repr(words)]
        chain += traceback.format_exception(error)
        error = error.__cause__ or error.__context__
    return "\n".join(chain)


def test_objects_do_not_show_it(face, emulator):
    """No way of printing an object has the key, before and after it was used."""
    service = emulator(rpm=0, api_key=KEY)
    thing = face.make(service)
    for _ in range(2):
        shown = f"{thing!r} {thing!s} {thing} {vars(thing)!r} {dir(thing)!r} {copy.copy(vars(thing))!s}"
        assert KEY not in shown
        face.query(thing, "one")


@pytest.mark.parametrize("face", LANGCHAIN, indirect=True)
def test_langchain_dumps_do_not_hold_it(face, emulator):
    """Neither LangChain's serialised forms nor pydantic's hold the key or confidential headers."""
    from langchain_core.load import dumpd, dumps  # noqa: PLC0415 - LangChain may be missing

    thing = face.make(emulator(rpm=0, api_key=KEY), default_headers={"x-secret": "canary-header"})
    forms = [
        dumps(thing),
        json.dumps(dumpd(thing)),
        repr(thing.to_json()),
        repr(thing.model_dump()),
        thing.model_dump_json(),
        repr(dict(thing)["api_key"]),
    ]
    assert [form for form in forms if KEY in form] == []
    assert [form for form in forms if "canary-header" in form] == []


@pytest.mark.parametrize("face", LLAMA_INDEX, indirect=True)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_llama_index_dumps_do_not_hold_it(face, emulator):
    """Neither LlamaIndex's serialised forms nor pydantic's hold the key or confidential headers."""
    thing = face.make(emulator(rpm=0, api_key=KEY), default_headers={"x-secret": "canary-header"})
    names = ("to_dict", "to_json", "dict", "json", "model_dump", "model_dump_json", "to_payload")
    forms = {name: repr(getattr(thing, name)()) for name in names if hasattr(thing, name)}
    assert {"to_dict", "to_json", "dict", "json"} <= set(forms)
    assert [name for name, form in forms.items() if KEY in form] == []
    assert [name for name, form in forms.items() if "canary-header" in form] == []


@pytest.mark.parametrize("face", LLAMA_INDEX, indirect=True)
def test_llama_index_events_do_not_hold_it(face, emulator):
    """Neither instrumentation nor callbacks are told the key."""
    from llama_index.core.callbacks import CallbackManager, LlamaDebugHandler  # noqa: PLC0415
    from llama_index.core.instrumentation import get_dispatcher  # noqa: PLC0415
    from llama_index.core.instrumentation.event_handlers import BaseEventHandler  # noqa: PLC0415
    from llama_index.core.instrumentation.span_handlers import SimpleSpanHandler  # noqa: PLC0415

    heard = []

    class Ear(BaseEventHandler):
        @classmethod
        def class_name(cls):
            return "Ear"

        def handle(self, event, **_):
            heard.append(f"{event!r} {event!s} {event.__dict__!r}")

    class Spans(SimpleSpanHandler):
        def new_span(self, id_, bound_args, instance=None, *args, **options):
            heard.append(f"{bound_args!r} {bound_args.arguments!r} {instance!r}")
            return super().new_span(id_, bound_args, instance, *args, **options)

    debug = LlamaDebugHandler(print_trace_on_end=False)
    thing = face.make(emulator(rpm=0, api_key=KEY), callback_manager=CallbackManager([debug]))
    dispatcher = get_dispatcher()
    handlers = dispatcher.event_handlers, dispatcher.span_handlers
    dispatcher.event_handlers, dispatcher.span_handlers = [*handlers[0], Ear()], [*handlers[1], Spans()]
    try:
        face.embed(thing, ["one", "two"])
        face.query(thing, "three")
    finally:
        dispatcher.event_handlers, dispatcher.span_handlers = handlers
    pairs = debug.get_event_pairs()
    heard += [repr(event.payload) for pair in pairs for event in pair]
    assert len(pairs) == 2
    assert len(heard) >= 8
    assert [words for words in heard if KEY in words] == []


def test_logs_do_not_hold_it(face, emulator, caplog):
    """At DEBUG, HTTP's own loggers included, neither the key nor a text is logged, for good answers and bad."""
    service = emulator(rpm=0, api_key=KEY, faults=[None, faults.error(503), faults.drop(), faults.error(400, KEY)])
    thing = face.make(service)
    with caplog.at_level(logging.DEBUG):
        face.embed(thing, ["a confidential text"])
        with pytest.raises(BadRequestError):
            face.query(thing, "a confidential text")
    logged = [f"{record.getMessage()} {record.args!r} {record.exc_text}" for record in caplog.records]
    assert {"httpcore.http11", "electronhub_embeddings"} <= {record.name for record in caplog.records}
    assert [line for line in logged if KEY in line or "a confidential text" in line] == []


@pytest.mark.parametrize(
    "fault",
    [
        faults.error(400, f"The key {KEY} is not allowed."),
        faults.error(401, f"Incorrect API key provided: {KEY}."),
        faults.error(403, "No.", param=KEY, code=KEY),
        faults.wrapped_error(404, f"{KEY} has no such model."),
        faults.detail(402, f"{KEY} is spent."),
        faults.text(503, f"upstream refused {KEY}"),
        faults.nonsense(f"Bearer {KEY}".encode()),
        faults.error_with_200(f"Key {KEY} failed."),
        faults.edit(lambda answer: {**answer, "error": {"message": f"Key {KEY} failed."}}),
        faults.drop(),
        faults.truncate(),
        faults.stall(30),
    ],
    ids=[
        "400",
        "401",
        "403",
        "wrapped",
        "detail",
        "text",
        "nonsense",
        "200",
        "200-with-rows",
        "drop",
        "truncate",
        "timeout",
    ],
)
@pytest.mark.parametrize("count", [1, 40], ids=["one text", "40 texts"])
def test_exceptions_do_not_show_it(face, emulator, fault, count):
    """A service that quotes the key cannot bring it into an exception, its causes, or their tracebacks."""
    service = emulator(rpm=0, api_key=KEY, chance=lambda _: fault)
    thing = face.make(service, max_retries=0, timeout=0.2 if fault.pause else 20)
    with pytest.raises(ElectronHubError) as caught:
        face.embed(thing, [f"text {number}" for number in range(count)])
    assert KEY not in told(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"unknown": 1},
        {"dimensions": "many"},
        {"timeout": -1},
        {"batch_size": 5000},
        {"max_concurrency": 0},
        {"encoding_format": "hex"},
        {"base_url": "http://example.org"},
        {"base_url": f"https://user:{KEY}@example.org"},
        {"default_headers": {"Authorization": f"Bearer {KEY}"}},
        {"api_key": f"{KEY}\n"},
        {"api_key": f"{KEY}é"},
    ],
    ids=lambda options: next(iter(options)),
)
def test_refused_arguments_do_not_show_it(face, options):
    """The exception for a wrong argument does not print the right ones."""
    with pytest.raises((ValueError, TypeError)) as caught:
        face.build(**{"api_key": KEY, "base_url": "https://api.example/v1", **options})
    assert KEY not in told(caught.value)


@pytest.fixture
def contacted(monkeypatch):
    """List the hosts that are looked up, and the addresses that are connected to."""
    seen, look_up, connect = [], socket.getaddrinfo, socket.socket.connect

    def looking_up(host, port, *args, **options):
        seen.append((host, port))
        return look_up(host, port, *args, **options)

    def connecting(self, address):
        seen.append(address)
        return connect(self, address)

    monkeypatch.setattr(socket, "getaddrinfo", looking_up)
    monkeypatch.setattr(socket.socket, "connect", connecting)
    return seen


def test_only_the_configured_host_is_contacted(face, emulator, contacted):
    """No tokeniser, no model list, no telemetry: one host, one port."""
    service = emulator(rpm=0)
    url = httpx.URL(service.base_url)
    thing = face.make(service)
    face.embed(thing, ["one", "two"])
    face.query(thing, "three")
    assert set(contacted) == {(url.host, url.port)}


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(face, emulator, status):
    """A redirect is an error, even over an HTTP client that follows them: the key stays at its host."""
    elsewhere = emulator(rpm=0)
    fault = faults.html(status, headers={"Location": f"{elsewhere.base_url}/embeddings"})
    service = emulator(rpm=0, chance=lambda _: fault)
    with httpx.Client(follow_redirects=True) as http:
        for options in ({}, {"http_client": http}):
            with pytest.raises(APIStatusError) as caught:
                face.query(face.make(service, **options), "one")
            assert caught.value.status_code == status
    assert elsewhere.calls == []
    assert len(service.calls) == 2


def test_another_vendors_settings_are_not_read(face, emulator, monkeypatch):
    """Neither key nor address is ever taken from OPENAI_* variables."""
    service, elsewhere = emulator(rpm=0), emulator(rpm=0)
    for name in ("OPENAI_API_KEY", "OPENAI_KEY"):
        monkeypatch.setenv(name, elsewhere.api_key)
    for name in ("OPENAI_BASE_URL", "OPENAI_API_BASE"):
        monkeypatch.setenv(name, elsewhere.base_url)
    with pytest.raises(ValueError, match="ELECTRONHUB_API_KEY"):
        face.build(base_url=service.base_url)
    thing = face.build(api_key="ek-any")
    shown = thing if face.kind.row is np.ndarray else thing._client()  # what an adapter talks through
    assert "https://api.electronhub.ai/v1" in repr(shown)
    monkeypatch.setenv("ELECTRONHUB_API_KEY", service.api_key)
    monkeypatch.setenv("ELECTRONHUB_BASE_URL", service.base_url)
    assert same(face.query(face.build(), "one"), service.vector("one"))
    assert elsewhere.calls == []
