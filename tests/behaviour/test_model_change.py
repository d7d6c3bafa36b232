"""Another model behind the same name is noticed in the first request, and none of its vectors is in the cache."""

import warnings

import numpy as np
import pytest

from electronhub_embeddings import ModelChangedError, ModelChangedWarning
from electronhub_embeddings._codec.reference_vector import REFERENCE_TEXT
from electronhub_embeddings._scheduling.drift_guard import CHECK_INTERVAL
from electronhub_embeddings._workers import drift_check
from electronhub_embeddings.emulator import faults
from support.cache_files import contents
from support.entry_points import expected_vectors, same

TEXTS = [f"text {number}" for number in range(6)]


@pytest.fixture
def an_hour_later():
    """Return a function that makes every check due again."""

    def pass_time():
        for guard in drift_check._guards.values():
            guard._next_check -= CHECK_INTERVAL

    return pass_time


def sent(service):
    """Return the inputs of each request."""
    return [call.body["input"] for call in service.calls]


def embed_without_warning(entry_point, thing, texts):
    """Embed texts; any warning is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", ModelChangedWarning)
        return entry_point.embed(thing, texts)


def test_the_reference_text_rides_along_once(entry_point, emulator, cache_path, an_hour_later):
    """It costs no request, is nobody's text, and is sent again after an hour; its vector is in the cache."""
    service = emulator(rpm=0)
    thing = entry_point.make(service, cache=cache_path)
    assert same(entry_point.embed(thing, TEXTS[:2]), expected_vectors(service, TEXTS[:2]))
    assert same(entry_point.query(entry_point.make(service, cache=cache_path), TEXTS[2]), service.vector(TEXTS[2]))
    an_hour_later()
    assert same(entry_point.query(thing, TEXTS[3]), service.vector(TEXTS[3]))
    assert sent(service) == [[*TEXTS[:2], REFERENCE_TEXT], [TEXTS[2]], [TEXTS[3], REFERENCE_TEXT]]
    assert (thing.usage.texts, thing.usage.requests) == (3, 2)
    assert thing.usage.total_tokens == service.calls[0].prompt_tokens + service.calls[2].prompt_tokens
    assert len(contents(cache_path)) == 5


@pytest.mark.parametrize("options", [{}, {"cache": "v.db", "on_model_change": "ignore"}], ids=["no cache", "off"])
def test_it_is_not_sent_if_nobody_looks(entry_point, emulator, tmp_path, monkeypatch, options):
    """Without a cache, or with "ignore", requests carry texts alone."""
    monkeypatch.chdir(tmp_path)
    service = emulator(rpm=0)
    entry_point.embed(entry_point.make(service, **options), TEXTS)
    assert sent(service) == [TEXTS]


def test_hits_alone_send_nothing(entry_point, emulator, cache_path, forget_checks):
    """The reference text never travels alone."""
    service = emulator(rpm=0)
    entry_point.embed(entry_point.make(service, cache=cache_path), TEXTS)
    forget_checks()
    embed_without_warning(entry_point, entry_point.make(service, cache=cache_path), TEXTS)
    assert len(service.calls) == 1


def test_a_warning_comes_with_vectors_of_the_new_model_alone(entry_point, emulator, cache_path, forget_checks):
    """The first request notices; what was found in the cache is sent as well, and the cache is left alone."""
    service = emulator(rpm=0)
    entry_point.embed(entry_point.make(service, cache=cache_path), TEXTS[:2])
    before = contents(cache_path)
    forget_checks()
    service.reset()
    service.model_version = 2
    thing = entry_point.make(service, cache=cache_path)
    for asked, requests in ((TEXTS[:4], 2), (TEXTS[:4], 1), (TEXTS[3:], 1)):
        service.reset()
        with pytest.warns(ModelChangedWarning, match="Name a new file in cache") as caught:
            rows = entry_point.embed(thing, asked)
        assert same(rows, expected_vectors(service, asked))
        assert len(service.calls) == requests
        assert [str(cache_path) in str(warning.message) for warning in caught] == [True]
    assert contents(cache_path) == before
    assert thing.usage.cache_hits == 0


