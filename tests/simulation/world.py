"""One run of a scenario, with records of all that happens."""

import random as global_random
from collections import Counter, deque
from random import Random

from electronhub_embeddings._codec.reference_vector import REFERENCE_BYTES, REFERENCE_TEXT
from electronhub_embeddings._scheduling.call import Attachment
from electronhub_embeddings._scheduling.drift_guard import DriftGuard
from electronhub_embeddings.errors import (
    APIConnectionError,
    BadRequestError,
    InvalidResponseError,
    RateLimitError,
    ServerError,
)
from electronhub_embeddings.usage import Usage
from simulation import invariants
from simulation.callers import Record
from simulation.chat import ChatCall
from simulation.clock import Clock
from simulation.limiter import Store, simulated_time
from simulation.network import Network
from simulation.process import Process
from simulation.service import UNKNOWN_WORDS, Service, vector_of

KEPT_EVENTS = 40
"""Events of the trace that are kept."""

MAX_SECONDS = 12 * 3600.0
"""Seconds of simulated time after which a call that has not ended is stuck."""

MAX_STEPS = 100_000


class Client:
    """A client of the package: one attachment."""

    def __init__(self, process, config, guard=None, *, raises_on_change=False):
        self.process = process
        self.config = config
        self.attachment = Attachment(config, Usage(), guard, raises_on_change=raises_on_change)


