"""Estimates what embedding some texts would take: reads them once, looks into the cache, and asks the workers."""

from __future__ import annotations

import asyncio
import threading
from itertools import islice
from typing import TYPE_CHECKING

from electronhub_embeddings._codec.text_counter import TextCounter
from electronhub_embeddings._codec.text_preparation import refuse_other_kinds
from electronhub_embeddings._config.checks import check_price
from electronhub_embeddings.estimate import Estimate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from electronhub_embeddings._session.lifecycle import Lifecycle

CHUNK = 2048
"""Texts that are held at a time."""


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
    forecast = connection.forecast(counter.to_send)
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
