"""The order of cache lookups."""

from electronhub_embeddings._scheduling.cache_lookups import CacheLookups
from support.scheduler_driver import make_call


def test_one_lookup_of_each_kind_at_a_time_and_queries_first():
    """A long lookup of documents does not delay a query."""
    lookups = CacheLookups()
    documents, query, more = make_call(), make_call(is_query=True), make_call(is_query=True)
    for call in (documents, query, more):
        lookups.add(call)
    assert [lookups.start_next() for _ in range(3)] == [query, documents, None]
    assert lookups.is_waiting
    lookups.end(documents)
    assert lookups.start_next() is None
    lookups.end(query)
    assert lookups.start_next() is more
    assert not lookups.is_waiting
    for call in (make_call(is_query=True), make_call(is_query=True)):
        lookups.add(call)
    lookups.end(more)
    assert lookups.start_next()
    assert lookups.start_next() is None


def test_only_a_call_that_waits_can_be_removed():
    """A lookup that has started ends by itself."""
    lookups = CacheLookups()
    first, second, query = make_call(), make_call(), make_call(is_query=True)
    for call in (first, second, query):
        lookups.add(call)
    assert lookups.calls() == [query, first, second]
    lookups.start_next()
    assert [lookups.remove(call) for call in (query, second, second)] == [False, True, False]
    assert lookups.calls() == [first]
