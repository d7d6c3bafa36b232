"""What must hold in every run, after every step.

Each rule is a function with one sentence. It looks at a process, and inside its scheduler: a lost text cannot be
seen from outside before it is too late. The world keeps the book of what was sent and answered.
"""

from collections import Counter
from dataclasses import dataclass

from electronhub_embeddings._codec.reference_vector import REFERENCE_BYTES, REFERENCE_TEXT
from electronhub_embeddings.errors import (
    APIConnectionError,
    APIStatusError,
    BadRequestError,
    CacheError,
    ElectronHubError,
    InvalidResponseError,
    ModelChangedError,
    RateLimitError,
    ServerError,
)
from simulation.callers import Record

RETRYABLE = (APIConnectionError, InvalidResponseError, RateLimitError, ServerError)
RECHECK = 1.0
"""Seconds after which the scheduler always asks the limiter again."""
TOLERANCE = 0.6
"""Seconds that threads may take in total to react."""
MAX_IDLE_TURNS = 3
"""Iterations that a leader may make without an event or the passing of time."""


class Violation(AssertionError):  # noqa: N818 - it is what a run ends with, and no error of the simulation
    """A rule was broken."""

    def __init__(self, rule, detail):
        super().__init__(f"{rule}: {detail}")
        self.rule = rule
        self.detail = detail


class BlockedTime:
    """Measures independently for how long the limiter has made a process wait."""

    def __init__(self):
        self.until = 0.0
        self._before = 0.0
        self._since = None

    def total(self, now):
        """Return the seconds of waiting so far."""
        return self._before + (now - self._since if self._since is not None else 0.0)

    def denied(self, pause, now):
        """Record that the limiter denied a slot; waiting for an answer does not count."""
        if pause.seconds is None:
            self.end(now)
            return
        self._since = now if self._since is None else self._since
        self.until = now + pause.seconds

    def end(self, now):
        """Record that a request starts, or that no text is waiting."""
        self._before, self._since = self.total(now), None


def _queues(process):
    return process.scheduler._queues


def waiting_parts(process):
    """List each call's waiting slices, wherever the scheduler keeps them."""
    parts = {call: [] for call in process.live}
    for queue in _queues(process):
        waiting = list(queue.waiting)
        if queue._search is not None:
            on_the_wire = queue._search.probe if queue._probe_due is None else ()
            waiting += [part for part in queue._search.slices if part not in on_the_wire]
        for part in waiting:
            parts.setdefault(part.call, []).append(part)
    return parts


def _in_flight(process, config):
    return sum(batch.config == config for batch in process.in_flight.values())


# What may leave, and what does.


@dataclass
class Before:
    """The waiting texts when a slot was granted."""

    oldest_query: int | None
    """The number of the oldest call with a query that may be sent."""
    in_flight: Counter


def _oldest_query(process, now):
    """Return the oldest call with a query that may be sent now."""
    numbers = []
    for queue in _queues(process):
        if _in_flight(process, queue.config) >= queue.config.max_concurrency:
            continue
        numbers += [part.call.number for part in queue.waiting.queries]
        numbers += [p.call.number for due, _, p in queue.waiting._paused if due <= now and p.call.is_query]
    return min(numbers, default=None)


def most_urgent_number(process, now):
    """Return a call that could send texts now if the limit allows it; None: there is none."""
    if (number := _oldest_query(process, now)) is not None:
        return number
    numbers = []
    for queue in _queues(process):
        if _in_flight(process, queue.config) >= max(1, queue.config.max_concurrency - 1):
            continue
        if queue._probe_due is not None and queue._probe_due <= now:
            numbers += [part.call.number for part in queue._search.probe]
        if queue._search is None or queue._search.accepted:
            numbers += [part.call.number for part in queue.waiting.documents]
            numbers += [p.call.number for due, _, p in queue.waiting._paused if due <= now and not p.call.is_query]
    return min(numbers, default=None)


def before_batch(process, now):
    """Record the texts that a batch is formed from."""
    in_flight = Counter(batch.config for batch in process.in_flight.values())
    return Before(_oldest_query(process, now), in_flight)


def batch_is_right(process, before, batch, *, limited):
    """Check all invariants of a batch when it is sent."""
    queue = process.scheduler._queues.get(batch.config)
    oldest_query_leaves_first(process, before, batch)
    documents_leave_a_place(process, before, batch)
    documents_wait_for_the_search(process, queue, batch)
    batch_is_within_limits(process, queue, batch)
    batch_is_smaller_than_refused_ones(process, batch)
    if limited:
        batch_is_full(process, queue, batch)


