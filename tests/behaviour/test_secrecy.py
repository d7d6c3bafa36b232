"""The key is never shown, and only sent to the configured host."""

import copy
import json
import logging
import pickle
import re
import socket
import socketserver
import threading
import traceback
from itertools import cycle

import httpx
import numpy as np
import pytest

from electronhub_embeddings import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    BadRequestError,
    ElectronHubError,
    EmbeddingsClient,
)
from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow
from electronhub_embeddings.emulator import faults
from electronhub_embeddings.rate_limit_stores.memory import MemoryStore
from support.entry_points import ENTRY_POINTS, SYNC, EntryPoint, paired, same
from support.fault_forms import KEY as QUOTED_KEY
from support.faults_table import ROWS, SLOW, Failure
from support.repository import TESTS
from support.window_changes import forget_windows

pytestmark = pytest.mark.usefixtures("quick_retries")

KEY = "ek-canary-5f1d2c7b9a"

HEADER = "canary-header-81c7"
PASSWORD = "canary-password-2e90"
SECRETS = re.compile(f"{KEY}|{QUOTED_KEY}|{HEADER}|{PASSWORD}")

ADDRESS = f"redis://user:{PASSWORD}@127.0.0.1:1/0"
"""Where no Redis server listens."""

CONFIDENTIAL = {"rate_limit_store": ADDRESS, "default_headers": {"X-Secret": HEADER}}


ADAPTERS = [name for name in SYNC if name != "client sync"]
LANGCHAIN = [name for name in ENTRY_POINTS if name == "LangChain sync"]
LLAMA_INDEX = [name for name in ENTRY_POINTS if name == "LlamaIndex sync"]


def told(error):
    """Return all that an error tracker can print of an exception, and of the exceptions that it came from.

    The variables of the tests' own frames are left out: a caller knows the key that it has passed.
    """
    chain, pending, said = [], [error], []
    while pending:
        error = pending.pop()
        if error is not None and error not in chain:
            chain.append(error)
            pending += [error.__cause__, error.__context__]  # whether it is suppressed or not
    for error in chain:
        words = [getattr(error, name, None) for name in ("message", "body", "param", "code")]
        said += [str(error), repr(error), repr(error.args), repr(vars(error)), repr(words)]
        said += traceback.format_exception(error)
        frames = traceback.TracebackException.from_exception(error, capture_locals=True).stack
        said += [f"{frame.name}: {frame.locals}" for frame in frames if not frame.filename.startswith(str(TESTS))]
    return "\n".join(said)


def leaks(text):
    """List the secrets found in a text, with their surroundings."""
    return [text[max(0, found.start() - 200) : found.end() + 20] for found in SECRETS.finditer(text)]


def test_objects_do_not_show_it(entry_point, emulator):
    """No printed form of an object contains the key, before or after its use."""
    service = emulator(rpm=0, api_key=KEY)
    thing = entry_point.make(service)
    for _ in range(2):
        shown = f"{thing!r} {thing!s} {thing} {vars(thing)!r} {dir(thing)!r} {copy.copy(vars(thing))!s}"
        assert KEY not in shown
        entry_point.query(thing, "one")


@pytest.mark.parametrize("entry_point", LANGCHAIN, indirect=True)
def test_langchain_dumps_do_not_hold_it(entry_point, emulator):
    """Neither LangChain's serialised forms nor pydantic's hold the key or confidential headers."""
    from langchain_core.load import dumpd, dumps  # noqa: PLC0415 - LangChain may be missing

    thing = entry_point.make(emulator(rpm=0, api_key=KEY), default_headers={"x-secret": "canary-header"})
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


@pytest.mark.parametrize("entry_point", LLAMA_INDEX, indirect=True)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_llama_index_dumps_do_not_hold_it(entry_point, emulator):
    """Neither LlamaIndex's serialised forms nor pydantic's hold the key or confidential headers."""
    thing = entry_point.make(emulator(rpm=0, api_key=KEY), default_headers={"x-secret": "canary-header"})
    names = ("to_dict", "to_json", "dict", "json", "model_dump", "model_dump_json", "to_payload")
    forms = {name: repr(getattr(thing, name)()) for name in names if hasattr(thing, name)}
    assert {"to_dict", "to_json", "dict", "json"} <= set(forms)
    assert [name for name, form in forms.items() if KEY in form] == []
    assert [name for name, form in forms.items() if "canary-header" in form] == []