class World:
    """The complete state of one run, determined by its seed.

    Args:
        scenario: What happens.
    """

    def __init__(self, scenario):
        self.scenario = scenario
        self.random = Random(scenario.seed)
        self.clock = Clock()
        self.sizes = {REFERENCE_TEXT: REFERENCE_BYTES}
        self.service = Service(scenario.rules, self.sizes)
        self.network = Network(self.clock, self.random, self.service, scenario.conditions)
        self.trace = deque(maxlen=KEPT_EVENTS)
        self.steps = 0
        self.started_at = self.clock.now
        self.stores = []
        self.processes = []
        self.clients = []
        self.calls = []
        self.chats = []
        self._submitted = 0
        self._expected = 0
        """Events after which more calls come."""
        self.records = {}
        self.guards = {}
        """(Process, configuration) -> the guard that its clients share."""
        # The book.
        self.sent = []
        """(process, texts) of each request."""
        self.unsent = []
        """The process of each request that never left."""
        self.accepted = {}
        """Text -> the process that has its vector."""
        self.failures = Counter()
        """Text -> attempts that failed and may be retried."""
        self.not_before = {}
        """Text -> when its pause is over."""
        self.hopeless = set()
        """Texts that a terminal error has ended."""
        self.taken_back = set()
        """Texts of withdrawn calls and detached clients, which must not be sent."""
        self.refused_alone = set()
        """Texts that were refused alone, in words that do not say why."""
        self.named = set()
        """Texts whose row was named as unusable."""
        self.refused = set(scenario.rules.refused_models)
        self.key_statuses = {status for *_, status in scenario.rules.key_errors}
        self.slots_taken = {}
        """Slot -> its process, from the grant until it is completed or released."""
        self.slots_lost = set()
        """Slots of processes that were killed, or whose store was unavailable: they end after `max_duration`."""
        self.told_at = float("inf")
        """When the limiter first learned the limit."""
        self.asking = {}
        """Slot -> (store, when an interactive call asked for it first, when it asked last), until it is granted."""
        self.cooldowns = {}
        """Store -> the end of the cooldown that it knows."""

    # The trace.

    def note(self, process, *what):
        """Add an event to the trace."""
        self.trace.append((self.clock.now, process, what))

    def note_again(self, process, *what):
        """Add an event to the trace; of repeated ones, keep only the last."""
        if self.trace and self.trace[-1][1] is process and self.trace[-1][2][0] == what[0]:
            self.trace.pop()
        self.note(process, *what)

    def require(self, condition, rule, detail, *values):
        """Stop the run if a rule is broken."""
        if not condition:
            raise invariants.Violation(rule, detail.format(*values))

    # Dice.

    def pause(self):
        """Return the seconds until a thread takes its next step."""
        die = self.random.random()
        if die < 0.75:
            return die * 0.0004
        longest = self.scenario.conditions.threads
        return self.random.uniform(0.0, min(0.01, longest) if die < 0.98 else longest)

    def ask_store(self):
        """Return the seconds until the store has answered."""
        return self.pause() + self.random.uniform(0.0, self.scenario.conditions.store)

    def run(self, steps, process):
        """Run a thread of a process: a generator of the seconds until its next step."""

        def step():
            if process.is_dead:
                return
            delay = next(steps, None)
            if delay is not None:
                self.clock.after(delay, step)

        step()

    # What the scenario does.

    def add_store(self, poll=None):
        """Make a window."""
        self.stores.append(Store(self.clock, poll))
        return self.stores[-1]

    def add_process(self, store):
        """Start a process."""
        self.processes.append(Process(self, f"p{len(self.processes)}", store))
        return self.processes[-1]

    def add_chat(self, process):
        """Make a chat call."""
        self.chats.append(ChatCall(self, f"chat {len(self.chats)}", process))
        return self.chats[-1]

    def add_client(self, process, config):
        """Make a client."""
        guard = None
        if self.scenario.has_guards:
            guard = self.guards.setdefault((process, config), DriftGuard())
        raises = guard is not None and self.random.random() < 0.5
        self.clients.append(Client(process, config, guard, raises_on_change=raises))
        return self.clients[-1]

    def add_call(self, client, sizes, texts=None, **options):
        """Make a call of texts of the given sizes; without texts, their names stand for them."""
        name = f"c{len(self.calls)}"
        texts = [f"{name}.{i}" for i in range(len(sizes))] if texts is None else texts
        self.sizes.update(zip(texts, sizes, strict=True))
        record = Record(self, name, client.process, client, texts, sizes, is_shown=len(self.calls) % 3 == 0, **options)
        self.calls.append(record)
        self.records[record.call] = record
        return record

    def expect(self, calls):
        """Expect a number of further calls, so that clients stay open until then."""
        self._expected += calls

    def submit(self, record):
        """Submit a call."""
        self.note(record.process, "submits", record, len(record.texts), "query" if record.is_query else "documents")
        if record.client.attachment.closed:
            record.is_closed = True
        record.is_submitted, record.submitted_at = True, self.clock.now
        record.call.number = self._submitted = self._submitted + 1
        record.process.submit(record)

    def withdraw(self, record, *, abandon):
        """Let a caller give up."""
        if record.is_submitted and record.ended_at is None and not record.process.is_dead:
            self.note(record.process, "withdraws", record)
            record.is_withdrawn = True
            record.call.abandoned = abandon
            record.process.withdraw(record.call)

    def close(self, client):
        """Close a client."""
        if not client.attachment.closed and not client.process.is_dead:
            self.note(client.process, "closes", client.config.model)
            for record in self.calls:
                if record.client is client and record.ended_at is None:
                    record.is_closed = True
            client.process.detach(client.attachment)

    def kill(self, process):
        """Kill a process, and drop the callers that waited in it."""
        process.die()
        for slot, owner in list(self.slots_taken.items()):
            if owner is process:
                self.slots_lost.add(slot)
                del self.slots_taken[slot]
        for record in self.calls:
            if record.process is process and record.ended_at is None:
                record.ended_at = self.clock.now
                self._close_when_done()

    # What processes tell.

    def vector_of(self, text):
        """Return the vector that the service makes of a text."""
        return vector_of(text, self.scenario.rules.version)

    def send(self, process, batch, texts):
        """Send a batch; `texts` are those of callers."""
        self.note(process, "sends", batch)
        invariants.attempts_are_counted(self, batch, texts)
        self.sent.append((process, texts))
        for part in batch.slices:
            record = self.records[part.call]
            record.sent_at = self.clock.now if record.sent_at is None else record.sent_at
        return self.network.send(batch.config, batch.texts, batch.encoding_format)

    def answered(self, process, batch, sent_at, result):
        """Record an answer."""
        self.note(process, "hears", batch.slot, result.status, result.error)
        invariants.nobody_alone_is_refused(self, sent_at, result.status)
        if not result.sent:
            self.unsent.append(process)

    def finished(self, process, batch, texts, result):
        """Record the result that is reported to the scheduler."""
        error = result.error
        if error is None:
            self.accepted.update(dict.fromkeys(texts, process))
        elif batch.is_reference(error.index):
            return
        elif isinstance(error, InvalidResponseError) and error.index is not None:
            self._book_wrong_row(batch, texts, error)
        elif isinstance(error, invariants.RETRYABLE):
            self._book_failure(texts, error)
        elif isinstance(error, BadRequestError):
            if batch.inputs == 1 and error.message in UNKNOWN_WORDS:
                self.refused_alone.update(texts)
        else:
            self.hopeless.update(texts)

    def _book_failure(self, texts, error):
        for text in texts:
            self.failures[text] += 1
            pause = 0.0
            if isinstance(error, (APIConnectionError, ServerError, InvalidResponseError)):
                pause = min(30.0, 2.0 ** (self.failures[text] - 1))
            if isinstance(error, ServerError):
                pause = max(pause, error.retry_after or 0.0)
            self.not_before[text] = self.clock.now + pause

    def _book_wrong_row(self, batch, texts, error):
        """Record a wrong row: if its text fails, the others may be resent without using an attempt."""
        named = texts[error.index]
        self.named.add(named)
        call = next(part.call for part, text in _pairs(batch) if text == named)
        allowed = min(batch.config.max_retries, error.retries) + 1
        is_given_up = call.failed or self.failures[named] + 1 >= allowed
        self._book_failure([named] if is_given_up else texts, error)

    def asked_for_somebody(self, process, slot, pause):
        """Record that the limiter was asked for a slot for an interactive call."""
        store, now = process.store, self.clock.now
        _, first, _ = self.asking.pop(slot, (store, now, now))
        if pause is not None:
            self.asking[slot] = (store, first, now)
        else:
            invariants.interactive_calls_keep_their_order(self, store, slot, first)

    def completed(self, process, slot, result):
        """Record that the result of a request was reported to the limiter."""
        self.slots_taken.pop(slot)
        if process.store.is_down:
            self.slots_lost.add(slot)
        elif isinstance(result.error, RateLimitError):
            until = self.clock.now + (result.error.retry_after or 0.0)
            self.cooldowns[process.store] = max(until, self.cooldowns.get(process.store, 0.0))
        if result.headers.limit is not None:
            self.told_at = min(self.told_at, self.clock.now)
        invariants.slots_are_requests(self)

    def ended(self, record):
        """Check the result of a call."""
        invariants.call_gets_its_own(self, record)
        self._close_when_done()

    def _close_when_done(self):
        if not self._expected and all(record.ended_at is not None for record in self.calls):
            for client in self.clients:
                self.clock.after(self.random.uniform(0, 0.5), lambda client=client: self.close(client))

    # The run.

    def play(self):
        """Run the scenario to its end; return the world."""
        state = global_random.getstate()
        global_random.seed(self.scenario.seed)  # tenacity's jitter
        try:
            with simulated_time(self.clock):
                self.scenario.arrange(self)
                while self.clock.step(self.started_at + MAX_SECONDS):
                    self.require(self.steps < MAX_STEPS, "nobody waits for ever", "{} steps", MAX_STEPS)
        finally:
            global_random.setstate(state)
        self._check_the_end()
        return self

    def _check_the_end(self):
        waiting = [str(record) for record in self.calls if record.ended_at is None]
        self.require(not waiting, "every call ends", "{} wait at the end", waiting)
        for process in self.processes:
            if not process.is_dead:
                invariants.ends_with_nothing_left(process)
        alive = [record for record in self.calls if not record.process.is_dead]
        changed = [str(record) for record in alive if record.call.error is not record.error]
        self.require(not changed, "a call ends once", "{} have another error than they ended with", changed)
        for store in self.stores:
            self.require(store.is_idle_after(3600.0), "nothing is left at the end", "the window still counts slots")
        invariants.slots_are_requests(self)
        invariants.books_balance(self)
        invariants.search_is_cheap(self)
        invariants.pace_is_near_the_optimum(self)
        invariants.search_is_answered_beside_ingestion(self)
        invariants.few_texts_leave_at_once(self)


def _pairs(batch):
    """Yield each text of a batch with its slice."""
    for part in batch.slices:
        for text in part.call.inputs.texts[part.start : part.stop]:
            yield part, text