def test_the_warning_names_the_line_of_the_caller(client, emulator, cache_path, forget_checks):
    """It is issued in the caller's thread, in its code, and a filter can turn it into an exception."""
    service = emulator(rpm=0)
    client(service, cache=cache_path).embed(TEXTS)
    forget_checks()
    service.model_version = 2
    ours = client(service, cache=cache_path)
    with pytest.warns(ModelChangedWarning) as caught:
        ours.embed(["new"])
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ModelChangedWarning):
            ours.embed(["new"])
        with pytest.raises(ModelChangedWarning):
            list(ours.iter_embed(["new"]))
    with pytest.warns(ModelChangedWarning):
        ours.embed(["new"])  # no worker was harmed


def test_an_error_comes_before_any_vector_of_the_new_model(entry_point, emulator, cache_path, forget_checks):
    """The first request notices, the call fails, and later calls fail without a request."""
    service = emulator(rpm=0)
    entry_point.embed(entry_point.make(service, cache=cache_path), TEXTS[:2])
    before = contents(cache_path)
    forget_checks()
    service.reset()
    service.model_version = 2
    thing = entry_point.make(service, cache=cache_path, on_model_change="raise", batch_size=3, max_concurrency=1)
    with pytest.raises(ModelChangedError, match=r"'text-embedding-3-small' .* 0\.2 ") as caught:
        entry_point.embed(thing, TEXTS)
    assert sent(service) == [[*TEXTS[2:4], REFERENCE_TEXT]]
    service.model_version = 1
    partial = caught.value.partial
    assert same([partial[place] for place in sorted(partial)], expected_vectors(service, TEXTS[:2]))
    for _ in range(2):
        with pytest.raises(ModelChangedError, match="Name a new file in cache"):
            entry_point.query(thing, "new")
    assert len(service.calls) == 1
    assert contents(cache_path) == before


@pytest.mark.parametrize("mode", ["warn", "raise"])
def test_requests_that_leave_together_are_all_checked(client, emulator, cache_path, forget_checks, mode):
    """Whichever of them is answered first, no vector of the new model is in the cache."""
    service = emulator(rpm=0)
    client(service, cache=cache_path).embed(["old"])
    before = contents(cache_path)
    forget_checks()
    service.reset()
    service.model_version = 2
    ours = client(service, cache=cache_path, on_model_change=mode)
    texts = [f"many {number}" for number in range(400)]
    with pytest.warns(ModelChangedWarning) if mode == "warn" else pytest.raises(ModelChangedError):
        assert same(ours.embed(texts), expected_vectors(service, texts))
    assert contents(cache_path) == before
    assert len(service.calls) > 1


def test_another_length_is_another_model(client, emulator, cache_path, forget_checks):
    """Vectors of another length are not compared, and are noticed."""
    service = emulator(rpm=0)
    client(service, cache=cache_path).embed(TEXTS)
    forget_checks()

    def shortened(answer):
        rows = [{**row, "embedding": row["embedding"][:40] + "AAA="} for row in answer["data"]]
        return {**answer, "data": rows}

    service.script(faults.edit(shortened))
    ours = client(service, cache=cache_path, on_model_change="raise", timeout=50)
    with pytest.raises(ModelChangedError, match="has 8 dimensions, and 1536 in the cache"):
        ours.embed(["new"])


def test_vectors_of_another_length_replace_those_of_the_cache(client, emulator, cache_path, forget_checks):
    """A call that had found some in the cache gets vectors of the new model alone, and a warning."""
    service = emulator(rpm=0)

    def shortened(answer):
        rows = [{**row, "embedding": row["embedding"][:40] + "AAA="} for row in answer["data"]]
        return {**answer, "data": rows}

    for as_lists in (False, True):
        with client(service, cache=cache_path) as before:  # closed: a process remembers the length
            before.embed(TEXTS[:3])
        forget_checks()
        service.script(faults.edit(shortened), faults.edit(shortened))
        with (
            client(service, cache=cache_path) as after,
            pytest.warns(ModelChangedWarning, match="has 8 dimensions, and 1536 in the cache"),
        ):
            rows = (after.embed_lists if as_lists else after.embed)(TEXTS)
        assert [len(row) for row in rows] == [8] * len(TEXTS)
        forget_checks()