@pytest.mark.parametrize("entry_point", LLAMA_INDEX, indirect=True)
def test_llama_index_events_do_not_hold_it(entry_point, emulator):
    """Instrumentation and callbacks do not receive the key."""
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
    thing = entry_point.make(emulator(rpm=0, api_key=KEY), callback_manager=CallbackManager([debug]))
    dispatcher = get_dispatcher()
    handlers = dispatcher.event_handlers, dispatcher.span_handlers
    dispatcher.event_handlers, dispatcher.span_handlers = [*handlers[0], Ear()], [*handlers[1], Spans()]
    try:
        entry_point.embed(thing, ["one", "two"])
        entry_point.query(thing, "three")
    finally:
        dispatcher.event_handlers, dispatcher.span_handlers = handlers
    pairs = debug.get_event_pairs()
    heard += [repr(event.payload) for pair in pairs for event in pair]
    assert len(pairs) == 2
    assert len(heard) >= 8
    assert [words for words in heard if KEY in words] == []


def test_logs_do_not_hold_it(entry_point, emulator, caplog):
    """At DEBUG level, including the HTTP libraries' loggers, neither the key nor a text is logged."""
    service = emulator(rpm=0, api_key=KEY, faults=[None, faults.error(503), faults.drop(), faults.error(400, KEY)])
    thing = entry_point.make(service)
    with caplog.at_level(logging.DEBUG):
        entry_point.embed(thing, ["a confidential text"])
        with pytest.raises(BadRequestError):
            entry_point.query(thing, "a confidential text")
    logged = [f"{record.getMessage()} {record.args!r} {record.exc_text}" for record in caplog.records]
    assert {"httpcore.http11", "electronhub_embeddings"} <= {record.name for record in caplog.records}
    assert [line for line in logged if KEY in line or "a confidential text" in line] == []


QUOTING = {
    "400": faults.error(400, f"The key {KEY} is not allowed."),
    "401": faults.error(401, f"Incorrect API key provided: {KEY}."),
    "403": faults.error(403, "No.", param=KEY, code=KEY),
    "wrapped": faults.wrapped_error(404, f"{KEY} has no such model."),
    "detail": faults.detail(402, f"{KEY} is spent."),
    "text": faults.text(503, f"upstream refused {KEY}"),
    "nonsense": faults.nonsense(f"Bearer {KEY}".encode()),
    "200": faults.error_with_200(f"Key {KEY} failed."),
    "200-with-rows": faults.edit(lambda answer: {**answer, "error": {"message": f"Key {KEY} failed."}}),
    "drop": faults.drop(),
    "truncate": faults.truncate(),
    "timeout": faults.stall(30),
}


@pytest.mark.parametrize(
    ("entry_point", "fault", "count"),
    paired({f"{name}, {count} texts": (fault, count) for name, fault in QUOTING.items() for count in (1, 40)}),
    indirect=["entry_point"],
)
def test_exceptions_do_not_show_it(entry_point, emulator, fault, count):
    """A key quoted by the service is in no exception, cause or traceback."""
    service = emulator(rpm=0, api_key=KEY, chance=lambda _: fault)
    thing = entry_point.make(service, max_retries=0, timeout=0.2 if fault.pause else 20)
    with pytest.raises(ElectronHubError) as caught:
        entry_point.embed(thing, [f"text {number}" for number in range(count)])
    assert leaks(told(caught.value)) == []


FAILING = [row for row in ROWS if row.forms and isinstance(row.for_ever, Failure)]