def oldest_query_leaves_first(process, before, batch):
    """If a query may be sent, the batch contains the oldest one."""
    if before.oldest_query is not None:
        numbers = [part.call.number for part in batch.slices]
        process.world.require(
            before.oldest_query in numbers,
            "a query leaves in the next free slot",
            "call no. {} waits with a query, the batch has calls {}",
            before.oldest_query,
            numbers,
        )


def documents_leave_a_place(process, before, batch):
    """Documents never use the last connection, and no more requests are in flight than allowed."""
    places, taken = batch.config.max_concurrency, before.in_flight[batch.config]
    if not any(part.call.is_query for part in batch.slices):
        places = max(1, places - 1)
    process.world.require(
        taken < places,
        "documents leave one place",
        "{} of {} places are taken by {}",
        taken,
        places,
        batch.config.model,
    )


def documents_wait_for_the_search(process, queue, batch):
    """While a refusal may be the fault of the request itself, no documents are sent outside the search."""
    held = queue._search is not None and not queue._search.accepted and not batch.is_probe
    process.world.require(
        not held or all(part.call.is_query for part in batch.slices),
        "documents wait for the search",
        "{} texts are sent while nothing was accepted",
        sum(map(len, batch.slices)),
    )


def batch_is_within_limits(process, queue, batch):
    """A batch has no more texts and bytes than the learned limits allow, unless it is a single text."""
    limits, count = queue.learned.limits, batch.inputs
    fits = count <= limits.max_inputs and batch.size <= limits.max_bytes
    process.world.require(
        fits or count == 1 or batch.is_probe, "a batch keeps the limits", "{} texts, {} bytes", count, batch.size
    )


def batch_lingers_for_company(process):
    """Under a limit, no slot is requested before the linger time is over or a batch is full."""
    left = process.last_start + (process.linger or 0.0) - process.world.clock.now
    is_full = any(queue.is_full for queue in _queues(process))
    process.world.require(
        is_full or left <= 1e-6, "a batch lingers for company", "a slot is asked for {} s too soon", left
    )


def batch_is_smaller_than_refused_ones(process, batch):
    """After a refusal for size, no batch of the same or a larger size is sent."""
    count = batch.inputs
    refused = [one for one in process.too_large.get(batch.config, ()) if count >= one[0] and batch.size >= one[1]]
    process.world.require(
        not refused or batch.is_probe,
        "a refusal for size teaches",
        "{} texts of {} bytes after {}",
        count,
        batch.size,
        refused,
    )


def batch_is_full(process, queue, batch):
    """Under a limit, no text is left waiting that would have fitted into the batch."""
    if batch.is_probe:
        return
    limits, count = queue.learned.limits, batch.inputs
    reserve = batch.reference_for is None and any(
        client.guard is not None and client.guard.is_due(process.world.clock.now) for client in queue.attachments
    )
    held = queue._search is not None and not queue._search.accepted
    heads = [queue.waiting.queries, *([] if held else [queue.waiting.documents])]
    for head in heads:
        if head and count < limits.max_inputs - reserve:
            start = head[0].start
            text = head[0].call.inputs.ends[start] - (head[0].call.inputs.ends[start - 1] if start else 0)
            process.world.require(
                batch.size + text > limits.max_bytes - reserve * REFERENCE_BYTES,
                "a batch is full when the limit is scarce",
                "{} of {} texts leave, and others wait that fit",
                count,
                limits.max_inputs,
            )


def nothing_waits_beside_a_free_slot(process, until):
    """A leader waits only if nothing can be sent, the limit is reached, a batch lingers, or an event is due."""
    now = process.world.clock.now
    if process.denied or process.waking or most_urgent_number(process, now) is None:
        return
    lingers = until is not None and now < process.last_start + (process.linger or 0.0)
    looks_again = until is not None and until <= now
    process.world.require(
        lingers or looks_again, "nothing waits beside a free slot", "the leader sleeps until {}", until
    )


# Nothing is lost, doubled or left over.