def test_an_estimate_counts_what_would_be_sent(entry_point, emulator, cache_path, forget_checks):
    """The reference text takes a place, and after a change nothing comes from the cache."""
    service = emulator(rpm=0)
    thing = entry_point.make(service, cache=cache_path, batch_size=3)
    estimate = entry_point.estimate(thing, TEXTS[:3])
    entry_point.embed(thing, TEXTS[:3])
    assert estimate.requests == len(service.calls) == 2
    assert entry_point.estimate(thing, TEXTS).cached == 3
    service.model_version = 2
    forget_checks()
    late = entry_point.make(service, cache=cache_path, batch_size=3)
    with pytest.warns(ModelChangedWarning):
        entry_point.embed(late, TEXTS)
    assert entry_point.estimate(late, TEXTS).cached == 0
    strict = entry_point.make(service, cache=cache_path, on_model_change="raise")
    with pytest.raises(ModelChangedError):
        entry_point.estimate(strict, TEXTS)


@pytest.mark.parametrize("encoding_format", ["base64", "float"])
def test_rounding_is_no_other_model(client, emulator, cache_path, forget_checks, encoding_format):
    """Answers in float16, or in decimal text of six digits, raise no alarm, through the whole client."""
    service = emulator(rpm=0)
    client(service, cache=cache_path).embed(TEXTS)

    def half(answer):
        vectors = [service.vector(text) for text in (*asked, REFERENCE_TEXT)]
        return {**answer, "data": _rows(np.float16(vector).tolist() for vector in vectors)}

    def six_digits(answer):
        vectors = [service.vector(text) for text in (*asked, REFERENCE_TEXT)]
        return {**answer, "data": _rows([float(f"{number:.6g}") for number in vector.tolist()] for vector in vectors)}

    for rounding in (half, six_digits):
        forget_checks()
        asked = [rounding.__name__]
        service.script(faults.edit(rounding))
        ours = client(service, cache=cache_path, on_model_change="raise", encoding_format=encoding_format)
        assert np.allclose(ours.embed(asked), expected_vectors(service, asked), atol=1e-4)
    assert [call.texts for call in service.calls] == [7, 2, 2]


def _rows(vectors):
    return [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]


@pytest.mark.parametrize("names_offender", [True, False])
def test_a_service_that_refuses_it(entry_point, emulator, cache_path, names_offender):
    """All texts are embedded and kept all the same, and it is not sent again."""
    service = emulator(rpm=0, refuse=lambda text: "quick brown fox" in text, names_offender=names_offender)
    thing = entry_point.make(service, cache=cache_path)
    assert same(entry_point.embed(thing, TEXTS), expected_vectors(service, TEXTS))
    before = len(service.calls)
    assert same(entry_point.query(thing, "another"), service.vector("another"))
    assert sent(service)[before:] == [["another"]]


@pytest.mark.parametrize("names_offender", [True, False])
def test_a_refused_text_beside_it(entry_point, emulator, cache_path, names_offender):
    """The text at fault is named by its place, and its neighbours are checked, kept and in `.partial`."""
    service = emulator(rpm=0, refuse=lambda text: text == TEXTS[5], names_offender=names_offender)
    thing = entry_point.make(service, cache=cache_path)
    with pytest.raises(Exception, match="policy") as caught:
        entry_point.embed(thing, TEXTS)
    assert caught.value.index == 5
    assert sorted(caught.value.partial) == [0, 1, 2, 3, 4]
    assert len(contents(cache_path)) == 6