@pytest.mark.parametrize(
    ("row", "adapter"),
    [pytest.param(*pair, id=pair[0].fault) for pair in zip(FAILING, cycle(ADAPTERS or SYNC))],
)
def test_no_fault_brings_secrets_into_a_frame(closing, emulator, row, adapter):
    """For every fault in every form, no variable of any traceback frame contains the key or a header of the user.

    The adapters, which add the same frames to every fault, have one form of it in turn.
    """
    lasting = []
    service = emulator(rpm=0, api_key=QUOTED_KEY, chance=lambda _: lasting[-1] if lasting else None)
    settings = {
        "max_retries": 0,
        "default_headers": {"X-Secret": HEADER},
        **row.options,
        **({"timeout": 0.2} if row.options is SLOW else {}),
    }
    for number, form in enumerate(row.forms.values()):
        for name in ["client sync", adapter] if number == 0 else ["client sync"]:
            entry_point = EntryPoint(ENTRY_POINTS[name], closing)
            lasting.clear()
            forget_windows()
            settings["rate_limit_store"] = MemoryStore(SlidingWindow(period=0.001, margin=0.001))
            thing = entry_point.make(service, **settings)
            if row.later:
                entry_point.embed(thing, ["before"])
            lasting.append(form.fault)
            with pytest.raises(ElectronHubError) as caught:
                entry_point.embed(thing, ["one", "two"])
            thing.close()
            assert leaks(told(caught.value)) == []


def test_a_refused_connection_shows_nothing(entry_point):
    """The error for a refused connection says so, with its cause, and shows neither key nor headers."""
    with socket.create_server(("127.0.0.1", 0)) as place:
        url = f"http://127.0.0.1:{place.getsockname()[1]}/v1"
    thing = entry_point.build(api_key=KEY, base_url=url, max_retries=0, default_headers={"X-Secret": HEADER})
    with pytest.raises(APIConnectionError, match="refused") as caught:
        entry_point.query(thing, "one")
    assert leaks(told(caught.value)) == []
    assert (type(caught.value.__cause__), "refused" in str(caught.value.__cause__)) == (httpx.ConnectError, True)


def test_a_list_of_models_that_fails_shows_nothing(closing):
    """The request without the key still has the user's headers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        headers = {"X-Secret": HEADER}
        client = closing(EmbeddingsClient(api_key=KEY, base_url=url, timeout=0.2, default_headers=headers))
        with pytest.raises(APITimeoutError) as caught:
            client.list_models()
    assert leaks(told(caught.value)) == []


def test_a_list_of_models_that_fails_unexpectedly_shows_nothing(closing):
    """An exception of the user's own transport keeps its traceback, as text."""

    def quote(request):
        raise RuntimeError(f"cannot send {request.headers['x-secret']}")

    with httpx.Client(transport=httpx.MockTransport(quote)) as http:
        client = closing(EmbeddingsClient(api_key=KEY, http_client=http, default_headers={"X-Secret": HEADER}))
        with pytest.raises(RuntimeError, match="cannot send") as caught:
            client.list_models()
    assert "in quote" in str(caught.value.__cause__)
    assert leaks(told(caught.value)) == []


def test_a_header_that_is_quoted_is_redacted(entry_point, emulator):
    """A confidential header quoted by the service is in no exception either."""
    service = emulator(rpm=0, api_key=KEY, chance=lambda _: faults.error(400, f"x-secret: {HEADER} is unknown"))
    with pytest.raises(BadRequestError, match=r"x-secret: \*+ is unknown") as caught:
        entry_point.query(entry_point.make(service, default_headers={"X-Secret": HEADER, "X-Flag": "1"}), "one")
    assert leaks(told(caught.value)) == []


def gossip(request):
    """Fail in the user's own transport, with an error that quotes the request."""
    raise RuntimeError(f"cannot send {request.headers['authorization']} {request.headers['x-secret']}")


def time_out(request):
    """Fail in the user's own transport, with an httpx exception."""
    raise httpx.ReadTimeout("too slow", request=request)


