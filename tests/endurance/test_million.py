"""A million texts through a service that shuffles, drops and fails at random."""

import pytest
from faces import KINDS, right
from mischief import WAYS, mischief, persist

from electronhub_embeddings.emulator import Emulator


@pytest.mark.usefixtures("quick_retries")
def test_no_wrong_vector(full, report, closing):
    """Every text ends with its own vector, whichever way it went and whatever it met."""
    count, chunk = (1_000_000, 10_000) if full else (21_000, 1_000)
    wrong = failures = 0
    with Emulator(rpm=0, chance=mischief, seed=7, keep_bodies=False) as service:
        things = {name.partition(",")[0]: make(service, closing, name) for name in WAYS}
        for start in range(0, count, chunk):
            way = list(WAYS)[start // chunk % len(WAYS)]
            texts = [f"text {number}" for number in range(start, start + chunk)]
            thing = things[way.partition(",")[0]]
            rows, failed = persist(lambda some: WAYS[way](thing, some), texts)  # noqa: B023 - called at once
            failures += failed
            wrong += int((rows != right(service, texts, 8)).any(axis=1).sum())
        calls = service.calls
    report(f"{count:,} texts in {len(calls):,} requests, {failures} calls failed and went on: {wrong} wrong vectors")
    assert wrong == 0
    assert len(calls) > count / 500


def make(service, closing, way):
    """Make the object of a way to embed."""
    kind = KINDS[f"{way.partition(',')[0]} sync"]
    options = {"api_key": service.api_key, "base_url": service.base_url, "dimensions": 8, "batch_size": 500}
    return closing(kind.cls(**options))
