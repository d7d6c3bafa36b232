"""Drives a scheduler in tests: events in, actions out, with times given by the test."""

from collections import deque
from dataclasses import dataclass
from itertools import accumulate

from hypothesis import strategies as st

from electronhub_embeddings._codec.result import Result
from electronhub_embeddings._rate_limit.outlook import look_ahead
from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow
from electronhub_embeddings._scheduling.actions import AcquireSlot, LookAhead
from electronhub_embeddings._scheduling.batch import Slice
from electronhub_embeddings._scheduling.call import Attachment, Call
from electronhub_embeddings._scheduling.progress import Progress
from electronhub_embeddings._scheduling.scheduler import Scheduler
from electronhub_embeddings.errors import BadRequestError
from electronhub_embeddings.usage import Usage

MAX_REQUESTS = 20_000


@dataclass(frozen=True)
class Config:
    """The fields of a request configuration that the scheduler reads."""

    model: str = "m"
    batch_size: int = 8
    max_retries: int = 2
    max_concurrency: int = 4
    requests_per_minute: int | None = None
    spread_documents: bool = True
    encoding_format: str = "base64"
    max_duration: float = 70.0


@dataclass
class Inputs:
    """Texts and the running total of their bytes."""

    texts: list
    ends: list

    @staticmethod
    def first_input(position):
        """Return the caller's position of a text."""
        return position


class WatchedProgress(Progress):
    """Keeps all forecasts."""

    def __init__(self, **options):
        super().__init__(**options)
        self.forecasts = []

    def foresee(self, *forecast):
        """Keep a forecast."""
        super().foresee(*forecast)
        self.forecasts.append(forecast)


def make_call(
    sizes=(1,), *, config=None, attachment=None, is_query=False, max_wait=None, cache=None, tracked=(), is_shown=False
):
    """Return a call of texts of the given sizes."""
    sizes = [1] * sizes if isinstance(sizes, int) else list(sizes)
    inputs = Inputs([f"t{i}" for i in range(len(sizes))], list(accumulate(sizes)))
    attachment = attachment or Attachment(config or Config(), Usage())
    options = {"is_query": is_query, "max_wait": max_wait, "cache": cache, "tracked": tracked}
    return Call(inputs, attachment, progress=WatchedProgress(is_shown=is_shown), **options)


def texts_of(slices):
    """List the texts of slices as (number of the call, position)."""
    return [(part.call.number, i) for part in slices for i in range(part.start, part.stop)]


def size_of(part, position):
    """Return the bytes of one text of a slice's call."""
    return part.call.inputs.ends[position] - (part.call.inputs.ends[position - 1] if position else 0)


def sizes(slices):
    """Sum up the bytes of slices, text by text."""
    return sum(size_of(part, i) for part in slices for i in range(part.start, part.stop))


def refusal(message="Bad Request", param=None, status=400, code=None):
    """Return the error of a refused request."""
    return BadRequestError(message, status_code=status, param=param, code=code)


def whole_slice(sizes=1, **options):
    """Return all texts of a new call as one slice."""
    call = make_call(sizes, **options)
    return Slice(call, 0, len(call.inputs.texts))


@st.composite
def waiting_slices(draw, most=8):
    """Draw a queue of slices of several calls, each with a random range."""
    slices = deque()
    for _ in range(draw(st.integers(1, 5))):
        sizes = draw(st.lists(st.integers(1, 50), min_size=1, max_size=most))
        start = draw(st.integers(0, len(sizes) - 1))
        slices.append(Slice(make_call(sizes), start, draw(st.integers(start + 1, len(sizes)))))
    return slices


class Driver:
    """Acts as the workers of a scheduler, one step at a time."""

    def __init__(self, config=None):
        self.config = config or Config()
        self.scheduler = Scheduler()
        self.now = 100.0
        self.window = SlidingWindow(limit=5, probing=False)
        """What the outlook is asked of; no slot is taken in it."""
        self.requests = []
        """The texts of each batch that `drive` sent."""
        self.accepted = []
        self.pauses = []
        self.ended = []
        self.unused = []
        self._slots = 0

    def attach(self, config=None):
        """Return a new client's attachment."""
        return Attachment(config or self.config, Usage())

    def submit(self, sizes=1, **options):
        """Submit a call."""
        if "attachment" not in options:
            options.setdefault("config", self.config)
        call = make_call(sizes, **options)
        self.scheduler.submit(call, self.now)
        self._take_effects()
        return call

    def action(self):
        """Return the next action, after questions for the outlook were answered."""
        while isinstance(action := self.scheduler.next_action(self.now), LookAhead):
            self.scheduler.looked_ahead(look_ahead(self.window, self.now, action.cap), self.now)
        self._take_effects()
        return action

    def send(self, linger=None):
        """Grant the requested slot; return the batch that is sent."""
        action = self.action()
        assert isinstance(action, AcquireSlot), action
        return self.grant(linger)

    def grant(self, linger=None):
        """Grant a slot, requested or not."""
        self._slots += 1
        batch = self.scheduler.slot_granted(str(self._slots), linger, self.now)
        self._take_effects()
        return batch

    def finish(self, batch, error=None, tokens=0, seconds=0.0):
        """Finish a batch, with vectors or with an error."""
        status = None if error is None else getattr(error, "status_code", None)
        result = Result(error=error, prompt_tokens=tokens, status=status, seconds=seconds)
        self.scheduler.finished(batch, result, self.now)
        self._take_effects()

    def drive(self, service):
        """Send the waiting texts, batch by batch, until none is left.

        Args:
            service: Called with the texts of the batch and the encoding format; returns None for vectors, or an error.
        """
        while True:
            action = self.action()
            if isinstance(action, AcquireSlot):
                assert len(self.requests) < MAX_REQUESTS
                batch = self.grant(linger=0.0)
                texts = texts_of(batch.slices)
                self.requests.append(texts)
                error = service(texts, batch.encoding_format)
                self.accepted += texts if error is None else []
                self.finish(batch, error)
            elif action.until is None:
                return
            else:
                self.pauses.append(action.until - self.now)
                self.now = action.until

    def withdraw(self, call):
        """Withdraw a call."""
        self.scheduler.withdraw(call, self.now)
        self._take_effects()

    def detach(self, attachment):
        """Detach a client."""
        attachment.closed = True
        self.scheduler.detach(attachment, self.now)
        self._take_effects()

    def _take_effects(self):
        effects = self.scheduler.take_effects()
        self.ended += effects.complete
        self.unused += effects.unused