def interrupt(_):
    """Raise KeyboardInterrupt."""
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("act", "cause", "words"),
    [
        (gossip, RuntimeError, "cannot send"),
        (time_out, httpx.ReadTimeout, "too slow"),
        (interrupt, KeyboardInterrupt, ""),
    ],
)
@pytest.mark.parametrize("entry_point", SYNC, indirect=True)
def test_an_http_client_of_the_users_own_that_fails(entry_point, act, cause, words):
    """The transport's exception is the cause, with its type and message, but without the request."""
    with httpx.Client(transport=httpx.MockTransport(act)) as http:
        thing = entry_point.build(
            api_key=KEY,
            base_url="https://api.example/v1",
            http_client=http,
            max_retries=0,
            default_headers={"X-Secret": HEADER},
        )
        with pytest.raises(ElectronHubError) as caught:
            entry_point.embed(thing, ["one", "two"])
    assert type(caught.value.__cause__) is cause
    assert words in str(caught.value.__cause__)
    assert getattr(caught.value.__cause__, "_request", None) is None  # the property raises
    assert leaks(told(caught.value)) == []


@pytest.mark.parametrize("entry_point", ["client sync"], indirect=True)
def test_an_unexpected_error_tells_its_place(entry_point):
    """The traceback of a bug is kept as text without variables, so that it can be fixed."""
    with httpx.Client(transport=httpx.MockTransport(gossip)) as http:
        thing = entry_point.build(
            api_key=KEY, base_url="https://api.example/v1", http_client=http, default_headers={"X-Secret": HEADER}
        )
        with pytest.raises(ElectronHubError) as caught:
            entry_point.query(thing, "one")
    assert "in gossip" in "".join(traceback.format_exception(caught.value))
    assert leaks(told(caught.value)) == []


@pytest.mark.parametrize("entry_point", SYNC, indirect=True)
def test_the_callers_own_exception_keeps_its_frames(entry_point, emulator):
    """An exception that the caller is handling while it embeds is not modified."""
    service = emulator(rpm=0, api_key=KEY, faults=[None, faults.error(401)])
    thing = entry_point.make(service)
    entry_point.query(thing, "one")
    try:
        raise KeyError("mine")  # noqa: TRY301
    except KeyError:
        with pytest.raises(ElectronHubError) as caught:
            entry_point.query(thing, "two")
    context = caught.value.__context__
    assert (type(context), context.__traceback__ is not None) == (KeyError, True)


def test_a_hook_that_fails_shows_nothing(entry_point, emulator, caplog):
    """An exception in `on_request` is logged with its frames, none of which is the transport's."""

    def hook(info):
        raise RuntimeError(f"no counter for {info.model}")

    service = emulator(rpm=0, api_key=KEY)
    entry_point.query(entry_point.make(service, on_request=hook, default_headers={"X-Secret": HEADER}), "one")
    errors = [record.exc_info[1] for record in caplog.records if record.exc_info]
    assert [type(error) for error in errors] == [RuntimeError]
    assert leaks(told(errors[0])) == []


@pytest.mark.parametrize("entry_point", SYNC, indirect=True)
def test_a_redis_server_that_is_not_there_does_not_show_its_password(entry_point, emulator):
    """The error for a failed login contains no frame of redis-py."""
    with socket.socket() as taken:  # and so nobody listens there
        taken.bind(("127.0.0.1", 0))
        address = f"redis://user:{PASSWORD}@127.0.0.1:{taken.getsockname()[1]}/0"
        thing = entry_point.make(emulator(rpm=0, api_key=KEY), rate_limit_store=address)
        with pytest.raises(ElectronHubError, match="store failed") as caught:
            entry_point.query(thing, "one")
    assert "ConnectionError" in repr(caught.value.__cause__)
    assert leaks(told(caught.value)) == []


@pytest.mark.parametrize("entry_point", SYNC, indirect=True)
@pytest.mark.parametrize("address", ["http://u:{}/x@127.0.0.1:1", "http://u:x@127.0.0.1:{}", "none://u:{}@127.0.0.1:1"])
def test_a_proxy_that_cannot_be_read_is_not_quoted(entry_point, monkeypatch, address):
    """A proxy's address can hold a password as well."""
    monkeypatch.setenv("HTTPS_PROXY", address.format(PASSWORD))
    thing = entry_point.build(api_key=KEY, base_url="https://service.invalid/v1")
    with pytest.raises(APIConnectionError, match="proxy for https cannot be read") as caught:
        entry_point.query(thing, "one")
    assert leaks(told(caught.value)) == []


