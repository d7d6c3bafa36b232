"""What the application has to do: the same for all contenders, and drawn from a seed.

People may ask for one window. Then an ingestion begins, and for the next ten windows people go on asking beside it.
Times are scaled by the spacing, the seconds between two slots that are spread evenly over the window. So the load is
the same share of every limit: chat calls take an eighth, and searches a quarter if each is a request of its own.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

BATCH = 100
"""Texts of a full request: few, so that vectors take no time beside the waits."""
CHAT_EVERY = 8
"""Spacings between two chat calls, on average: 8 s at 60 a minute."""
BURST_EVERY = 16
"""Spacings between two bursts of searches, on average."""
BURST = (3, 5)
"""Searches that are asked at once, least and most."""
LEAD = 1
"""Windows for which people ask before the ingestion begins."""


@dataclass(frozen=True)
class Rules:
    """The rules of the service; a quick look shortens all of them alike."""

    window: float = 60.0
    cooldown: float = 180.0
    latency: float = 0.3
    jitter: float = 0.5
    windows: int = 10
    """Windows that the ingestion takes, at least."""

    @property
    def deadline(self) -> float:
        """Seconds from the start of the ingestion after which a run is stopped."""
        return 1.6 * self.windows * self.window + self.cooldown


@dataclass(frozen=True)
class Ask:
    """Somebody asks for something, and waits."""

    at: float
    """Seconds from the start of the run."""
    kind: str
    """`chat` or `search`."""
    text: str


def asks(limit: int, rules: Rules) -> list[Ask]:
    """Return what people ask for, in the order of time."""
    dice = random.Random(limit)
    spacing = rules.window / limit
    end = (LEAD + rules.windows) * rules.window
    found: list[Ask] = []
    at = 0.0
    while (at := at + spacing * CHAT_EVERY * dice.uniform(0.5, 1.5)) < end:
        found.append(Ask(at, "chat", f"chat {len(found)}: what does it mean?"))
    at = 0.0
    while (at := at + spacing * BURST_EVERY * dice.uniform(0.5, 1.5)) < end:
        for _ in range(dice.randint(*BURST)):
            found.append(Ask(at, "search", f"search {len(found)}: where is it written?"))
    return sorted(found, key=lambda ask: ask.at)


def documents(limit: int, rules: Rules) -> list[str]:
    """Return the texts of the ingestion: one more than full requests can carry in ten windows beside the chat calls.

    Ten windows hold ten times the limit, less the chat calls that were asked before the last of them began. So the last
    request of the ingestion cannot leave before all ten are over, whatever the order in which requests leave. Searches
    take nothing from that: they can travel in the requests of the ingestion.
    """
    begin, last = LEAD * rules.window, (LEAD + rules.windows - 1) * rules.window
    chats = sum(ask.kind == "chat" and begin <= ask.at < last for ask in asks(limit, rules))
    full = limit * rules.windows - chats
    return [f"Paragraph {i} of the manual." for i in range(BATCH * full + 1)]


def shortest(rules: Rules) -> float:
    """Return the seconds that the ingestion takes at least: ten windows, and the last answer."""
    return rules.windows * rules.window + rules.latency
