"""A million texts through a service that shuffles, drops and fails at random."""

import pytest

from electronhub_embeddings.emulator import Emulator
from support.entry_points import ENTRY_POINTS, expected_vectors
from support.random_faults import EMBED_METHODS, embed_until_complete, random_fault


@pytest.mark.slow
@pytest.mark.usefixtures("quick_retries")
def test_no_wrong_vector(full, report, closing):
    """Every text gets its own vector, through every method and in spite of all faults."""
    count, chunk = (1_000_000, 10_000) if full else (21_000, 1_000)
    wrong = failures = 0
    with Emulator(rpm=0, chance=random_fault, seed=7, keep_bodies=False) as service:
        things = {name.partition(",")[0]: make(service, closing, name) for name in EMBED_METHODS}
        for start in range(0, count, chunk):
            way = list(EMBED_METHODS)[start // chunk % len(EMBED_METHODS)]
            texts = [f"text {number}" for number in range(start, start + chunk)]
            thing = things[way.partition(",")[0]]
            rows, failed = embed_until_complete(lambda some: EMBED_METHODS[way](thing, some), texts)  # noqa: B023 - called at once
            failures += failed
            wrong += int((rows != expected_vectors(service, texts, 8)).any(axis=1).sum())
        calls = service.calls
    report(f"{count:,} texts in {len(calls):,} requests, {failures} calls failed and went on: {wrong} wrong vectors")
    assert wrong == 0
    assert len(calls) > count / 500


def make(service, closing, way):
    """Return the object for a method."""
    kind = ENTRY_POINTS[f"{way.partition(',')[0]} sync"]
    options = {"api_key": service.api_key, "base_url": service.base_url, "dimensions": 8, "batch_size": 500}
    return closing(kind.cls(**options))