class Refusing(socketserver.BaseRequestHandler):
    """A Redis server that refuses every command, as for a wrong password."""

    def handle(self):
        """Answer every command, of which redis-py may send several at once."""
        while data := self.request.recv(65536):
            commands = len(re.findall(rb"\*[0-9]+\r\n", data))
            self.request.sendall(commands * b"-WRONGPASS invalid username-password pair or user is disabled.\r\n")


@pytest.fixture
def refusing():
    """Return the address of such a server."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Refusing) as server:
        server.daemon_threads = True
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        yield f"redis://user:{PASSWORD}@127.0.0.1:{server.server_address[1]}/0"
        server.shutdown()
        serving.join()


@pytest.mark.parametrize("entry_point", SYNC, indirect=True)
def test_a_refused_password_does_not_show(entry_point, emulator, refusing):
    """While redis-py sends the password, variables in its frames contain it; no error keeps them."""
    thing = entry_point.make(emulator(rpm=0, api_key=KEY), rate_limit_store=refusing)
    with pytest.raises(ElectronHubError, match="invalid username-password pair") as caught:
        entry_point.query(thing, "one")
    assert "AuthenticationError" in repr(caught.value.__cause__)
    assert leaks(told(caught.value)) == []


@pytest.mark.parametrize("entry_point", SYNC, indirect=True)
def test_an_address_that_cannot_be_read_is_not_quoted(entry_point, emulator):
    """A password with a slash is parsed as a port, and must not be in the message."""
    with pytest.raises(ValueError, match="rate_limit_store") as caught:
        entry_point.make(emulator(rpm=0, api_key=KEY), rate_limit_store=f"redis://:{PASSWORD}/x@127.0.0.1:1/0")
    assert leaks(told(caught.value)) == []


@pytest.mark.parametrize(
    "options",
    [
        {"unknown": 1},
        {"apikey": KEY},
        {"dimensions": "many"},
        {"timeout": -1},
        {"batch_size": 5000},
        {"max_concurrency": 0},
        {"encoding_format": "hex"},
        {"base_url": "http://example.org"},
        {"base_url": f"https://user:{KEY}@example.org"},
        {"base_url": [KEY]},
        {"default_headers": {"Authorization": f"Bearer {KEY}"}},
        {"default_headers": {"X-Secret": f"{HEADER}\n"}},
        {"default_headers": {"X-Secret": [HEADER]}},
        {"default_headers": {"X Secret": HEADER}},
        {"default_headers": [("X-Secret", HEADER)]},
        {"default_headers": HEADER},
        {"api_key": f"{KEY}\n"},
        {"api_key": f"{KEY}é"},
        {"api_key": [KEY]},
        {"rate_limit_store": (ADDRESS,)},
        {"rate_limit_store": {"url": ADDRESS}},
        {"rate_limit_store": ADDRESS.encode()},
        {"cache": (ADDRESS,)},
        {"cache": ADDRESS},
        {"http_client": ADDRESS},
        {"http_client": {"proxy": ADDRESS}},
        {"on_request": ADDRESS},
    ],
    ids=lambda options: f"{next(iter(options))}-{type(next(iter(options.values()))).__name__}",
)
@pytest.mark.parametrize("entry_point", SYNC, indirect=True)
def test_refused_arguments_do_not_show_it(entry_point, options):
    """The exception for an invalid argument, including its frames, shows no argument."""
    with pytest.raises((ValueError, TypeError, AttributeError)) as caught:
        entry_point.build(**{"api_key": KEY, "base_url": "https://api.example/v1", **CONFIDENTIAL, **options})
    assert leaks(told(caught.value)) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rate_limit_store", (ADDRESS,)),
        ("rate_limit_store", {"url": ADDRESS}),
        ("rate_limit_store", ADDRESS.encode()),
        ("cache", (ADDRESS,)),
        ("http_client", {"proxy": ADDRESS}),
        ("on_request", {"url": ADDRESS}),
        ("default_headers", (HEADER,)),
    ],
)
def test_an_argument_of_a_wrong_type_is_refused_by_its_type(name, value):
    """The error for a tuple names the type, not the contents."""
    with pytest.raises(ValueError, match=f"^{name} must be .*, not .*{type(value).__name__}") as caught:
        EmbeddingsClient(api_key=KEY, **{name: value})
    assert leaks(str(caught.value)) == []


REFUSED = {
    "out of range": ({"timeout": -1}, (("timeout",), "value_error"), "above 0"),
    "of a wrong type": ({"dimensions": "many"}, (("dimensions",), "value_error"), "an int"),
    "misspelt": ({"apikey": KEY}, (("apikey",), "extra_forbidden"), "Did you mean api_key"),
    "a header": ({"default_headers": {"X-Secret": [HEADER]}}, (("default_headers",), "value_error"), "must be str"),
    "two at odds": ({"base_url": "http://a.example"}, ((), "value_error"), "allow_http"),
}

MAKERS = {
    "__init__": lambda cls, arguments: cls(**arguments),
    "model_validate": lambda cls, arguments: cls.model_validate(arguments),
    "model_validate_json": lambda cls, arguments: cls.model_validate_json(json.dumps(arguments)),
}


@pytest.mark.parametrize(("options", "place", "words"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("entry_point", LANGCHAIN, indirect=True)
def test_validation_errors_hide_their_inputs(entry_point, make, options, place, words):
    """Pydantic's errors name the field and the reason, and quote no input, which could be all arguments of a model."""
    with pytest.raises(ValueError, match=words) as caught:
        make(entry_point.kind.cls, {"api_key": KEY, **CONFIDENTIAL, **options})
    error = caught.value
    (line,) = error.errors()
    assert (line["loc"], line["type"]) == place
    assert words in line["msg"]
    assert (error.title, error.error_count()) == ("ElectronHubEmbeddings", 1)
    assert leaks(f"{error.errors()} {error.json()} {told(error)}") == []
    if place[1] == "value_error":
        assert leaks(told(line["ctx"]["error"])) == []


