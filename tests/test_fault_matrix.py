"""Every row of the table of faults, through every way to embed.

Texts travel in twos. A fault that strikes once hits the first request; one that strikes for ever lets the first request
pass, so that there is something to lose.
"""

import logging
import socket
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from faces import KINDS, Face, same
from fault_forms import KEY, SORRY, row_with
from faults_table import ALL, PAGE, RETRIES, ROWS, SLOW, Failure, Vectors, page

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

pytestmark = pytest.mark.usefixtures("quick_retries")

TEXTS = ["one", "two", "three", "four"]
MODES = ("once", "for_ever")
MAX_MESSAGE_LENGTH = 2000


class Stage:
    """A service that a fault strikes, until it is healed."""

    def __init__(self, service=None):
        self.lasting = None
        self.service = service or Emulator(rpm=0, api_key=KEY, chance=lambda _: self.lasting)

    def strike(self, row, fault, mode):
        """Let a fault strike from now on; return how many requests come before it."""
        before = int(row.later or mode == "for_ever")
        self.service.reset()
        self.service.script(*before * [None], fault)
        self.lasting = fault if mode == "for_ever" else None
        return before

    def heal(self):
        """End it; return how many calls there were."""
        self.lasting = None
        return len(self.service.calls)


@pytest.fixture(scope="module", name="stage")
def _stage():
    """Serve for all tests of this module: starting takes as long as two requests."""
    stage = Stage()
    with stage.service:
        yield stage


class Play:
    """A fault on the stage, and an object that meets it.

    Args:
        face: The way to embed.
        stage: The service.
        row: What the outcome has to be.
    """

    def __init__(self, face, stage, row):
        self.face, self.stage, self.row = face, stage, row
        self.before = 0
        # Its window forgets at once: every call may start at once, but for a cooldown.
        settings = {
            "batch_size": 2,
            "max_concurrency": 1,
            "max_retries": RETRIES,
            "rate_limit_store": MemoryStore(SlidingWindow(period=0.001, margin=0.001)),
        }
        self.thing = face.make(stage.service, **{**settings, **row.options})

    def run(self, form, mode):
        """Let the fault strike, and see that the row tells the truth."""
        outcome = getattr(self.row, mode)
        self.before = self.stage.strike(self.row, form.fault, mode)
        if isinstance(outcome, Vectors):
            self.expect_vectors(outcome, TEXTS[: 2 * (self.before + 1)])
        else:
            self.expect_error(outcome, TEXTS, form.words)
        if isinstance(outcome, Failure) or self.row.remembered:  # else the second attempt has shown it
            self.expect_life(silent=isinstance(outcome, Failure) and outcome.silent)

    def expect_vectors(self, outcome, texts):
        """Embed, and hold the vectors against those that the service knows."""
        expected = np.stack([self.right(text) for text in texts])
        if self.row.rounded:
            expected[2 * self.before] = np.rint(expected[2 * self.before] * 127)
        assert same(self.face.embed(self.thing, texts), expected)
        assert len(self.stage.service.calls) == outcome.requests + self.before

    def expect_error(self, outcome, texts, words):
        """Embed, and hold the error against what the row says; of a terminal one, that the rest is never sent."""
        with pytest.raises(ElectronHubError) as caught:
            self.face.embed(self.thing, texts)
        error, start = caught.value, 2 * self.before
        assert type(error) is outcome.error
        assert error.index == (None if outcome.index is None else start + outcome.index)
        assert sorted(error.partial) == [*range(start), *(start + place for place in outcome.finished)]
        assert all(same(vector, self.right(texts[place])) for place, vector in error.partial.items())
        expect_message(error, words)
        assert len(self.stage.service.calls) == outcome.requests + self.before

    def expect_life(self, *, silent):
        """See that the object still works, at the price of one request; or that it keeps a cooldown."""
        calls = self.stage.heal()
        if silent:
            with pytest.raises(RateLimitError):
                self.face.query(self.thing, "after")
        else:
            assert same(self.face.query(self.thing, "after"), self.right("after"))
            assert self.row.remembered.items() <= self.stage.service.calls[-1].body.items()
        assert len(self.stage.service.calls) == calls + (not silent)

    def right(self, text):
        """Return what the service answers for a text."""
        return self.stage.service.vector(text, dimensions=self.row.options.get("dimensions"))


def expect_message(error, words):
    """Hold a message to what every message keeps."""
    assert words in str(error)
    assert len(str(error)) < MAX_MESSAGE_LENGTH
    assert KEY not in f"{error} {error!r}"


def cases(rows):
    """List every form of rows."""
    return [pytest.param(row, form, id=f"{row.fault}: {name}") for row in rows for name, form in row.forms.items()]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("row", "form"), cases(row for row in ROWS if row.options is not SLOW))
def test_fault(face, stage, row, form, mode):
    """A fault ends as its row says, loses nothing, tells no key, costs no request more, and is over when it is over."""
    Play(face, stage, row).run(form, mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("row", "form"), cases(row for row in ROWS if row.options is SLOW))
