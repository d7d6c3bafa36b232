"""Every row of the table of faults: through the client in each form, through the other entry points by outcome.

What a fault leads to is decided below the entry points, so each of these meets every class of outcome once, each time
by another fault. Each request carries two texts. A single fault affects the first request; a permanent fault lets the
first request succeed, so that there are vectors to lose.
"""

import logging
import socket
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

import numpy as np
import pytest

from electronhub_embeddings import (
    APIStatusError,
    BadRequestError,
    ElectronHubError,
    InvalidResponseError,
    RateLimitError,
    ServerError,
)
from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow
from electronhub_embeddings.emulator import Emulator, faults
from electronhub_embeddings.rate_limit_stores.memory import MemoryStore
from support.entry_points import ENTRY_POINTS, EntryPoint, same
from support.fault_forms import KEY, UPSTREAM_FAILED, row_with
from support.faults_table import ALL, NETWORK, PAGE, RETRIES, ROWS, SLOW, Failure, Vectors, page
from support.http_families import NAMES

pytestmark = pytest.mark.usefixtures("quick_retries")

TEXTS = ["one", "two", "three", "four"]
MODES = ("once", "for_ever")
MAX_MESSAGE_LENGTH = 2000


class FaultyService:
    """A service with a fault, which can be cleared."""

    def __init__(self, service=None):
        self.permanent_fault = None
        self.service = service or Emulator(rpm=0, api_key=KEY, chance=lambda _: self.permanent_fault)

    def set_fault(self, row, fault, mode):
        """Cause a fault from now on; return the number of requests before it."""
        before = int(row.later or mode == "for_ever")
        self.service.script(*before * [None], fault)
        self.permanent_fault = fault if mode == "for_ever" else None
        return before

    def clear_fault(self):
        """Remove the fault; return the number of calls so far."""
        self.permanent_fault = None
        return len(self.service.calls)


@pytest.fixture(name="faulty_service")
def _faulty_service(client):  # noqa: ARG001 - clients are closed before their service is
    """Return a service of the test's own, and so an account that no earlier test has put into a cooldown."""
    faulty_service = FaultyService()
    with faulty_service.service:
        yield faulty_service


class FaultRun:
    """A fault of a service, and an object that encounters it.

    Args:
        entry_point: The entry point.
        faulty_service: The service.
        row: The row of the table, with the expected outcome.
        options: Further options of the object.
    """

    def __init__(self, entry_point, faulty_service, row, **options):
        self.entry_point, self.faulty_service, self.row = entry_point, faulty_service, row
        self.before = 0
        # Slots are released almost at once, so that only a cooldown can delay a call.
        settings = {
            "batch_size": 2,
            "max_concurrency": 1,
            "max_retries": RETRIES,
            "rate_limit_store": MemoryStore(SlidingWindow(period=0.001, margin=0.001)),
        }
        self.thing = entry_point.make(faulty_service.service, **{**settings, **row.options, **options})

    def run(self, form, mode):
        """Cause the fault, and check the outcome against the row."""
        outcome = getattr(self.row, mode)
        self.before = self.faulty_service.set_fault(self.row, form.fault, mode)
        if isinstance(outcome, Vectors):
            self.expect_vectors(outcome, TEXTS[: 2 * (self.before + 1)])
        else:
            self.expect_error(outcome, TEXTS, form.words)
        if isinstance(outcome, Failure) or self.row.remembered:  # otherwise the second attempt has shown it
            self.expect_recovery(silent=isinstance(outcome, Failure) and outcome.silent)

    def expect_vectors(self, outcome, texts):
        """Embed texts, and compare the vectors with those of the service."""
        expected = np.stack([self.right(text) for text in texts])
        if self.row.rounded:
            expected[2 * self.before] = np.rint(expected[2 * self.before] * 127)
        assert same(self.entry_point.embed(self.thing, texts), expected)
        assert len(self.faulty_service.service.calls) == outcome.requests + self.before

    def expect_error(self, outcome, texts, words):
        """Embed texts, and compare the error, the finished texts and the number of requests with the row."""
        with pytest.raises(ElectronHubError) as caught:
            self.entry_point.embed(self.thing, texts)
        error, start = caught.value, 2 * self.before
        assert type(error) is outcome.error
        assert error.index == (None if outcome.index is None else start + outcome.index)
        assert sorted(error.partial) == [*range(start), *(start + place for place in outcome.finished)]
        assert all(same(vector, self.right(texts[place])) for place, vector in error.partial.items())
        expect_message(error, words)
        assert len(self.faulty_service.service.calls) == outcome.requests + self.before

    def expect_recovery(self, *, silent):
        """Check that the object still works, with one request, or that it respects a cooldown."""
        calls = self.faulty_service.clear_fault()
        if silent:
            with pytest.raises(RateLimitError):
                self.entry_point.query(self.thing, "after")
        else:
            assert same(self.entry_point.query(self.thing, "after"), self.right("after"))
            assert self.row.remembered.items() <= self.faulty_service.service.calls[-1].body.items()
        assert len(self.faulty_service.service.calls) == calls + (not silent)

    def right(self, text):
        """Return the service's vector for a text."""
        return self.faulty_service.service.vector(text, dimensions=self.row.options.get("dimensions"))