@pytest.mark.parametrize("entry_point", LLAMA_INDEX, indirect=True)
def test_validation_errors_of_llama_index_hide_their_inputs(entry_point):
    """The same for either version of pydantic."""
    with pytest.raises(ValueError, match="dimensions") as caught:
        entry_point.build(api_key=KEY, dimensions=PASSWORD)
    assert leaks(told(caught.value)) == []


def attributes(thing):
    """Return all attributes of an object as text."""
    names = ("__dict__", "__pydantic_private__", "__private_attributes__", "__pydantic_fields_set__")
    return f"{vars(thing)} {[getattr(thing, name, None) for name in names]} {thing!r} {thing}"


@pytest.mark.parametrize("entry_point", SYNC, indirect=True)
@pytest.mark.parametrize(
    "double",
    [lambda it: it, copy.copy, copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))],  # noqa: S301 - ours
    ids=["itself", "copy", "deepcopy", "pickle"],
)
def test_variables_of_an_object_do_not_show_secrets(entry_point, closing, double):
    """`vars` of an object and of its client shows neither password nor headers nor key."""
    twin = closing(double(entry_point.build(api_key=KEY, **CONFIDENTIAL)))
    client = twin if entry_point.kind.row is np.ndarray else twin._client()
    assert leaks(attributes(twin) + attributes(client)) == []
    if entry_point.kind.row is not np.ndarray:
        assert leaks(attributes(twin._client_cache) + repr(twin._client_cache._clients)) == []
        assert twin._client() is client  # equal arguments are known again