def test_slow_fault(closing, emulator, row, form, mode):
    """The same for faults that take time, through all ways to embed at once."""

    def act(kind):
        stage = Stage()
        stage.service = emulator(rpm=0, api_key=KEY, chance=lambda _: stage.lasting)
        Play(Face(kind, closing), stage, row).run(form, mode)

    with ThreadPoolExecutor(len(KINDS)) as pool:
        list(pool.map(act, KINDS.values()))


NOTHING_LISTENS = next(row for row in ROWS if not row.forms)


@pytest.fixture
def absent():
    """Return a stage whose service is not there yet, but knows its port."""
    with socket.create_server(("127.0.0.1", 0)) as place:
        port = place.getsockname()[1]
    stage = Stage(Emulator(rpm=0, api_key=KEY, port=port))
    stage.service._base_url = f"http://127.0.0.1:{port}/v1"  # known only to one that was started
    yield stage
    stage.service.close()


class Ear(logging.Handler):
    """Hears of each failed attempt: of those that reach nobody nothing else tells."""

    def __init__(self, act=lambda: None):
        super().__init__(logging.DEBUG)
        self.heard = []
        self._act = act

    def emit(self, record):
        """Note the attempt, and act."""
        if record.msg.startswith("attempt failed"):
            self.heard.append(record.args)
            self._act()


@pytest.fixture
def listen(caplog):
    """Return a function that lets an ear hear what the package logs."""
    logger, ears = logging.getLogger("electronhub_embeddings"), []

    def add(ear):
        ears.append(ear)
        logger.addHandler(ear)
        return ear

    with caplog.at_level(logging.DEBUG, logger.name):
        yield add
    for ear in ears:
        logger.removeHandler(ear)


def test_nothing_listens_at_first(face, absent, listen):
    """A service that comes up after the first attempt answers the second, and has seen one request."""
    ear = listen(Ear(absent.service.start))
    Play(face, absent, NOTHING_LISTENS).expect_vectors(NOTHING_LISTENS.once, TEXTS[:2])
    assert len(ear.heard) == 1


def test_nothing_listens(face, absent, listen):
    """All attempts are made, none is counted, and when there is a service the same object works."""
    ear, play = listen(Ear()), Play(face, absent, NOTHING_LISTENS)
    play.expect_error(NOTHING_LISTENS.for_ever, TEXTS[:2], "refused")
    assert (len(ear.heard), play.thing.usage.attempts) == (ALL, 0)
    absent.service.start()
    play.expect_life(silent=False)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_reaches_nobody_else(face, stage, status):
    """The host that a redirect names sees no connection."""
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        elsewhere.setblocking(False)
        url = f"http://127.0.0.1:{elsewhere.getsockname()[1]}/v1/embeddings"
        stage.service.reset()
        stage.service.script(faults.empty(status, headers={"Location": url}))
        with pytest.raises(APIStatusError):
            face.query(face.make(stage.service), "one")
        with pytest.raises(BlockingIOError):
            elsewhere.accept()


def pour(listening):
    """Answer one connection with an error page that never ends."""
    connection, _ = listening.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 500 Oops\r\nContent-Type: text/plain\r\n\r\n" + SORRY.encode())
        while True:
            connection.sendall(bytes(65536))


def test_an_endless_error_page(face):
    """Of a page without an end the beginning is read, so memory is bounded, and the connection is closed."""
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as pool:
        pouring = pool.submit(pour, listening)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        with pytest.raises(ServerError) as caught:
            face.query(face.build(api_key=KEY, base_url=url, max_retries=0, timeout=20), "one")
        assert isinstance(pouring.exception(20), OSError)
    expect_message(caught.value, SORRY)


def test_a_redirect_names_its_target(client, stage):
    """Whoever has a base_url that has moved is told where to."""
    stage.service.reset()
    stage.service.script(faults.empty(308, headers={"Location": "https://moved.example/v1/embeddings"}))
    with pytest.raises(APIStatusError, match=r"moved\.example"):
        client(stage.service).embed_query("one")


def test_a_page_in_place_of_vectors_is_called_a_page(client, stage):
    """Whoever has a base_url that leads to a web site is told so."""
    stage.service.reset()
    stage.service.script(faults.html(200))
    with pytest.raises(InvalidResponseError, match="HTML page"):
        client(stage.service, max_retries=0).embed_query("one")


def test_an_index_without_end_is_cut(client, stage):
    """A number of thousands of digits does not make a message of thousands of characters."""
    stage.service.reset()
    stage.service.script(row_with(index=10**4000))
    with pytest.raises(InvalidResponseError) as caught:
        client(stage.service, max_retries=0).embed_query("one")
    expect_message(caught.value, "index")


def test_a_refusal_nested_without_end(face, stage):
    """What the service nests as deep as it likes reaches the caller, and no worker dies of it."""
    stage.service.reset()
    stage.service.script(faults.text(400, '{"error": {"message": "No", "details": %s}}' % ("[" * 900 + "]" * 900)))
    with pytest.raises(BadRequestError, match="No"):
        face.query(face.make(stage.service), "one")


def test_the_page_for_readers():
    """docs/faults.md has just these rows; `python tests/faults_table.py` writes it."""
    assert PAGE.read_text(encoding="utf-8") == page()
