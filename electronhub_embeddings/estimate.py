"""The estimate for a job, before anything of it is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from electronhub_embeddings._wording import counted, in_words, limit_in_words
from electronhub_embeddings.usage import PRICED_TOKENS

UNKNOWN = (
    "how long that takes is known after the first answer, which names the limit: embed one text, or set "
    "requests_per_minute"
)


@dataclass(frozen=True)
class Estimate:
    """What embedding some texts would take if it began now; `str()` of it is one sentence.

    Tokens are estimated from bytes, by what the service has charged this process for earlier texts of the same options,
    or before the first answer by what is usual for English. `requests` and `seconds` follow from them. What was learned
    is forgotten when the last client with these options is closed.

    `seconds` assumes that everything stays as it is: the limit, what others with the same key spend, and the searches
    of other programs.
    """

    texts: int
    """The texts, as many as were given."""
    distinct: int
    """The different ones among them; equal texts are sent once."""
    cached: int
    """Different texts whose vectors are in the cache; they are not sent."""
    tokens: int
    """Tokens of the texts to send, as expected."""
    tokens_range: tuple[int, int]
    """The fewest and the most tokens that are likely; before the first answer a wide range."""
    requests: int
    """Requests, without retries."""
    seconds: float | None
    """Seconds until the last vector; None: no limit is known yet."""
    requests_per_minute: int | None
    """Requests in a minute that are left to this key's programs that use this package; None: no limit is known."""
    limit_source: Literal["service", "guess", "option"] | None
    """Who says so: the service's headers, a guess after a refused request, or `requests_per_minute`."""
    left_to_others: int
    """Requests in a minute that are left to others with the same key, because they were seen to send some."""
    price: float | None
    """The price of a million tokens, as given or as the service names it; None: not known."""

    @property
    def sent(self) -> int:
        """The texts to send."""
        return self.distinct - self.cached

    @property
    def cost(self) -> float | None:
        """The cost of `tokens`, in the unit of the price; None: the price is not known."""
        return None if self.price is None else self.tokens * self.price / PRICED_TOKENS

    def __str__(self) -> str:
        parts = [self._texts()]
        if not self.sent:
            return f"{parts[0]}: nothing to send"
        parts += [f"about {round_off(self.tokens):,} tokens"]
        if self.cost is not None:
            parts.append(f"cost about {self.cost:.2g} at {self.price:g} a million tokens")
        parts.append(counted(self.requests, "request"))
        if self.seconds is None:
            return f"{', '.join(parts)}; {UNKNOWN}"
        limit = limit_in_words(self.requests_per_minute, self.limit_source, self.left_to_others)
        return f"{', '.join(parts)}, about {in_words(self.seconds)} ({limit})"

    def _texts(self) -> str:
        details: list[str] = []
        if self.distinct < self.texts:
            details.append(f"{self.distinct:,} distinct")
        if self.cached:
            details.append(f"{self.cached:,} from the cache")
        return counted(self.texts, "text") + (f" ({', '.join(details)})" if details else "")


def round_off(number: int) -> int:
    """Round to two digits: an estimate has no more."""
    return int(float(f"{number:.2g}"))