@pytest.mark.parametrize("entry_point", LANGCHAIN, indirect=True)
def test_concealed_fields_are_plain_attributes(entry_point, closing):
    """Reading a field by name returns its plain value, however it was set."""
    model = entry_point.kind.cls
    changed = entry_point.build(api_key="ek-other")
    for name, value in {**CONFIDENTIAL, "api_key": KEY}.items():
        setattr(changed, name, value)
    copied = closing(entry_point.build(api_key=KEY).model_copy(update=CONFIDENTIAL))
    for thing in (
        entry_point.build(api_key=KEY, **CONFIDENTIAL),
        closing(model(**dict(entry_point.build(api_key=KEY, **CONFIDENTIAL)))),
        closing(model.model_validate({"api_key": KEY, **CONFIDENTIAL})),
        closing(model.model_construct(**CONFIDENTIAL)),
        closing(type("Own", (model,), {"__module__": __name__})(api_key=KEY, **CONFIDENTIAL)),
        changed,
        copied,
    ):
        assert {name: getattr(thing, name) for name in CONFIDENTIAL} == CONFIDENTIAL
        assert leaks(f"{attributes(thing)} {dict(thing)}") == []
    assert changed.api_key.get_secret_value() == KEY


@pytest.mark.parametrize("entry_point", ADAPTERS, indirect=True)
def test_a_field_assigned_wrong_does_not_show_the_others(entry_point):
    """An error at the next call quotes no valid argument."""
    thing = entry_point.build(api_key=KEY, **CONFIDENTIAL)
    thing.batch_size = 5000
    with pytest.raises(ValueError, match="batch_size") as caught:
        entry_point.query(thing, "one")
    assert leaks(told(caught.value)) == []


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


def test_only_the_configured_host_is_contacted(entry_point, emulator, contacted):
    """No tokeniser, no model list, no telemetry: one host, one port."""
    service = emulator(rpm=0)
    url = httpx.URL(service.base_url)
    thing = entry_point.make(service)
    entry_point.embed(thing, ["one", "two"])
    entry_point.query(thing, "three")
    assert set(contacted) == {(url.host, url.port)}


@pytest.mark.parametrize(
    ("entry_point", "status"),
    paired({str(status): (status,) for status in (301, 302, 307, 308)}),
    indirect=["entry_point"],
)
def test_redirects_are_not_followed(entry_point, emulator, status):
    """A redirect is an error even with an HTTP client that follows redirects, so the key stays at its host."""
    elsewhere = emulator(rpm=0)
    fault = faults.html(status, headers={"Location": f"{elsewhere.base_url}/embeddings"})
    service = emulator(rpm=0, chance=lambda _: fault)
    with httpx.Client(follow_redirects=True) as http:
        for options in ({}, {"http_client": http}):
            with pytest.raises(APIStatusError) as caught:
                entry_point.query(entry_point.make(service, **options), "one")
            assert caught.value.status_code == status
    assert elsewhere.calls == []
    assert len(service.calls) == 2


def test_another_vendors_settings_are_not_read(entry_point, emulator, monkeypatch):
    """Neither key nor address is ever taken from OPENAI_* variables."""
    service, elsewhere = emulator(rpm=0), emulator(rpm=0)
    for name in ("OPENAI_API_KEY", "OPENAI_KEY"):
        monkeypatch.setenv(name, elsewhere.api_key)
    for name in ("OPENAI_BASE_URL", "OPENAI_API_BASE"):
        monkeypatch.setenv(name, elsewhere.base_url)
    with pytest.raises(ValueError, match="ELECTRONHUB_API_KEY"):
        entry_point.build(base_url=service.base_url)
    thing = entry_point.build(api_key="ek-any")
    shown = thing if entry_point.kind.row is np.ndarray else thing._client()  # what an adapter talks through
    assert "https://api.electronhub.ai/v1" in repr(shown)
    monkeypatch.setenv("ELECTRONHUB_API_KEY", service.api_key)
    monkeypatch.setenv("ELECTRONHUB_BASE_URL", service.base_url)
    assert same(entry_point.query(entry_point.build(), "one"), service.vector("one"))
    assert elsewhere.calls == []