def texts_are_conserved(process, waiting):
    """Each text of a call that has not ended is waiting, being looked up, or in flight: exactly one of these."""
    found = Counter()
    for batch in process.in_flight.values():
        for part in batch.slices:
            found[part.call] += len(part)
    for call, parts in waiting.items():
        found[call] += sum(map(len, parts))
    elsewhere = {*process.scheduler._lookups.calls(), *process.looking_up, *process.scheduler._endings.effects.complete}
    for call in process.live:
        if call not in elsewhere:
            process.world.require(
                found[call] == call.outstanding,
                "each text ends once",
                "{} has {} texts outstanding, and {} are somewhere",
                process.live[call],
                call.outstanding,
                found[call],
            )
    strays = [call for call in found if found[call] and call not in process.live]
    process.world.require(not strays, "each text ends once", "texts of calls that have ended: {}", strays)


def call_ends_once(process, call):
    """A call is reported as complete once, when none of its texts is outstanding."""
    process.world.require(call in process.live, "a call ends once", "{} has ended before", call)


def unused_once(process, config):
    """A configuration is reported as unused once per use, with no request in flight."""
    fine = config in process.configs_in_use and not _in_flight(process, config)
    process.world.require(fine, "unused is reported once", "{} is not in use, or still on the wire", config.model)


def leader_rests(process, until, idle_turns):
    """A leader that has nothing to do waits, and does not spin."""
    is_due = until is not None and until <= process.world.clock.now
    process.world.require(
        not is_due or idle_turns <= MAX_IDLE_TURNS, "the leader rests", "it wants to wait until {}, again", until
    )


def nobody_waits_for_ever(process, until):
    """Whenever a text is waiting and no thread is busy, the leader has a time to wake up."""
    process.world.require(
        until is not None or process.busy or not process.scheduler.is_waiting,
        "nobody waits for ever",
        "texts wait, nothing is on the wire, and the leader waits for an event",
    )


def ends_with_nothing_left(process):
    """After the last client left, no queue is left, every configuration was reported, and every slot returned."""
    queues = [queue.config.model for queue in _queues(process)]
    slots = [slot for slot, owner in process.world.slots_taken.items() if owner is process]
    nothing = not (queues or process.configs_in_use or slots or process.live)
    process.world.require(
        nothing,
        "nothing is left at the end",
        "queues {}, configurations {}, slots {}, calls {}",
        queues,
        process.configs_in_use,
        slots,
        [str(record) for record in process.live.values()],
    )


def slots_are_requests(world):
    """The window's slots in flight are exactly the requests in flight."""
    for store in world.stores:
        taken = {slot for slot, process in world.slots_taken.items() if process.store is store}
        world.require(
            store.slots_in_flight <= taken | world.slots_lost,
            "slots are requests on the wire",
            "{} are nobody's",
            store.slots_in_flight - taken,
        )


# The limit.


def nothing_starts_in_a_known_cooldown(process, now):
    """No slot is granted before a cooldown that this window knows is over."""
    until = process.world.cooldowns.get(process.store, float("-inf"))
    process.world.require(now >= until, "nothing is sent in a known cooldown", "{} s before its end", until - now)


def nobody_alone_is_refused(world, sent_at, status):
    """If no other caller uses the key and every answer has headers, no request exceeds a known limit."""
    world.require(
        status != 429 or sent_at <= world.told_at or not world.scenario.never_refused,
        "no 429 that headers foretell",
        "a request was refused, and the limit was known {:.1f} s before",
        sent_at - world.told_at,
    )


def nobody_is_blocked_too_long(process):
    """No text of a call waits for the limit longer than `max_wait` and one recheck."""
    for call, record in process.live.items():
        if call.max_wait is not None and not call.failed:
            process.world.require(
                record.blocked <= call.max_wait + RECHECK + TOLERANCE,
                "max_wait is kept",
                "{} was blocked for {:.1f} s, max_wait {}",
                record,
                record.blocked,
                call.max_wait,
            )


def max_wait_is_kept_when_denied(process, pause, waiting):
    """When the limiter names a wait, exactly the calls that may not wait that long fail."""
    if pause.seconds is None:
        return
    for call in waiting:
        record = process.live.get(call)
        if record is None or call.max_wait is None or call.abandoned:
            continue
        left = call.max_wait - record.blocked
        too_long = left <= 0 or pause.seconds > left + 1e-6
        failed = isinstance(call.error, RateLimitError)
        if call.error is not None and not failed:
            continue
        process.world.require(
            failed == too_long or abs(pause.seconds - left) < 0.01,
            "max_wait is kept",
            "{} has {:.2f} s left, the wait is {:.2f} s, failed: {}",
            record,
            left,
            pause.seconds,
            failed,
        )


