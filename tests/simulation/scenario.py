"""The scenario of a run, drawn from the seed: one family of scenarios for each kind of trouble."""

import math
from dataclasses import dataclass, field
from random import Random

from electronhub_embeddings._codec.reference_vector import REFERENCE_TEXT
from simulation.callers import Config
from simulation.network import NetworkConditions
from simulation.service import KNOWN_WORDS, PERIOD, UNKNOWN_WORDS, Rules

SPAN = 90.0
"""Seconds within which most callers arrive."""

STARTUP = 0.5
"""Seconds that threads may take in total, in addition to network and window."""


@dataclass
class Scenario:
    """One run: the rules of the service, the network, and functions that schedule events."""

    seed: int
    family: str
    rules: Rules
    conditions: NetworkConditions = field(default_factory=NetworkConditions)
    configs: list = field(default_factory=list)
    never_refused: bool = False
    """Whether a 429 is a fault of the package."""
    store_failures: bool = False
    has_guards: bool = False
    """Whether clients check that the model is the one that filled their cache."""
    max_requests: int | None = None
    """Total requests that the run may cost."""
    longest_job: float | None = None
    """Seconds that the whole job may take."""
    longest_search: float | None = None
    """Seconds that 95 of 100 interactive calls may wait once documents are spread, behind those that came before."""
    slot_spacing: float = 0.0
    """Seconds between two slots that are spread over the period."""
    longest_wait: float | None = None
    """Seconds that any call may wait until it leaves."""
    spread_from: float = 0.0
    """Seconds after the start from which documents must be spread."""
    plan: list = field(default_factory=list)
    """Functions of the world that schedule callers, other users of the key, and failures."""

    def arrange(self, world):
        """Schedule all events."""
        for step in self.plan:
            step(world)


def draw(seed):
    """Draw the scenario of a seed."""
    families = list(FAMILIES)
    family = families[seed % len(families)]
    return FAMILIES[family](seed, family, Random(f"{family} {seed}"))


# Parts.


def _conditions(dice, *faults):
    slow = dice.choice(((0.05, 0.5), (0.05, 0.5), (1.0, 8.0)))
    return NetworkConditions(
        answer=slow, store=dice.choice((0.0, 0.0, 0.02, 0.3)), faults=dice.choice(faults or (0.0,))
    )


def _config(dice, name, **options):
    return Config(
        name,
        **{
            "batch_size": dice.choice((1, 3, 8, 16, 32, 64)),
            "max_retries": dice.choice((0, 1, 2, 4)),
            "max_concurrency": dice.choice((1, 2, 3, 4, 8)),
            "requests_per_minute": dice.choice((None, None, None, 4, 10, 30)),
            **options,
        },
    )


def _sizes(dice, count):
    return [dice.choice((1, 8, 40, 200)) for _ in range(count)]


