"""Estimates what embedding some texts would take: reads them once, looks into the cache, and asks the workers."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from electronhub_embeddings._codec.text_checks import refuse_other_kinds
from electronhub_embeddings._codec.text_counter import TextCounter
from electronhub_embeddings._config.checks import check_price
from electronhub_embeddings._rate_limit.wording import counted, in_words, limit_in_words
from electronhub_embeddings.usage import PRICED_TOKENS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from electronhub_embeddings._rate_limit.outlook import LimitSource
    from electronhub_embeddings._session.lifecycle import Lifecycle

CHUNK = 2048
"""Texts that are held at a time."""

UNKNOWN = (
    "how long that takes is known after the first answer, which names the limit: embed one text, or set "
    "requests_per_minute"
)


@dataclass(frozen=True)
class Estimate:
    """What embedding some texts would take if it began now; `str()` of it is one sentence.

    Tokens are estimated from where letters, digits, signs and spaces meet, and corrected by what the service has
    charged this process for earlier texts of the same options. `requests` and `seconds` follow from them. What was
    learned is forgotten when the last client with these options is closed.

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
    limit_source: LimitSource | None
    """Who says so: the service's headers, a guess after a refused request, or `requests_per_minute`."""
    left_to_others: int
    """Requests in a minute that are left to others with the same key, because they were seen to send some."""
    price: float | None
    """The price of a million tokens, as given or as the service names it; None: not known."""

    @property
    def to_send(self) -> int:
        """The texts to send."""
        return self.distinct - self.cached

    @property
    def cost(self) -> float | None:
        """The cost of `tokens`, in the unit of the price; None: the price is not known."""
        return None if self.price is None else self.tokens * self.price / PRICED_TOKENS

    def __str__(self) -> str:
        parts = [self._texts()]
        if not self.to_send:
            return f"{parts[0]}: nothing to send"
        parts += [f"about {_round_off(self.tokens):,} tokens"]
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


def estimate(
    lifecycle: Lifecycle, texts: Iterable[str], *, price: float | None = None, with_prices: bool = False
) -> Estimate:
    """Estimate what embedding texts as documents would take; the calling thread reads the cache and waits.

    Args:
        lifecycle: The client's.
        texts: Read once.
        price: The price of a million tokens; None: not known.
        with_prices: Whether to ask the service for the price if none is given.

    Raises:
        ValueError: The price is no number of 0 or more.
        InputError: As in `embed`.
        ElectronHubError: The client is closed, the cache or the rate limiter's store cannot be read, or the service has
            not told its prices.
    """
    price, counter = _begin(lifecycle, texts, price)
    for chunk in _chunks(texts):
        counter.add(chunk)
    return _finish(lifecycle, counter, price, with_prices=with_prices)


async def aestimate(
    lifecycle: Lifecycle, texts: Iterable[str], *, price: float | None = None, with_prices: bool = False
) -> Estimate:
    """Estimate without blocking the event loop, in which only `texts` is read; otherwise the same as `estimate`."""
    price, counter = _begin(lifecycle, texts, price)
    for chunk in _chunks(texts):
        await asyncio.to_thread(counter.add, chunk)
    is_given_up = threading.Event()  # else the thread would wait for the price, and its event loop for the thread
    try:
        return await asyncio.to_thread(
            _finish, lifecycle, counter, price, with_prices=with_prices, is_given_up=is_given_up.is_set
        )
    except asyncio.CancelledError:
        is_given_up.set()
        raise


def _begin(lifecycle: Lifecycle, texts: Iterable[str], price: float | None) -> tuple[float | None, TextCounter]:
    lifecycle.check_open()
    refuse_other_kinds(texts)
    cache = lifecycle.connection().cache_in_use
    recall = None if cache is None else cache.count_known
    return check_price("price", price), TextCounter(lifecycle.options.document_prefix, recall)


def _chunks(texts: Iterable[str]) -> Iterator[list[str]]:
    source = iter(texts)
    while chunk := list(islice(source, CHUNK)):
        yield chunk


def _finish(
    lifecycle: Lifecycle,
    counter: TextCounter,
    price: float | None,
    *,
    with_prices: bool,
    is_given_up: Callable[[], bool] = lambda: False,
) -> Estimate:
    connection = lifecycle.connection()
    if price is None and with_prices:
        price = connection.price(is_given_up)
    forecast = connection.forecast(counter.to_send, counter.weight)
    tokens, fewest, most = forecast.tokens
    return Estimate(
        texts=counter.texts,
        distinct=counter.distinct,
        cached=counter.cached,
        tokens=tokens,
        tokens_range=(fewest, most),
        requests=forecast.requests,
        seconds=forecast.seconds if forecast.requests else 0.0,
        requests_per_minute=forecast.requests_per_minute,
        limit_source=forecast.source,
        left_to_others=forecast.others,
        price=price,
    )


def _round_off(number: int) -> int:
    """Round to two digits: an estimate has no more."""
    return int(float(f"{number:.2g}"))