def expect_message(error, words):
    """Check a message for the expected words, its length, and the key."""
    assert words in str(error)
    assert len(str(error)) < MAX_MESSAGE_LENGTH
    assert KEY not in f"{error} {error!r}"


def name_case(row, form_name, mode):
    """Name a fault, in one of its forms, once or for ever."""
    return f"{row.fault}: {form_name}, {mode}"


def core_cases(rows):
    """List the cases of the client: each form for ever, which shows all that a fault can cost, and each row once."""
    return [
        pytest.param(row, form, mode, id=name_case(row, name, mode))
        for row in rows
        for number, (name, form) in enumerate(row.forms.items())
        for mode in (MODES if number == 0 else ("for_ever",))
    ]


def outcome_classes(rows):
    """Group faults by what they lead to: the outcome, once or for ever."""
    classes = {}
    for row in rows:
        for name, form in row.forms.items():
            for mode in MODES:
                classes.setdefault((mode, getattr(row, mode)), []).append((row, name, form, mode))
    return classes.values()


def cases_by_outcome(rows, things):
    """Pair each of some things with each class of outcome, each time with another of the faults that lead to it."""
    return [
        pytest.param(thing, row, form, mode, id=f"{thing}, {name_case(row, name, mode)}")
        for faults_of_class in outcome_classes(rows)
        for number, thing in enumerate(things)
        for row, name, form, mode in [faults_of_class[number * len(faults_of_class) // len(things)]]
    ]


QUICK = [row for row in ROWS if row.options is not SLOW]
OTHERS = [name for name in ENTRY_POINTS if name != "client sync"]


@pytest.mark.parametrize(("row", "form", "mode"), core_cases(QUICK))
def test_fault(closing, faulty_service, row, form, mode):
    """A fault ends as in its row: no vector lost, no key shown, no further request; later calls succeed."""
    FaultRun(EntryPoint(ENTRY_POINTS["client sync"], closing), faulty_service, row).run(form, mode)


@pytest.mark.parametrize(
    ("entry_point", "row", "form", "mode"), cases_by_outcome(QUICK, OTHERS), indirect=["entry_point"]
)
def test_each_outcome_through_the_other_entry_points(entry_point, faulty_service, row, form, mode):
    """Every class of outcome is the same through the async methods and both adapters."""
    FaultRun(entry_point, faulty_service, row).run(form, mode)


NETWORK_ROWS = [row for row in QUICK if row.group == NETWORK]


@pytest.mark.parametrize("family", NAMES)
@pytest.mark.parametrize(
    ("row", "form"),
    [pytest.param(row, form, id=f"{row.fault}: {name}") for row in NETWORK_ROWS for name, form in row.forms.items()],
)
def test_network_fault_through_an_http_client(closing, faulty_service, row, form, family):
    """What a user's own client of httpx or httpx2 raises leads to the same outcome as what ours does."""
    with import_module(family).Client() as http:
        entry_point = EntryPoint(ENTRY_POINTS["client sync"], closing)
        FaultRun(entry_point, faulty_service, row, http_client=http).run(form, "for_ever")


@pytest.mark.parametrize(("family", "row", "form", "mode"), cases_by_outcome(QUICK, NAMES))
def test_each_outcome_through_an_http_client(closing, faulty_service, *, row, form, mode, family):
    """Every class of outcome is the same through a user's own client, of httpx or httpx2."""
    with import_module(family).Client() as http:
        entry_point = EntryPoint(ENTRY_POINTS["client sync"], closing)
        FaultRun(entry_point, faulty_service, row, http_client=http).run(form, mode)


SLOW_ROWS = [row for row in ROWS if row.options is SLOW]
SLOW_CASES = {
    case.id: case.values
    for case in [
        *(pytest.param("client sync", *case.values, id=f"client sync, {case.id}") for case in core_cases(SLOW_ROWS)),
        *cases_by_outcome(SLOW_ROWS, OTHERS),
    ]
}


def test_slow_faults(closing, emulator):
    """The same for faults that only time ends, all concurrently, because each takes up to three time-outs."""

    def act(name, row, form, mode):
        faulty_service = FaultyService()
        faulty_service.service = emulator(rpm=0, api_key=KEY, chance=lambda _: faulty_service.permanent_fault)
        FaultRun(EntryPoint(ENTRY_POINTS[name], closing), faulty_service, row).run(form, mode)

    with ThreadPoolExecutor(len(SLOW_CASES)) as pool:
        acting = {case: pool.submit(act, *values) for case, values in SLOW_CASES.items()}
    assert {case: error for case, future in acting.items() if (error := future.exception())} == {}


NOTHING_LISTENS = next(row for row in ROWS if not row.forms)


@pytest.fixture
def absent_service():
    """Return a service that is not started yet, but whose port is known."""
    with socket.create_server(("127.0.0.1", 0)) as place:
        port = place.getsockname()[1]
    faulty_service = FaultyService(Emulator(rpm=0, api_key=KEY, port=port))
    faulty_service.service._base_url = f"http://127.0.0.1:{port}/v1"  # normally set by start()
    yield faulty_service
    faulty_service.service.close()


class AttemptLog(logging.Handler):
    """Collects the log records of failed attempts: nothing else shows those that reach no server."""

    def __init__(self, act=lambda: None):
        super().__init__(logging.DEBUG)
        self.attempts = []
        self._act = act

    def emit(self, record):
        """Record the attempt, and run the callback."""
        if record.msg.startswith("attempt failed"):
            self.attempts.append(record.args)
            self._act()


@pytest.fixture
def attach_log(caplog):
    """Return a function that attaches an `AttemptLog` to the package's logger."""
    logger, logs = logging.getLogger("electronhub_embeddings"), []

    def add(log):
        logs.append(log)
        logger.addHandler(log)
        return log

    with caplog.at_level(logging.DEBUG, logger.name):
        yield add
    for log in logs:
        logger.removeHandler(log)


def test_nothing_listens_at_first(entry_point, absent_service, attach_log):
    """A service that comes up after the first attempt answers the second, and has seen one request."""
    log = attach_log(AttemptLog(absent_service.service.start))
    FaultRun(entry_point, absent_service, NOTHING_LISTENS).expect_vectors(NOTHING_LISTENS.once, TEXTS[:2])
    assert len(log.attempts) == 1


def test_nothing_listens(entry_point, absent_service, attach_log):
    """All attempts are made and none is counted; once the service is started, the same object works."""
    log, fault_run = attach_log(AttemptLog()), FaultRun(entry_point, absent_service, NOTHING_LISTENS)
    fault_run.expect_error(NOTHING_LISTENS.for_ever, TEXTS[:2], "refused")
    assert (len(log.attempts), fault_run.thing.usage.attempts) == (ALL, 0)
    absent_service.service.start()
    fault_run.expect_recovery(silent=False)


def send_endless_page(listening):
    """Answer one connection with an error page that never ends."""
    connection, _ = listening.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 500 Oops\r\nContent-Type: text/plain\r\n\r\n" + UPSTREAM_FAILED.encode())
        while True:
            connection.sendall(bytes(65536))


def test_an_endless_error_page(entry_point):
    """Only the beginning of an endless page is read, and the connection is closed."""
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send_endless_page, listening)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        with pytest.raises(ServerError) as caught:
            entry_point.query(entry_point.build(api_key=KEY, base_url=url, max_retries=0, timeout=20), "one")
        assert isinstance(sending.exception(20), OSError)
    expect_message(caught.value, UPSTREAM_FAILED)


def test_a_redirect_names_its_target(client, faulty_service):
    """The error for a base_url that has moved names the new address."""
    faulty_service.service.script(faults.empty(308, headers={"Location": "https://moved.example/v1/embeddings"}))
    with pytest.raises(APIStatusError, match=r"moved\.example"):
        client(faulty_service.service).embed_query("one")


def test_a_page_in_place_of_vectors_is_called_a_page(client, faulty_service):
    """The error for a base_url that leads to a web site says so."""
    faulty_service.service.script(faults.html(200))
    with pytest.raises(InvalidResponseError, match="HTML page"):
        client(faulty_service.service, max_retries=0).embed_query("one")


def test_an_index_without_end_is_cut(client, faulty_service):
    """A number of thousands of digits does not make a message of thousands of characters."""
    faulty_service.service.script(row_with(index=10**4000))
    with pytest.raises(InvalidResponseError) as caught:
        client(faulty_service.service, max_retries=0).embed_query("one")
    expect_message(caught.value, "index")


def test_a_refusal_nested_without_end(entry_point, faulty_service):
    """A deeply nested error body reaches the caller as an error, and kills no worker."""
    faulty_service.service.script(
        faults.text(400, '{"error": {"message": "No", "details": %s}}' % ("[" * 900 + "]" * 900))
    )
    with pytest.raises(BadRequestError, match="No"):
        entry_point.query(entry_point.make(faulty_service.service), "one")


def test_the_page_for_readers():
    """docs/faults.md has exactly these rows; `make faults` writes it."""
    assert PAGE.read_text(encoding="utf-8") == page()
