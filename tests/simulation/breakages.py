"""Breaks one rule of the scheduler at a time, and finds the seed that notices.

A rule that can be broken unnoticed is not checked. `make simulate-breakages` prints a seed for each.
"""

import sys
from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import patch

from electronhub_embeddings._rate_limit.even_spacing import EvenSpacing
from electronhub_embeddings._rate_limit.foreign_share import ForeignShare
from electronhub_embeddings._rate_limit.wait_queue import WaitQueue
from electronhub_embeddings._scheduling import recovery, request_queue
from electronhub_embeddings._scheduling.bisection import Bisection
from electronhub_embeddings._scheduling.call import Call
from electronhub_embeddings._scheduling.drift_guard import DriftGuard
from electronhub_embeddings._scheduling.max_wait import LimitWait
from electronhub_embeddings._scheduling.request_queue import RequestQueue
from electronhub_embeddings._scheduling.request_queues import RequestQueues
from electronhub_embeddings._scheduling.scheduler import Scheduler
from electronhub_embeddings._scheduling.waiting_texts import WaitingTexts
from simulation.process import Process
from simulation.run import simulate, watched_log
from simulation.scenario import FAMILIES

MAX_SEEDS = 2000
"""Seeds within which each breakage must be noticed."""

NEVER = float("-inf")


def _documents_first(take):
    def broken(self, limits, **options):
        if not self.documents or options["hold_documents"]:
            return take(self, limits, **options)
        queries, self.queries = self.queries, type(self.queries)()
        try:
            return take(self, limits, **options)
        finally:
            self.queries = queries

    return broken


def _last_place_for_documents(urgency):
    def broken(self, now):
        self.in_flight -= 1
        try:
            return urgency(self, now)
        finally:
            self.in_flight += 1

    return broken


def _half_empty(take):
    return lambda self, limits, **options: take(self, limits, **{**options, "limited": False})


def _uncounted(_):
    return lambda part, **changes: replace(part, **{name: v for name, v in changes.items() if name != "attempts"})


def _dropped_on_withdraw(_):
    def broken(self, call, error):
        call.fail(error)
        self.waiting.take_out(lambda part: part.call is call)
        return []

    return broken


def _sent_twice(accept):
    def broken(self, batch, tokens, seconds):
        complete = accept(self, batch, tokens, seconds)
        self.waiting.put_back(batch.slices[0])
        return complete

    return broken


def _one_by_one(_):
    def broken(self, slices):
        (head, *rest) = slices
        one, tail = head.split(1)
        self.probe, self._sibling = [one], [*([tail] if len(tail) else []), *rest]

    return broken


def _never_enough(init):
    def broken(self, *args, **options):
        init(self, *args, **options)
        self._enough = 10**9

    return broken


def _forgotten_refusal(end_search):
    def broken(self, findings):
        complete = end_search(self, findings)
        self.learned.request_refusal = None
        return complete

    return broken


def _kept_ask_again(finished):
    def broken(self, *args):
        before = self._limit_wait.ask_again_at
        finished(self, *args)
        self._limit_wait.ask_again_at = before

    return broken


def _no_linger(granted):
    def broken(self, *args):
        batch = granted(self, *args)
        self._linger = 0.0
        return batch

    return broken


def _wrong_neighbour(without):
    def broken(slices, guilty, error):
        return without(slices, (guilty + 1) % sum(map(len, slices)), error)

    return broken


def _no_pause(put_back):
    return lambda self, part, _due=NEVER: put_back(self, part)


def _silent_retire(retire):
    def broken(self, queue):
        retire(self, queue)
        return False

    return broken


def _early_retire(retire):
    def broken(self, queue):
        queue_in_flight, queue.in_flight = queue.in_flight, 0
        try:
            return retire(self, queue)
        finally:
            queue.in_flight = queue_in_flight

    return broken


def _youngest_last(add):
    def broken(self, call):
        add(self, call)
        queue = self.queries if call.is_query else self.documents
        part = next(part for part in queue if part.call is call)
        queue.remove(part)
        queue.append(part)

    return broken


def _past_dues(_):
    def broken(self, _now):
        return min((due for due in (self.waiting.next_due(), self._probe_due) if due is not None), default=None)

    return broken


def _nothing(_):
    return lambda *_: None


def _applies_with(**changes):
    """Break the rule which requests are spread, by other arguments."""

    def change(applies):
        def broken(self, now, **kinds):
            return applies(self, now, **{**kinds, **changes})

        return broken

    return change


def _spacing_times(factor):
    """Break the distance between requests that are spread."""

    def change(delay):
        def broken(self, now, spacing, ahead):
            return delay(self, now, factor * spacing, ahead)

        return broken

    return change


def _few_are_many(applies):
    def broken(self, now, *, interactive, documents, crowded):
        return applies(self, now, interactive=interactive, documents=2 * documents, crowded=crowded)

    return broken


def _held_up_by_any(note_start):
    def broken(self, now, *, interactive):
        if not interactive:
            self.documents_until = now + 24.0
        note_start(self, now, interactive=interactive)

    return broken


def _beside_interactive_calls_only(applies):
    return lambda self, now, **kinds: applies(self, now, **{**kinds, "crowded": False})


def _no_more_than_they_use(_):
    return lambda self, limit: min(self.latest, limit - 1) if self.sightings else 0


