"""A simulated service that counts calls, and a job that makes them, on a fake clock.

Written from the API's documentation alone: it shares no code and no counting method with the limiter under test.
"""

import heapq
from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import count
from random import Random

from electronhub_embeddings._rate_limit.rate_limit_headers import RateLimitHeaders
from electronhub_embeddings._rate_limit.sliding_window import SlidingWindow

PERIOD = 60.0
COOLDOWN = 180.0
UPLINK = 1.5
ANSWER = 2.0
BODY = 1.0
LONGEST_CALL = UPLINK + ANSWER + BODY


class Service:
    """Counts each call as it arrives, and locks the key for three minutes after a call over the limit."""

    def __init__(self, limit, period=PERIOD):
        self.limit = limit
        self.period = period
        self.arrivals = []
        self.locked_until = float("-inf")
        self.lockings = 0

    def arrive(self, now):
        """Count a call; return whether it is welcome. One that comes while the key is locked locks it anew."""
        self.arrivals.append(now)
        locked = now < self.locked_until
        if not locked and self.in_window(now) <= self.limit:
            return True
        self.lockings += not locked
        self.locked_until = now + COOLDOWN
        return False

    def in_window(self, now):
        """Count the calls of the last minute; one that is a whole minute old is forgotten."""
        return len(self.arrivals) - bisect_right(self.arrivals, now - self.period)

    def fullest(self):
        """Count the calls of the fullest minute there ever was."""
        return max(
            (i + 1 - bisect_right(self.arrivals, t - self.period) for i, t in enumerate(self.arrivals)), default=0
        )


@dataclass
class Job:
    """A number of calls that somebody wants to have answered, and how the world treats them."""

    calls: int
    limit: int
    concurrency: int
    seed: int
    cap: int | None = None
    faults: float = 0.0
    """Share of the calls that are lost on their way, or answered with a 5xx."""
    headers: float = 1.0
    """Share of the answers that have limit headers; the first one has them always, unless it is 0."""
    others: float = 0.0
    """Calls that others make in a minute, with the same key, evenly; they rest while the key is locked."""
    body: float = BODY
    """Seconds at most between the headers and the end of an answer."""
    period: float = PERIOD
    """Seconds over which the service really counts, whatever its documents say."""
    forecasts: bool = False
    """Whether to ask before each call when one of the next can start."""


@dataclass
class Run:
    """What happened."""

    service: Service
    window: SlidingWindow
    starts: list = field(default_factory=list)
    ends: dict = field(default_factory=dict)
    """When each started call ended, by its place in `starts`."""
    refused: list = field(default_factory=list)
    """When each 429 was read."""
    good: list = field(default_factory=list)
    """When each good answer was read."""
    forecasts: list = field(default_factory=list)
    """(calls started before, how many more, when the last of them can start at the earliest)."""
    finished: float | None = None


def simulate(job, *, until=1e6, window=None, lost_at=None):
    """Let a job run over a window, a fresh one unless given, to its end or until a time.

    Args:
        job: What is to be done.
        until: When to stop.
        window: What is known at the beginning.
        lost_at: When the window is lost, and begun anew as one that knows nothing of what was sent.
    """
    return _Simulation(job, window or SlidingWindow(), lost_at).run(until)


class _Simulation:
    def __init__(self, job, window, lost_at=None):
        self.job = job
        self.random = Random(job.seed)
        self.run_ = Run(Service(job.limit, job.period), window)
        self.events = []
        self.order = count()
        self.now = 0.0
        self.in_flight = 0
        self.done = 0
        self.answers = 0
        self.waking = None
        if lost_at is not None:
            self.at(lost_at, self.lose_window)

    def run(self, until):
        if self.job.others:
            self.other(self.random.uniform(0, 60 / self.job.others))
            self.at(2 * PERIOD, self.start_calls)
        else:
            self.at(0.0, self.start_calls)
        while self.events and self.run_.finished is None:
            self.now, _, action = heapq.heappop(self.events)
            if self.now > until:
                break
            action()
        return self.run_

    def at(self, when, action):
        heapq.heappush(self.events, (when, next(self.order), action))

    def other(self, when):
        def call():
            service = self.run_.service
            if self.now >= service.locked_until:
                service.arrive(self.now)
            self.other(self.now + 60 / self.job.others)

        self.at(when, call)

    def start_calls(self):
        """Start what may start, and look again when the window says so."""
        job, run = self.job, self.run_
        while self.in_flight < job.concurrency and self.done + self.in_flight < job.calls:
            if job.forecasts:
                more = self.random.randint(1, 5)
                due = self.now + run.window.delay(self.now, cap=job.cap, calls=more)
                run.forecasts.append((len(run.starts), more, due))
            slot = str(len(run.starts))
            pause = run.window.acquire(self.now, slot, max_duration=70.0, cap=job.cap)
            if pause is None:
                run.starts.append(self.now)
                self.in_flight += 1
                self.send(slot)
                continue
            due = self.now + max(pause.seconds or 0.0, 1e-6)
            if pause.seconds and due != self.waking:
                self.waking = due
                self.at(due, self.start_calls)
            return

    def send(self, slot):
        job, random = self.job, self.random
        arrival = self.now + random.uniform(0, UPLINK)
        fate = "good"
        if random.random() < job.faults and (self.answers or job.cap):
            fate = random.choice(["5xx", "reset by the service", "reset under way", "never arrives"])
        if fate == "never arrives":
            self.at(arrival, lambda: self.lose(slot))
            return
        self.at(arrival, lambda: self.arrive(slot, fate))
        if fate == "reset under way":
            self.at(random.uniform(self.now, arrival), lambda: self.lose(slot))

    def arrive(self, slot, fate):
        job, random, service = self.job, self.random, self.run_.service
        welcome = service.arrive(self.now)
        tells = job.headers > 0 and (self.answers == 0 or random.random() < job.headers)
        remaining = max(0, service.limit - service.in_window(self.now))
        report = RateLimitHeaders(limit=service.limit, remaining=remaining) if tells else RateLimitHeaders()
        headers_at = self.now + random.uniform(0, ANSWER)
        ended = headers_at + random.uniform(0, job.body)
        if fate == "reset by the service":
            self.at(headers_at, lambda: self.lose(slot))
        elif fate != "reset under way":
            self.answers += 1
            self.at(ended, lambda: self.answer(slot, report, headers_at, welcome, fate))

    def lose_window(self):
        self.run_.window = SlidingWindow()
        self.run_.window.distrust(self.now)
        self.run_.forecasts.clear()
        self.start_calls()

    def lose(self, slot):
        self.run_.window.complete(self.now, slot, RateLimitHeaders(), counted=None, good=False)
        self.land(slot)

    def answer(self, slot, report, headers_at, welcome, fate):
        run = self.run_
        good = welcome and fate == "good"
        run.window.complete(self.now, slot, report, counted=headers_at, good=good)
        if not welcome:
            run.refused.append(self.now)
            run.window.start_cooldown(self.now, COOLDOWN)
        if good:
            run.good.append(self.now)
            self.done += 1
        self.land(slot)

    def land(self, slot):
        self.in_flight -= 1
        self.run_.ends[int(slot)] = self.now
        if self.done == self.job.calls:
            self.run_.finished = self.now
        self.start_calls()
