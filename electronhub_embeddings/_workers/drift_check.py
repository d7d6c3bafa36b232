"""Checks that the model behind a name is still the one that filled a cache.

The vector of the reference text is kept in each cache file under the same key as any other text. A guard belongs to a
file and a configuration: the clients of a process share it, whatever their keys, and so do their forked children.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from electronhub_embeddings._codec.reference_vector import MAX_DISTANCE, relative_distance
from electronhub_embeddings._scheduling.drift_guard import DriftGuard, ModelChange
from electronhub_embeddings.errors import CacheError, ModelChangedError

if TYPE_CHECKING:
    import numpy as np

    from electronhub_embeddings._scheduling.batch import Batch
    from electronhub_embeddings._scheduling.call import Attachment
    from electronhub_embeddings._storage.vector_cache import VectorCache

_guards: dict[tuple[str, bytes], DriftGuard] = {}


def guard_of(cache: VectorCache) -> DriftGuard:
    """Return the guard of a cache file and a configuration."""
    return _guards.setdefault(cache.identity, DriftGuard())  # atomic


def check_model(batch: Batch, vectors: np.ndarray) -> np.ndarray:
    """Split the reference text's vector off an answer, and compare it with the one in each cache of the batch."""
    calls = [part.call for part in batch.slices]
    caches = {call.guard: call.cache for call in calls if call.guard is not None}
    for guard, cache in caches.items():
        _compare(guard, cache, vectors[-1], batch.config.model)
    return vectors[:-1]


def uses_cache(client: Attachment, cache: VectorCache) -> bool:
    """Return whether a client's texts are looked up: not after a change, as long as the cache is the same.

    Raises:
        CacheError: The cache cannot be read.
        ModelChangedError: There was a change, and the client wants an error; nothing is sent.
    """
    if client.guard is None or (change := client.guard.change) is None:
        return True
    kept = cache.recall_reference()
    if kept is None or kept.tobytes() != change.kept:  # the file was deleted or replaced
        client.guard.reset()
        return True
    if client.raises_on_change:
        raise ModelChangedError(change.message)
    return False


def _compare(guard: DriftGuard, cache: VectorCache, received: np.ndarray, model: str) -> None:
    try:
        kept = cache.recall_reference()
    except CacheError as error:  # nothing is written unchecked
        cache.stop_writing(error)
        return
    if kept is None:
        cache.keep_reference(received)
    elif (distance := relative_distance(kept, received)) > MAX_DISTANCE:
        guard.report(ModelChange(_describe(cache, model, kept, received, distance), kept.tobytes()))
        return
    guard.confirm(time.monotonic())


def _describe(cache: VectorCache, model: str, kept: np.ndarray, received: np.ndarray, distance: float) -> str:
    if len(kept) == len(received):
        how = f"is {distance:.2g} away from the one in the cache, and {MAX_DISTANCE:g} would be noise"
    else:
        how = f"has {len(received)} dimensions, and {len(kept)} in the cache"
    return f"{model!r} is no longer the model that filled {cache.path}: the vector of a fixed text {how}."