BREAKAGES = {
    "documents fill the window beside queries": (EvenSpacing, "applies", lambda _: lambda *_, **__: False),
    "requests are spread by half a spacing": (EvenSpacing, "delay", _spacing_times(0.5)),
    "requests are spread by two spacings": (EvenSpacing, "delay", _spacing_times(2.0)),
    "documents alone are spread": (EvenSpacing, "applies", _applies_with(interactive=True, documents=2)),
    "queries are not known to the limiter": (EvenSpacing, "applies", _applies_with(interactive=False)),
    "documents of one request are spread": (EvenSpacing, "applies", _few_are_many),
    "queries keep the distance beside documents that nothing held up": (EvenSpacing, "note_start", _held_up_by_any),
    "documents fill the window beside others": (EvenSpacing, "applies", _beside_interactive_calls_only),
    "others are left no more than they use": (ForeignShare, "reserve", _no_more_than_they_use),
    "interactive calls have no order": (WaitQueue, "ahead_of", lambda _: lambda *_: 0),
    "an interactive call that waits is forgotten": (WaitQueue, "add", _nothing),
    "documents go ahead of queries": (WaitingTexts, "take", _documents_first),
    "documents take the last place on the wire": (RequestQueue, "urgency", _last_place_for_documents),
    "a batch is not filled although a limit is in force": (WaitingTexts, "take", _half_empty),
    "retries are not counted": (recovery, "replace", _uncounted),
    "retries come without a pause": (WaitingTexts, "put_back", _no_pause),
    "texts that are withdrawn are dropped": (RequestQueue, "withdraw", _dropped_on_withdraw),
    "a text is sent again after its vector came": (RequestQueue, "accept", _sent_twice),
    "a search goes text by text": (Bisection, "_divide", _one_by_one),
    "a request is never taken to be at fault": (Bisection, "__init__", _never_enough),
    "the refusal of a request is forgotten": (RequestQueue, "_end_search", _forgotten_refusal),
    "documents are sent during a search": (RequestQueue, "_holds_documents", lambda _: False),
    "the wrong text is left out": (recovery, "_without", _wrong_neighbour),
    "a refusal for size teaches nothing": (recovery, "_learn_size", _nothing),
    "a slot without a batch is not released": (Process, "release", _nothing),
    "the limiter is not asked again after an answer": (Scheduler, "finished", _kept_ask_again),
    "max_wait is ignored": (LimitWait, "check_wait", _nothing),
    "the linger is ignored": (Scheduler, "slot_granted", _no_linger),
    "a configuration is never reported as unused": (RequestQueues, "retire", _silent_retire),
    "a configuration is retired with a batch on the wire": (RequestQueues, "retire", _early_retire),
    "a call with a slow lookup queues behind younger ones": (WaitingTexts, "add", _youngest_last),
    "a due probe without a place wakes the leader": (RequestQueue, "next_due", _past_dues),
    "texts of a closed client are tried again": (
        Call,
        "is_over",
        lambda _: property(lambda call: call.abandoned or call.withdrawn),
    ),
    "no model is checked": (request_queue, "add_reference", lambda _: lambda batch, *_: batch),
    "cached vectors of another model are returned": (Call, "mixes_models", lambda _: property(lambda _: False)),
    "a reference text that is refused is sent for ever": (DriftGuard, "give_up", lambda _: lambda _: None),
    "a call that failed beside a text is finished twice": (
        request_queue,
        "_finish",
        lambda finish: lambda slices: [*(done := finish(slices)), *done],
    ),
}

WHERE = {
    "documents alone are spread": "calm",
    "an interactive call that waits is forgotten": "beside",
    "the wrong text is left out": "guilty company",
    "a refusal for size teaches nothing": "everything",
    "a due probe without a place wakes the leader": "guilty company",
    "a search goes text by text": "refusals",
    "a request is never taken to be at fault": "refusals",
    "the refusal of a request is forgotten": "refusals",
    "a slot without a batch is not released": "closing",
    "a configuration is retired with a batch on the wire": "everything",
    "texts of a closed client are tried again": "closing",
    **dict.fromkeys(list(BREAKAGES)[:3], "beside"),
    "documents fill the window beside others": "timer",
    "others are left no more than they use": "timer",
    "queries are not known to the limiter": "beside",
    "documents of one request are spread": "few",
    "queries keep the distance beside documents that nothing held up": "few",
    "interactive calls have no order": "beside",
    "no model is checked": "drift",
    "cached vectors of another model are returned": "drift",
    "a reference text that is refused is sent for ever": "drift",
}
"""The family of scenarios that notices a breakage first, for those that take many seeds."""


@contextmanager
def broken(name):
    """Break a rule inside a `with` block."""
    owner, attribute, change = BREAKAGES[name]
    with patch.object(owner, attribute, change(vars(owner)[attribute])):
        yield


def find_seed(name, family=None):
    """Return the first seed, optionally of one family, that notices a breakage, and how; None: no seed does."""
    families = list(FAMILIES)
    first, step = (0, 1) if family is None else (families.index(family), len(families))
    with broken(name), watched_log():
        for seed in range(first, MAX_SEEDS, step):
            world, error = simulate(seed)
            if error is not None:
                return seed, world.scenario.family, error
    return None


def main():
    """Break every rule."""
    unnoticed = 0
    for name in BREAKAGES:
        found = find_seed(name)
        unnoticed += found is None
        if found is None:
            print(f"{name}: NOT NOTICED by {MAX_SEEDS} seeds", flush=True)
        else:
            seed, family, error = found
            print(f"{name}: seed {seed} ({family}): {type(error).__name__}: {error}"[:200], flush=True)
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