# What a caller gets.


def call_gets_its_own(world, record):
    """A call ends with all its vectors, or with its own error and the vectors that were charged."""
    vectors = record.outcome or {}
    right = {i: world.vector_of(text) for i, text in enumerate(record.texts)}
    if record.call.known:
        right.update({i: record.vector_in_cache(i) for i in record.known})
    wrong = [i for i, vector in vectors.items() if vector != right[i]]
    world.require(not wrong, "right vector, right text", "{} has wrong vectors at {}", record, wrong)
    if record.error is None:
        missing = len(record.texts) - len(vectors)
        world.require(not missing, "right vector, right text", "{} has {} vectors too few", record, missing)
        return
    world.require(
        isinstance(record.error, ElectronHubError), "an error is typed", "{} ended with {!r}", record, record.error
    )
    paid = {i for i, text in enumerate(record.texts) if text in world.accepted or i in record.known}
    if record.call.output is None and not record.cache_fails and not record.cache_is_stale:
        lost = paid - set(vectors)
        world.require(
            not lost or record.is_closed or record.known, "nothing paid for is lost", "{} lost {}", record, lost
        )
    error_is_the_calls_own(world, record)


def models_are_not_mixed(process, batch):
    """Once another model was noticed, no call goes on with cached vectors of the first."""
    mixed = [part.call for part in batch.slices if part.call.known and part.call.guard and part.call.guard.change]
    process.world.require(
        all(call.failed for call in mixed), "models are not mixed", "{} keeps cached vectors", batch.slices
    )


def no_other_model_is_kept(record, *, keep):
    """No vector of another model than that of the cached ones is written to a cache."""
    world = record.world
    world.require(
        not (keep and record.call.guard is not None) or world.scenario.rules.version == 1 or _cannot_check(record),
        "no vector of another model is kept",
        "{} keeps some",
        record,
    )


def _cannot_check(record):
    """Return whether a request of a call's configuration has no place for the reference text, or it was refused."""
    rules = record.world.scenario.rules
    limits = [queue.learned.limits for queue in record.process.scheduler._queues]
    is_refused = REFERENCE_TEXT in rules.guilty | rules.unusable
    return is_refused or any(limit.max_inputs == 1 for limit in limits)


def error_is_the_calls_own(world, record):
    """An error names a text at fault of the call, or belongs to a request with texts of the call."""
    error = record.error
    reason = None
    if record.is_withdrawn or record.is_closed or record.call.attachment.closed:
        return
    if error.index is not None:
        text = record.texts[error.index]
        at_fault = world.service.is_at_fault(text) or text in world.named or record.client.config.model in world.refused
        reason = None if at_fault else f"text {error.index} is not at fault"
    elif isinstance(error, RateLimitError) and "max_wait" in error.message:
        reason = None if record.max_wait is not None else "the call has no max_wait"
    elif isinstance(error, RETRYABLE):
        most = max(world.failures[text] for text in record.texts)
        allowed = record.client.config.max_retries + 1
        reason = None if most >= allowed or record.cache_is_stale else f"{most} attempts failed, of {allowed}"
    elif isinstance(error, BadRequestError):
        looks_like_it = len(world.refused_alone) > 1  # several texts at fault cannot be told from the request
        reason = None if record.client.config.model in world.refused or looks_like_it else "the request is not at fault"
    elif isinstance(error, APIStatusError):
        reason = None if error.status_code in world.key_statuses else "the key was not refused"
    elif isinstance(error, ModelChangedError):
        raises = record.client.attachment.raises_on_change
        reason = None if raises and world.scenario.rules.version != 1 else "the model is the same"
    elif isinstance(error, CacheError):
        reason = None if record.cache_fails else "its cache is fine"
    elif "rate limit store" in error.message:
        reason = None if world.scenario.store_failures else "the store is fine"
    else:
        reason = "nothing of the kind happened"
    world.require(reason is None, "a caller sees its own errors", "{} ended with {!r}: {}", record, error, reason)


# Requests.


def attempts_are_counted(world, batch, texts):
    """No text is sent after it has ended, without attempts left, or before its pause is over."""
    allowed, now = batch.config.max_retries + 1, world.clock.now
    for text in texts:
        world.require(text not in world.accepted, "each text ends once", "{} is sent after its vector came", text)
        world.require(text not in world.taken_back, "what was taken back stays", "{} is sent", text)
        world.require(text not in world.hopeless, "a terminal error costs one request", "{} is sent again", text)
        world.require(
            world.failures[text] < allowed, "max_retries is kept", "{} had {} attempts", text, world.failures[text]
        )
        due = world.not_before.get(text, now)
        world.require(now >= due - 1e-6, "retries pause", "{} is sent {:.2f} s too soon", text, due - now)


