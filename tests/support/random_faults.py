"""Random faults from a seed, and a caller that retries until it has all vectors."""

import asyncio

import numpy as np

from electronhub_embeddings import ElectronHubError
from electronhub_embeddings.emulator import faults

SHARE = 0.25
"""Share of the calls that get a fault."""

FAULTS = (
    faults.shuffled(1),
    faults.shuffled(2),
    faults.without_usage(),
    faults.delay(0.02),
    faults.trickle(0.02),
    faults.stall(0.02),
    faults.short(),
    faults.extra(),
    faults.duplicate_index(),
    faults.missing_index(),
    faults.negative_index(),
    faults.not_a_number(),
    faults.infinite(),
    faults.null(),
    faults.wrong_dimension(),
    faults.odd_base64(),
    faults.invalid_base64(),
    faults.nonsense(),
    faults.truncate(),
    faults.drop(),
    faults.reset(),
    faults.error_with_200(),
    faults.error(400),
    faults.error(402),
    faults.error(500),
    faults.wrapped_error(502),
    faults.html(503),
    faults.empty(504),
    faults.text(529),
    faults.text(500, "no " * 1_000_000),
)


def random_fault(rng):
    """Return a fault for a call, or None."""
    return rng.choice(FAULTS) if rng.random() < SHARE else None


def embed_until_complete(embed, texts):
    """Embed texts, continuing from the `.partial` of each error; return the vectors and the number of errors."""
    rows, left, failures = {}, list(range(len(texts))), 0
    while left:
        try:
            found = dict(enumerate(embed([texts[place] for place in left])))
        except ElectronHubError as error:
            found, failures = error.partial, failures + 1
        rows.update({left[place]: row for place, row in found.items()})
        left = [place for place in left if place not in rows]
    return np.array([rows[place] for place in range(len(texts))], np.float32), failures


def embed_streaming(client, texts):
    """Embed texts with `iter_embed`; vectors yielded before an error are added to its `.partial`."""
    rows = []
    try:
        rows.extend(client.iter_embed(texts))
    except ElectronHubError as error:
        error.partial = {**dict(enumerate(rows)), **error.partial}
        raise
    return rows


EMBED_METHODS = {
    "client": lambda client, texts: client.embed(texts),
    "client, stream": embed_streaming,
    "client, async": lambda client, texts: asyncio.run(client.aembed(texts)),
    "LangChain": lambda model, texts: model.embed_documents(texts),
    "LangChain, async": lambda model, texts: asyncio.run(model.aembed_documents(texts)),
    "LlamaIndex": lambda model, texts: model.get_text_embedding_batch(texts),
    "LlamaIndex, async": lambda model, texts: asyncio.run(model.aget_text_embedding_batch(texts)),
}
