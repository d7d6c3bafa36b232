"""One process: worker threads of a scheduler, interleaved at random.

What `_workers/worker_loop.py` does with threads and locks is done here step by step. A step is what runs with the
lock held, or one access to the store; between two steps of a thread any other thread can run, and time passes.
"""

from collections import deque
from functools import partial
from itertools import count

from electronhub_embeddings._scheduling.actions import AcquireSlot, CheckMaxWait, LookAhead, LookUp
from electronhub_embeddings._scheduling.drift_guard import ModelChange
from electronhub_embeddings._scheduling.scheduler import Scheduler
from electronhub_embeddings.errors import InvalidResponseError, ModelChangedError
from simulation import invariants
from simulation.callers import Output
from simulation.limiter import limiter_of
from simulation.service import is_too_large


class Sleep:
    """The leader waits for an event, or until a time."""

    def __init__(self, until):
        self.until = until


class Process:
    """Drives one scheduler as its worker threads do.

    Args:
        world: Clock, network, dice and book of the run.
        name: For the trace.
        store: Where the account's window is kept.
    """

    def __init__(self, world, name, store):
        self.world = world
        self.name = name
        self.store = store
        self.limiter = limiter_of(store)
        self.scheduler = Scheduler()
        self.is_dead = False
        self.in_flight = {}
        """Slot -> the batch that was formed for it, until its result is reported to the scheduler."""
        self.denied = False
        """Whether the limiter has denied a slot, and nothing has ended since."""
        self.live = {}
        """Calls that the scheduler has and that have not ended: call -> record."""
        self.looking_up = set()
        """Calls whose lookup is running."""
        self.configs_in_use = set()
        self.too_large = {}
        """Configuration -> (texts, bytes) of batches that were refused for their size."""
        self.blocked = invariants.BlockedTime()
        self.last_start = float("-inf")
        self.linger = None
        self._waiting = {}
        """The waiting texts of each call, as of the last step."""
        self._waited = []
        self._measured = 0.0
        self._inbox = deque()
        self._busy = 0
        self.waking = 0
        """Threads that wake callers, and then let the leader look again."""
        self._leader = None
        self._turn = 0
        self._is_asleep = False
        self._idle_turns = 0
        self._slots = (f"{name}/{number}" for number in count())
        self._next_slot = next(self._slots)

    # What callers do.

    def post(self, event):
        """Put an event into the inbox, and make sure that a thread leads."""
        self._inbox.append(event)
        self._idle_turns = 0
        if self._leader is None:
            self._leader = self._lead()
            self._schedule(self.world.pause())
        elif self._is_asleep:
            self._is_asleep = False
            self._schedule(self.world.pause())

    def submit(self, record):
        """Submit a call."""
        self.post(partial(self._take_in, record))

    def inquire(self, inquiry):
        """Ask what the texts of a call would need."""
        self.post(partial(self.scheduler.inquire, inquiry))

    def withdraw(self, call):
        """Withdraw the unsent texts of a call."""
        self.post(partial(self._take_back, call))

    def detach(self, attachment):
        """Detach a client."""
        attachment.closed = True
        self.post(partial(self._detach, attachment))

    def die(self):
        """Lose everything but the window, as a killed process does."""
        self.is_dead = True
        self.world.note(self, "killed")

    # The leader.

    def _schedule(self, delay):
        self._turn += 1
        self.world.clock.after(delay, partial(self._take_turn, self._turn))

    def _take_turn(self, turn):
        if turn != self._turn or self.is_dead or self._leader is None:
            return
        self._is_asleep = False
        wait = next(self._leader, None)
        if wait is None:
            self._leader = None
            if self._inbox:
                self.post(_look_again)
        elif isinstance(wait, Sleep):
            self._sleep(wait.until)
        else:
            self._schedule(wait)

    def _sleep(self, until):
        if self._inbox:
            self._schedule(self.world.pause())
            return
        self._idle_turns += 1
        invariants.leader_rests(self, until, self._idle_turns)
        invariants.nobody_waits_for_ever(self, until)
        invariants.nothing_waits_beside_a_free_slot(self, until)
        self._is_asleep = True
        if until is not None:
            self._schedule(max(0.0, until - self.world.clock.now) + self.world.pause())

    def _lead(self):
        world, scheduler, event = self.world, self.scheduler, None
        while True:
            self._handle_events(event)
            action = scheduler.next_action(world.clock.now)
            is_over = not (self._busy or scheduler.has_clients or scheduler.is_waiting)
            self._note_action(action)
            if isinstance(action, LookUp):
                self._busy += 1
                self.looking_up.add(action.call)
            ended = self._take_effects()
            self._after_locked()
            yield from self._resolve(ended)
            event = None
            if isinstance(action, LookUp):
                world.run(self._look_up(action.call), self)
                yield world.pause()
            elif isinstance(action, AcquireSlot):
                invariants.batch_lingers_for_company(self)
                yield world.ask_store()
                yield from self._acquire_slot(action)
            elif isinstance(action, (CheckMaxWait, LookAhead)):
                yield world.ask_store()
                event = self._ask_limiter(action)
                yield world.ask_store()
            elif is_over:
                invariants.ends_with_nothing_left(self)
                return
            else:
                yield Sleep(action.until)

    def _note_action(self, action):
        if invariants.most_urgent_number(self, self.world.clock.now) is None:
            self.blocked.end(self.world.clock.now)
        if isinstance(action, LookUp):
            self.world.note(self, "looks up", action.call)

    def _handle_events(self, event):
        now = self.world.clock.now
        if event is not None:
            event(now)
        while self._inbox:
            self._inbox.popleft()(now)

    def _acquire_slot(self, action):
        world, scheduler, now = self.world, self.scheduler, self.world.clock.now
        slot = self._next_slot
        try:
            pause, linger = self.limiter.acquire(
                slot,
                max_duration=action.max_duration,
                cap=action.cap,
                interactive=action.interactive,
                documents=action.documents,
            )
        except Exception as error:  # noqa: BLE001 - as the workers do
            world.note(self, "the store fails")
            self._next_slot = next(self._slots)
            scheduler.limiter_failed(error, now)
            self._after_locked()
            return
        if action.interactive:
            world.asked_for_somebody(self, slot, pause)
        else:
            world.asking.pop(slot, None)  # the query for which it was asked before has been taken back
        if pause is not None:
            yield world.ask_store()
            now = world.clock.now
            world.note_again(self, "denied", pause)
            self.denied = True
            self.blocked.denied(pause, now)
            self._measure_waits()
            waiting = [call for call, parts in invariants.waiting_parts(self).items() if parts]
            scheduler.slot_denied(pause, self.store.poll, now)
            invariants.max_wait_is_kept_when_denied(self, pause, waiting)
            self._after_locked()
            return
        invariants.nothing_starts_in_a_known_cooldown(self, now)
        world.slots_taken[slot] = self
        self._next_slot = next(self._slots)
        yield world.ask_store()
        self._handle_events(None)
        now = world.clock.now
        before = invariants.before_batch(self, now)
        batch = scheduler.slot_granted(slot, linger, now)
        self.blocked.end(now)
        self.linger, self.denied = linger, False
        if batch is not None:
            self._busy += 1
            self.in_flight[slot] = batch
            invariants.batch_is_right(self, before, batch, limited=linger is not None)
            self.last_start = now
        self._after_locked()
        yield world.pause()
        if batch is None:
            world.note(self, "releases", slot)
            self.release(slot)
        else:
            world.run(self._send(batch), self)

    def release(self, slot):
        """Release the slot of a request that was never sent."""
        self.limiter.release(slot)
        self.world.slots_taken.pop(slot)

    def _ask_limiter(self, action):
        try:
            if isinstance(action, LookAhead):
                return partial(self.scheduler.looked_ahead, self.limiter.look_ahead(action.cap))
            waits = self.limiter.minimum_waits(action.requests, cap=action.cap)
        except Exception as error:  # noqa: BLE001 - as above
            return partial(self.scheduler.limiter_failed, error)
        self.world.note(self, "minimum waits", action.requests, waits)
        return partial(self.scheduler.max_wait_checked, waits)

    # The workers.

    def _send(self, batch):
        world = self.world
        texts = batch.texts if batch.reference_for is None else batch.texts[:-1]
        exchange = world.send(self, batch, texts)
        yield exchange.ends_at - world.clock.now
        result = world.network.result(exchange, batch.texts)
        world.answered(self, batch, exchange.sent_at, result)
        yield world.pause()
        self.limiter.complete(batch.slot, result)
        world.completed(self, batch.slot, result)
        yield world.pause()
        if result.error is None:
            if batch.reference_for is not None:
                self._check_model(batch)
            position = 0
            for part in batch.slices:
                self._hand_out(batch, part, texts[position : position + len(part)])
                position += len(part)
            yield world.pause()
        now = world.clock.now
        world.finished(self, batch, texts, result)
        self.scheduler.finished(batch, result, now)
        invariants.models_are_not_mixed(self, batch)
        if is_too_large(result.error) and batch.inputs > 1:
            self.too_large.setdefault(batch.config, []).append((batch.inputs, batch.size))
        del self.in_flight[batch.slot]
        self.denied = False
        yield from self._report()

    def _check_model(self, batch):
        for guard in {part.call.guard for part in batch.slices} - {None}:
            if self.world.scenario.rules.version == 1:
                guard.confirm(self.world.clock.now)
            else:
                guard.report(ModelChange("Another model.", b""))

    def _hand_out(self, batch, part, texts):
        call = part.call
        has_changed = call.guard is not None and call.guard.change is not None
        if has_changed and call.attachment.raises_on_change:
            call.fail(ModelChangedError("Another model."))
            return
        keep = not has_changed and not batch.is_unchecked
        invariants.no_other_model_is_kept(self.world.records[call], keep=keep)
        try:
            call.output.put(part.start, part.stop, [self.world.vector_of(text) for text in texts])
        except InvalidResponseError as error:
            call.fail(error)

    def _look_up(self, call):
        record = self.world.records[call]
        yield self.world.random.uniform(0.0, 0.2)
        error = record.look_up()
        self.looking_up.discard(call)
        self.scheduler.looked_up(call, error, self.world.clock.now)
        yield from self._report()

    def _report(self):
        self._busy -= 1
        self._idle_turns = 0
        ended = self._take_effects()
        is_news = self.scheduler.is_waiting or not self.scheduler.has_clients
        self._after_locked()
        self.waking += 1
        yield from self._resolve(ended)
        self.waking -= 1
        if is_news:
            self.post(_look_again)

    def _take_in(self, record, now):
        call = record.call
        if call.cache is None:
            call.output = Output(record)
        if not call.attachment.closed:
            self.configs_in_use.add(call.attachment.config)
        self.live[call] = record
        self.scheduler.submit(call, now)

    def _take_effects(self):
        """Take the scheduler's effects; return the calls that have ended."""
        effects = self.scheduler.take_effects()
        for inquiry in effects.answered:
            self.world.clock.after(0.0, inquiry.resolve)
        for config in effects.unused:
            invariants.unused_once(self, config)
            self.configs_in_use.discard(config)
            self.too_large.pop(config, None)
        for call in effects.complete:
            invariants.call_ends_once(self, call)
            self.world.note(self, "ends", call)
            del self.live[call]
        return effects.complete

    def _take_back(self, call, now):
        self.world.taken_back.update(call.inputs.texts)
        self.scheduler.withdraw(call, now)

    def _detach(self, attachment, now):
        for call in self.live:
            if call.attachment is attachment:
                self.world.taken_back.update(call.inputs.texts)
        self.scheduler.detach(attachment, now)

    def _resolve(self, ended):
        for call in ended:
            yield self.world.pause()
            call.resolve()

    def _after_locked(self):
        self.world.steps += 1
        self._waiting = invariants.waiting_parts(self)
        invariants.texts_are_conserved(self, self._waiting)
        self._measure_waits()
        invariants.nobody_is_blocked_too_long(self)

    def _measure_waits(self):
        """Add the time that was just spent blocked to the calls that had texts waiting meanwhile."""
        total = self.blocked.total(self.world.clock.now)
        if total > self._measured:
            for record in self._waited:
                record.blocked += total - self._measured
        self._measured = total
        self._waited = [
            record for call, record in self.live.items() if call.max_wait is not None and self._waiting.get(call)
        ]

    @property
    def busy(self):
        """Threads that send or look up, or are about to report a result to the leader."""
        return self._busy + self.waking


def _look_again(_):
    """Do nothing."""