def search_is_cheap(world):
    """A refusal that names no text costs at most 2·log2(n) requests in total, or log2(n)+3 more to find one text."""
    bound, requests = world.scenario.max_requests, len(world.sent)
    world.require(
        bound is None or world.service.refused or requests <= bound,
        "a refusal is cheap",
        "{} requests, {} allowed: batches of {}",
        requests,
        bound,
        [len(texts) for _, texts in world.sent],
    )


def pace_is_near_the_optimum(world):
    """Without faults and other callers, the job takes little more than the shortest possible time."""
    allowed = world.scenario.longest_job
    if allowed is None:
        return
    job = [record for record in world.calls if not (record.is_query and world.scenario.longest_search)]
    took = max(record.ended_at for record in job) - world.started_at
    world.require(
        took <= allowed, "the job is near the optimum", "{:.2f} s, {:.2f} s allowed: {}", took, allowed, world.scenario
    )


def books_balance(world):
    """The usage of the clients adds up to the requests that were sent."""
    for process in world.processes:
        if process.is_dead:
            continue
        clients = [client for client in world.clients if client.process is process]
        attempts = sum(client.attachment.usage.attempts for client in clients)
        texts = sum(client.attachment.usage.texts for client in clients)
        sent = sum(owner is process for owner, _ in world.sent)
        unsent = sum(owner is process for owner in world.unsent)
        accepted = sum(owner is process for owner in world.accepted.values())
        world.require(
            (attempts, texts) == (sent - unsent, accepted),
            "the books balance",
            "{} attempts and {} texts are counted, {} and {} were",
            attempts,
            texts,
            sent - unsent,
            accepted,
        )


def interactive_calls_keep_their_order(world, store, slot, first):
    """No query and no chat call gets a slot that another one waits for which has asked before.

    Where slots are left for all of these, they wait for something else: a `requests_per_minute` of their own.
    """
    now = world.clock.now
    passed = [
        other
        for other, (its_store, asked, again) in world.asking.items()
        if its_store is store and asked < first and now - again <= RECHECK + TOLERANCE
    ]
    is_enough = world.scenario.longest_search is None and store.has_slots(len(passed))
    world.require(not passed or is_enough, "interactive calls keep their order", "{} leaves before {}", slot, passed)


def few_texts_leave_at_once(world):
    """While slots are free, neither documents of one request nor queries beside them wait."""
    longest = world.scenario.longest_wait
    late = [record for record in world.calls if longest and record.sent_at - record.submitted_at > longest]
    world.require(
        not late,
        "few texts leave at once",
        "{} waited for {:.1f} s, {} s allowed",
        late and late[0],
        late and late[0].sent_at - late[0].submitted_at,
        longest,
    )


def search_is_answered_beside_ingestion(world):
    """Once requests are spread over the minute, 95 of 100 interactive calls wait for a slot's spacing, or in line."""
    longest = world.scenario.longest_search
    if longest is None:
        return
    begin = world.started_at + world.scenario.spread_from
    end = max(record.ended_at for record in world.calls if not record.is_query)
    calls = [*(record for record in world.calls if record.is_query), *(chat for chat in world.chats if chat.sent_at)]
    waits = sorted(
        call.sent_at - call.submitted_at - _slots_needed_before(call, calls) * world.scenario.slot_spacing
        for call in calls
        if begin <= call.submitted_at <= end
    )
    wait = waits[int(0.95 * (len(waits) - 1))] if waits else 0.0
    world.require(
        wait <= longest, "a search waits for a slot", "95 of 100 waited up to {:.1f} s, {:.1f} s allowed", wait, longest
    )


def _slots_needed_before(call, calls):
    """Count the slots that interactive calls need which already wait; the queries of a process need one together."""
    waiting = [other for other in calls if other.submitted_at < call.submitted_at < other.sent_at]
    queries = {other.process for other in waiting if isinstance(other, Record)}
    mine = {call.process} if isinstance(call, Record) else set()  # it leaves together with these
    return len([other for other in waiting if not isinstance(other, Record)]) + len(queries - mine)