def _caller(dice, *, at, max_wait=0.3, cache=0.15, query=0.4, texts=(1, 5, 20, 60, 150)):
    """Return an event in which a caller makes a call."""
    is_query = dice.random() < query
    count = dice.choice((1, 1, 1, 2, 5)) if is_query else dice.randint(1, dice.choice(texts))
    options = {"is_query": is_query}
    if dice.random() < max_wait:
        options["max_wait"] = dice.choice((0.5, 3.0, 15.0, 45.0, 90.0, 300.0))
    if dice.random() < cache:
        options["has_cache"] = True
        options["known"] = tuple(sorted(dice.sample(range(count), dice.choice((0, count // 2, count)))))
        options["cache_fails"] = dice.random() < 0.05
        options["cache_is_stale"] = bool(options["known"]) and dice.random() < 0.05
    sizes = _sizes(dice, count)

    def come(world, client):
        record = world.add_call(client, sizes, **options)
        world.clock.after(at, lambda: world.submit(record))
        return record

    return come


def _callers(dice, scenario, *, processes=1, clients=None, calls=None, **options):
    """Let several clients of several configurations make calls."""
    count = clients or dice.randint(1, 5)
    plans = []
    for number in range(count):
        start = dice.uniform(0, SPAN) if dice.random() < 0.7 else 0.0
        many = calls or dice.randint(1, 4)
        bursts = [start + (0.0 if dice.random() < 0.5 else dice.uniform(0, 30)) for _ in range(many)]
        plans.append((number % processes, dice.randrange(len(scenario.configs)), bursts))
    events = [
        (process, config, [_caller(dice, at=at, **options) for at in bursts]) for process, config, bursts in plans
    ]

    def arrange(world):
        for process, config, comers in events:
            client = world.add_client(world.processes[process], scenario.configs[config])
            for come in comers:
                come(world, client)

    scenario.plan.append(arrange)


def _one_window(dice, scenario, processes=1):
    poll = dice.choice((0.25, 1.0)) if processes > 1 else None

    def arrange(world):
        store = world.add_store(poll)
        for _ in range(processes):
            world.add_process(store)

    scenario.plan.append(arrange)


def _others(dice, scenario):
    """Let another user of the key make calls: evenly, in bursts, or both."""
    rate = dice.choice((1, 3, 10)) if scenario.rules.limit > 5 else 1
    events = []
    if dice.random() < 0.7:
        at = dice.uniform(0, 60)
        while at < 400:
            events.append(at)
            at += dice.expovariate(rate / 60)
    for _ in range(dice.randint(0, 2)):
        events += [dice.uniform(0, 300)] * dice.randint(1, scenario.rules.limit)

    def arrange(world):
        for at in events:
            world.clock.after(at, lambda: world.service.count(world.clock.now))

    scenario.plan.append(arrange)


def _changes_of_mind(dice, scenario, share):
    """Let callers withdraw, and clients close while calls are in flight."""
    numbers = [(dice.random(), dice.uniform(0, 1.5 * SPAN), dice.random() < 0.5, dice.random()) for _ in range(60)]

    def arrange(world):
        for record, (die, at, abandon, near) in zip(world.calls, numbers, strict=False):
            if die < share:
                delay = at if near < 0.5 else near * 8
                world.clock.after(delay, lambda r=record, a=abandon: world.withdraw(r, abandon=a))
        for client, (die, at, _, near) in zip(world.clients, reversed(numbers), strict=False):
            if die < share:
                world.clock.after(at if near < 0.5 else near * 8, lambda c=client: world.close(c))

    scenario.plan.append(arrange)


def _guilty(dice, scenario, share):
    """Let some texts be at fault."""
    seed = dice.random()

    def arrange(world):
        random = Random(seed)
        texts = [text for record in world.calls for text in record.texts]
        scenario.rules.guilty = {text for text in texts if random.random() < share}
        scenario.rules.unusable = {text for text in texts if random.random() < share / 4}

    scenario.plan.append(arrange)


def _limit(dice):
    return dice.choice((3, 5, 10, 30, 100))


# Families.


def _calm(seed, family, dice):
    """One job, alone, on a quiet network: nothing may be refused, and it takes the shortest possible time."""
    uplink, answer = dice.uniform(0.02, 0.3), dice.uniform(0.05, 0.8)
    config = _config(dice, "m0", requests_per_minute=None, max_concurrency=dice.choice((2, 4, 8)))
    limit = dice.choice((3, 5, 10, 20, 60))
    batches = dice.randint(1, min(4 * limit, 90))
    texts = max(1, batches * config.batch_size - dice.randrange(config.batch_size))
    conditions = NetworkConditions((uplink, uplink), (answer, answer), (0.0, 0.0), threads=0.002)
    scenario = Scenario(seed, family, Rules(limit), conditions, [config], never_refused=True)
    scenario.longest_job = 1.05 * optimum(texts, config, limit, uplink + answer) + uplink + answer + STARTUP
    _one_window(dice, scenario)
    calls = dice.choice((1, 1, 3))
    counts = [texts // calls + (i < texts % calls) for i in range(calls)]

    def arrange(world):
        client = world.add_client(world.processes[0], config)
        for count in filter(None, counts):
            world.submit(world.add_call(client, _sizes(dice, count)))

    scenario.plan.append(arrange)
    return scenario


def optimum(texts, config, limit, round_trip):
    """Return the shortest possible time in which all texts can be sent.

    Request k can start when request k - limit arrived 60 s ago, and when one of the connections for documents is free.
    """
    requests = math.ceil(texts / config.batch_size)
    places = max(1, config.max_concurrency - 1)
    starts = []
    for k in range(requests):
        window = starts[k - limit] + PERIOD if k >= limit else 0.0
        connection = starts[k - places] + round_trip if k >= places else 0.0
        starts.append(max(window, connection, 0.0))
    return starts[-1] + round_trip


def _scarce(seed, family, dice):
    """A low limit, several clients, queries among documents."""
    scenario = Scenario(seed, family, Rules(dice.choice((3, 4, 5, 10))), _conditions(dice), never_refused=True)
    scenario.configs = [_config(dice, f"m{i}", batch_size=dice.choice((8, 16, 64))) for i in range(dice.randint(1, 2))]
    _one_window(dice, scenario)
    hurried = dice.random() < 0.5
    _callers(dice, scenario, max_wait=0.7 if hurried else 0.2, cache=0.6 if hurried else 0.1)
    return scenario


def _unlimited(seed, family, dice):
    """No limit: queries travel alone, documents are divided among the connections."""
    scenario = Scenario(seed, family, Rules(None), _conditions(dice), never_refused=True)
    scenario.configs = [_config(dice, f"m{i}", requests_per_minute=None) for i in range(dice.randint(1, 3))]
    _one_window(dice, scenario)
    _callers(dice, scenario, texts=(5, 100, 600))
    return scenario


def _faults(seed, family, dice):
    """The network and the service fail in every way."""
    rules = Rules(dice.choice((None, 5, 10, 30)), max_inputs=dice.choice((2048, 2048, 10)))
    rules.max_tokens = dice.choice((300_000, 300_000, 300))
    rules.names_numbers = dice.random() < 0.5
    rules.float_only = dice.random() < 0.2
    if dice.random() < 0.2:
        start = dice.uniform(0, SPAN)
        rules.key_errors = [(1000 + start, 1000 + start + dice.uniform(0, 30), dice.choice((401, 402)))]
    conditions = _conditions(dice, 0.1, 0.3, 0.6)
    scenario = Scenario(seed, family, rules, conditions, never_refused=True)
    scenario.configs = [_config(dice, f"m{i}") for i in range(dice.randint(1, 2))]
    _one_window(dice, scenario)
    _callers(dice, scenario)
    if dice.random() < 0.15:
        _store_failures(dice, scenario)
    return scenario


def _store_failures(dice, scenario):
    """Make the store unavailable for a while."""
    scenario.store_failures, scenario.never_refused = True, False
    start, seconds = dice.uniform(0, SPAN), dice.uniform(0, 20)

    def arrange(world):
        world.clock.after(start, lambda: setattr(world.stores[0], "is_down", True))
        world.clock.after(start + seconds, lambda: setattr(world.stores[0], "is_down", False))

    scenario.plan.append(arrange)


def _refusals(seed, family, dice):
    """One job whose request itself is refused in unknown words, or with one text at fault: the search is cheap."""
    batch = dice.choice((2, 3, 4, 5, 6, 7, 8, 16, 31, 64, 256))
    config = _config(dice, "m0", batch_size=batch, requests_per_minute=None)
    count = dice.randint(2, batch) if dice.random() < 0.7 else batch
    rules = Rules(dice.choice((None, 5, 30)), headers=dice.choice(("all", "none", "good")))
    scenario = Scenario(seed, family, rules, NetworkConditions(), [config])
    scenario.never_refused = rules.limit is None
    places = max(1, config.max_concurrency - 1)
    _one_window(dice, scenario)
    whole, is_proven, calls = dice.random() < 0.5, dice.random() < 0.4, dice.choice((1, 1, 2, 3))
    words, guilt, position = UNKNOWN_WORDS[dice.randrange(3)], dice.choice(("unknown", "text")), dice.randrange(count)
    # Without a limit a large job is divided: as many refusals can come at once as there are connections.
    at_once = 0 if rules.limit is not None and not is_proven else places - 1
    if rules.headers != "none" and rules.limit is not None:
        at_once = 0
    scenario.max_requests = is_proven + at_once + (_cost_of_request(count) if whole else _cost_of_text(count))
    if not whole and (
        rules.limit is None or rules.headers != "all"
    ):  # requests are not scarce: the others are divided over the connections
        scenario.max_requests += places + math.ceil(count / 64)
    later = count if whole and count > 2 and dice.random() < 0.5 else 0
    scenario.max_requests += bool(later)  # the refusal is known: it costs one more request

    def begin(world):
        if whole:
            rules.refused_models["m0"] = words
            world.refused.add("m0")
        else:
            rules.guilt = guilt
        client = world.clients[0]
        counts = [count // calls + (i < count % calls) for i in range(calls)]
        records = [world.add_call(client, _sizes(dice, number)) for number in filter(None, counts)]
        if not whole:
            rules.guilty = {[text for record in records for text in record.texts][position]}
        for record in records:
            world.submit(record)
        if later:
            world.expect(1)
            world.clock.after(200.0, lambda: (world.expect(-1), world.submit(world.add_call(client, [8] * later))))

    def arrange(world):
        client = world.add_client(world.processes[0], config)
        if is_proven:
            world.expect(1)
            world.submit(world.add_call(client, [8]))
            world.clock.after(2.0, lambda: (world.expect(-1), begin(world)))
        else:
            begin(world)

    scenario.plan.append(arrange)
    return scenario


def _cost_of_request(texts):
    return max(3, math.floor(2 * math.log2(texts)))


def _cost_of_text(texts):
    """Count the request itself, and the search for one of its texts."""
    return 1 + math.ceil(math.log2(texts)) + 3


def _guilty_company(seed, family, dice):
    """Texts at fault among those of others."""
    rules = Rules(dice.choice((None, 10, 30)), guilt=dice.choice(("named", "text", "unknown")))
    scenario = Scenario(seed, family, rules, _conditions(dice, 0.0, 0.0, 0.1), never_refused=True)
    scenario.configs = [_config(dice, f"m{i}", batch_size=dice.choice((4, 16, 64))) for i in range(dice.randint(1, 2))]
    if dice.random() < 0.2:
        rules.refused_models = {"m0": dice.choice((*UNKNOWN_WORDS, KNOWN_WORDS))}
    _one_window(dice, scenario)
    _callers(dice, scenario, max_wait=0.1, texts=(1, 5, 20, 40))
    _guilty(dice, scenario, dice.choice((0.01, 0.05, 0.3)))
    if dice.random() < 0.3:
        _changes_of_mind(dice, scenario, 0.3)
    return scenario


def _foreign(seed, family, dice):
    """Others use the same key, evenly and in bursts."""
    rules = Rules(_limit(dice), headers=dice.choice(("all", "all", "none", "good", "some")))
    scenario = Scenario(seed, family, rules, _conditions(dice))
    scenario.configs = [_config(dice, "m0", batch_size=dice.choice((16, 64)))]
    _one_window(dice, scenario)
    _callers(dice, scenario)
    _others(dice, scenario)
    return scenario


def _timer(seed, family, dice):
    """A job of some windows beside a program that asks at even intervals, give or take a fifth."""
    limit, share = dice.choice((15, 20, 30, 60, 100)), dice.choice((0.2, 0.3, 0.4))
    uplink, answer = dice.uniform(0.02, 0.1), dice.choice((0.2, 0.6, 2.0))
    conditions = NetworkConditions((uplink, uplink), (answer, answer), (0.0, 0.0), threads=0.002)
    config = _config(dice, "m0", batch_size=16, requests_per_minute=None, max_concurrency=8)
    scenario = Scenario(seed, family, Rules(limit), conditions, [config], never_refused=True)
    _one_window(dice, scenario)
    every, windows, before = PERIOD / (share * limit), dice.uniform(1.1, 4.0), 2 * PERIOD
    texts = round(windows * limit * (1 - share)) * config.batch_size
    times = [dice.uniform(0.0, every)]
    while times[-1] < before + 10 * PERIOD:
        times.append(times[-1] + dice.uniform(0.8, 1.2) * every)
    scenario.longest_job = before + (windows + 1.0) * (PERIOD + uplink + answer) / 0.8

    def arrange(world):
        client = world.add_client(world.processes[0], config)
        record = world.add_call(client, [8] * texts)
        world.clock.after(before, lambda: world.submit(record))
        for at in times:
            world.clock.after(at, lambda: record.ended_at is None and world.service.count(world.clock.now))

    scenario.plan.append(arrange)
    return scenario


def _processes(seed, family, dice):
    """Several processes share a window; some are killed, and others take over."""
    rules = Rules(_limit(dice), guilt="named")
    scenario = Scenario(seed, family, rules, _conditions(dice, 0.0, 0.1), never_refused=True)
    scenario.configs = [_config(dice, f"m{i}", batch_size=dice.choice((16, 64))) for i in range(dice.randint(1, 2))]
    processes = dice.randint(2, 4)
    _one_window(dice, scenario, processes)
    _callers(dice, scenario, processes=processes, clients=processes + dice.randint(0, 2), texts=(1, 10, 60))
    if dice.random() < 0.5:
        _restart(dice, scenario)
    return scenario


def _restart(dice, scenario):
    """Kill a process; another one takes over its work, with the same window."""
    at, delay, sizes = dice.uniform(0, SPAN), dice.uniform(0, 20), _sizes(dice, dice.choice((1, 20, 60)))

    def begin_again(world):
        client = world.add_client(world.add_process(world.stores[0]), scenario.configs[0])
        world.expect(-1)
        world.submit(world.add_call(client, sizes))

    def arrange(world):
        world.expect(1)
        world.clock.after(at, lambda: world.kill(world.processes[0]))
        world.clock.after(at + delay, lambda: begin_again(world))

    scenario.plan.append(arrange)


def _closing(seed, family, dice):
    """Callers give up and clients close at any time; the same configuration is used again later."""
    rules = Rules(dice.choice((None, 3, 10, 30)), guilt=dice.choice(("named", "unknown", "text")))
    scenario = Scenario(seed, family, rules, _conditions(dice, 0.0, 0.2, 0.5), never_refused=True)
    scenario.configs = [_config(dice, f"m{i}", batch_size=dice.choice((4, 16))) for i in range(dice.randint(1, 3))]
    _one_window(dice, scenario)
    _callers(dice, scenario, clients=dice.randint(2, 6), cache=0.3)
    if dice.random() < 0.5:
        _guilty(dice, scenario, 0.05)
    _changes_of_mind(dice, scenario, dice.choice((0.3, 0.7)))
    return scenario


def _everything(seed, family, dice):
    """All kinds of trouble at once."""
    rules = Rules(
        dice.choice((None, 5, 10, 30)),
        headers=dice.choice(("all", "some")),
        guilt=dice.choice(("named", "unknown", "text")),
        max_inputs=dice.choice((2048, 12)),
        max_tokens=dice.choice((300_000, 400)),
        names_numbers=dice.random() < 0.5,
    )
    scenario = Scenario(seed, family, rules, _conditions(dice, 0.05, 0.2))
    scenario.configs = [_config(dice, f"m{i}") for i in range(dice.randint(1, 3))]
    processes = dice.choice((1, 1, 2))
    _one_window(dice, scenario, processes)
    _callers(dice, scenario, processes=processes, clients=dice.randint(2, 5))
    _guilty(dice, scenario, 0.02)
    _changes_of_mind(dice, scenario, 0.2)
    if rules.limit is not None:
        _others(dice, scenario)
    return scenario


def _beside(seed, family, dice):
    """Searches and chat calls beside an ingestion of several windows, in one process or in another one."""
    limit, processes = dice.choice((5, 10, 20, 30, 60, 100)), dice.choice((1, 1, 2))
    uplink, answer = dice.uniform(0.02, 0.3), dice.uniform(0.05, 0.8)
    conditions = NetworkConditions((uplink, uplink), (answer, answer), (0.0, 0.0), threads=0.002)
    config = _config(dice, "m0", batch_size=16, requests_per_minute=None, max_concurrency=8)
    scenario = Scenario(seed, family, Rules(limit), conditions, [config], never_refused=True)
    _one_window(dice, scenario, processes)
    windows = dice.choice((3, 5))
    texts, span = windows * limit * config.batch_size, windows * PERIOD
    first = dice.choice((0.0, 10.0))  # the ingestion begins with a search, or its burst is over when one comes
    at, searches = first, []
    while at < span:
        searches.append(at)
        at += dice.choice((0.0, 0.0, 2.0)) if dice.random() < 0.2 else dice.expovariate(1 / 6)
    chats = []
    at = dice.uniform(0.0, 20.0)
    while at < span and span > 3 * PERIOD and dice.random() < 0.98:
        chats.append(at)
        at += dice.expovariate(limit / (4 * PERIOD))
    scenario.slot_spacing = (PERIOD + uplink + answer) / limit
    # One gap of each minute is longer than the others, by the time that a request takes: a slot is held as long.
    scenario.longest_search = scenario.slot_spacing + uplink + answer + STARTUP
    scenario.longest_search += 1.0 if processes > 1 or chats else 0.0
    scenario.spread_from = 2 * PERIOD + 10.0
    texts_of_others = (len(searches) if processes == 1 else 0) + config.batch_size  # queries ride with documents
    texts_of_others += config.batch_size * (len(chats) + (len(searches) if processes > 1 else 0))
    whole = optimum(texts + texts_of_others, config, limit, uplink + answer)
    scenario.longest_job = whole / 0.98 + PERIOD + STARTUP

    def arrange(world):
        ingestion = world.add_client(world.processes[0], config)
        search = world.add_client(world.processes[-1], config)
        world.submit(world.add_call(ingestion, [8] * texts))
        for when in searches:
            record = world.add_call(search, [8], is_query=True)
            world.clock.after(when, lambda record=record: world.submit(record))
        for when in chats:
            world.clock.after(when, world.add_chat(world.processes[0]).submit)

    scenario.plan.append(arrange)
    return scenario


def _few(seed, family, dice):
    """Queries and documents of one request each, fewer than there are slots: nothing is held up, so nothing waits."""
    limit, processes = dice.choice((5, 10, 20, 60)), dice.choice((1, 1, 2))
    conditions = NetworkConditions((0.05, 0.1), (0.05, 0.2), (0.0, 0.0), threads=0.002)
    config = _config(dice, "m0", batch_size=16, requests_per_minute=None, max_concurrency=8)
    scenario = Scenario(seed, family, Rules(limit), conditions, [config], never_refused=True)
    _one_window(dice, scenario, processes)
    scenario.longest_wait = STARTUP + 0.02 * PERIOD / limit
    times = [0.0, *sorted(2.0 + dice.uniform(0.0, SPAN) for _ in range(limit - 2))]  # the first finds out the limit
    calls = [(at, dice.randrange(processes), dice.random() < 0.5) for at in times]

    def arrange(world):
        clients = [world.add_client(process, config) for process in world.processes]
        for at, process, is_query in calls:
            record = world.add_call(clients[process], [8] * (1 if is_query else 16), is_query=is_query)
            world.clock.after(at, lambda record=record: world.submit(record))

    scenario.plan.append(arrange)
    return scenario


def _drift(seed, family, dice):
    """Caches whose model has been replaced, or not; the text that tells may be refused, or have no usable vector."""
    rules = Rules(
        dice.choice((None, 5, 10, 30)),
        guilt=dice.choice(("named", "unknown", "text")),
        max_inputs=dice.choice((2048, 2048, 6)),
        max_tokens=dice.choice((300_000, 300_000, 300)),
        names_numbers=dice.random() < 0.5,
        version=dice.choice((1, 2)),
    )
    scenario = Scenario(seed, family, rules, _conditions(dice, 0.0, 0.2), has_guards=True)
    scenario.configs = [_config(dice, f"m{i}") for i in range(dice.randint(1, 2))]
    _one_window(dice, scenario)
    _callers(dice, scenario, clients=dice.randint(1, 4), cache=1.0)
    if dice.random() < 0.4:
        _guilty(dice, scenario, 0.02)
    trouble, share = dice.choice(("none", "none", "guilty", "unusable")), dice.random()

    def arrange(world):
        if trouble != "none":
            getattr(world.scenario.rules, trouble).add(REFERENCE_TEXT)

    scenario.plan.append(arrange)
    if share < 0.3:
        _changes_of_mind(dice, scenario, 0.2)
    return scenario


FAMILIES = {
    "calm": _calm,
    "scarce": _scarce,
    "unlimited": _unlimited,
    "faults": _faults,
    "refusals": _refusals,
    "guilty company": _guilty_company,
    "foreign": _foreign,
    "processes": _processes,
    "closing": _closing,
    "everything": _everything,
    "beside": _beside,
    "few": _few,
    "drift": _drift,
    "timer": _timer,
}
