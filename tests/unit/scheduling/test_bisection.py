"""The search for the text at fault: one probe at a time, few requests, no text lost."""

import math

from hypothesis import given
from hypothesis import strategies as st

from electronhub_embeddings._scheduling.batch import count_texts
from electronhub_embeddings._scheduling.bisection import Bisection
from support.scheduler_driver import refusal, texts_of, whole_slice

UNKNOWN = refusal("Bad Request")


def begin(*slices, blames_text=False):
    """Return the search in a refused batch without the reference text."""
    return Bisection(list(slices), UNKNOWN, blames_text=blames_text, suspects_reference=False)


def search(slices, is_refused, *, blames_text=False):
    """Send the probes of a search to a service; return the findings and the number of probes."""
    bisection, probes = begin(*slices, blames_text=blames_text), 0
    everything = sorted(texts_of(slices))
    while True:
        probes += 1
        assert sorted(texts_of(bisection.slices)) == everything
        probe = bisection.probe
        assert probe
        refused = is_refused(texts_of(probe))
        findings = (
            bisection.probe_refused(probe, UNKNOWN) if refused else bisection.probe_accepted(beside_reference=False)
        )
        everything = sorted(set(everything) - (set() if refused else set(texts_of(probe))))
        if findings is not None:
            found = texts_of([part for part, _ in findings.guilty] + findings.innocent)
            assert sorted(found) == everything
            return findings, probes


@given(st.lists(st.integers(1, 60), min_size=1, max_size=5), st.data(), st.booleans())
def test_one_text_is_found_in_one_request_more_than_halvings(counts, data, blames_text):
    """One text among n is found with 1 + log2(n) probes; with one more if it is the first, when none was accepted."""
    slices = [whole_slice(count) for count in (*counts, 1)]
    guilty = data.draw(st.sampled_from(texts_of(slices)))
    findings, probes = search(slices, lambda sent: guilty in sent, blames_text=blames_text)
    assert texts_of([part for part, _ in findings.guilty]) == [guilty]
    is_first = guilty == texts_of(slices)[0]
    assert probes <= 1 + math.ceil(math.log2(count_texts(slices))) + (is_first and not blames_text)
    assert findings.request_refusal is None


def test_two_texts_at_fault_do_not_put_the_request_at_fault():
    """The first and the last text are refused alone in the same words; a third one is accepted."""
    part = whole_slice(64)
    first, *_, last = texts_of([part])
    findings, _ = search([part], lambda sent: first in sent or last in sent)
    assert sorted(texts_of([part for part, _ in findings.guilty])) == [first, last]
    assert findings.request_refusal is None


def test_a_request_at_fault_is_known_by_few_single_texts():
    """If everything is refused in the same words, n texts cost 2·log2(n) requests, including the first one."""
    for count in range(3, 130):
        findings, probes = search([whole_slice(count)], lambda _: True)
        assert findings.request_refusal is UNKNOWN, count
        assert (count_texts([part for part, _ in findings.guilty]), findings.innocent) == (count, [])
        assert 1 + probes <= 2 * math.log2(count), count


def test_two_texts_are_each_refused_alone():
    """Two texts cost three requests in total, and each has its own refusal."""
    findings, probes = search([whole_slice(2)], lambda _: True)
    assert (probes, len(findings.guilty), findings.request_refusal) == (2, 2, None)


def test_words_about_a_text_never_put_the_request_at_fault():
    """A service that says that a text is at fault is believed."""
    findings, _ = search([whole_slice(64)], lambda _: True, blames_text=True)
    assert (len(findings.guilty), findings.request_refusal) == (1, None)


def test_another_refusal_ends_the_search():
    """A single text that is refused in other words has its own fault."""
    bisection = begin(whole_slice(2))
    findings = bisection.probe_refused(bisection.probe, refusal("This text is in Klingon"))
    assert (count_texts([part for part, _ in findings.guilty]), count_texts(findings.innocent)) == (1, 1)


def test_batches_that_are_refused_meanwhile_wait_for_the_end():
    """Other refused batches may have the same fault, so they are not resent before the search ends."""
    bisection, other = begin(whole_slice(4)), whole_slice(8)
    bisection.add([other])
    probes = 0
    findings = None
    while findings is None:
        probes += 1
        findings = bisection.probe_refused(bisection.probe, UNKNOWN)
    assert count_texts([part for part, _ in findings.guilty]) == 12
    assert probes <= 4


def test_a_probe_that_fails_for_another_reason_ends_the_search_without_a_finding():
    """A time-out does not concern the texts: those outside the probe are requeued."""
    bisection = begin(whole_slice(8))
    findings = bisection.probe_failed()
    assert (findings.guilty, count_texts(findings.innocent)) == ([], 4)


def test_what_is_not_wanted_any_more_is_dropped():
    """Texts of a withdrawn call leave the search, and the probe in flight is unchanged."""
    gone, left = whole_slice(4), whole_slice(4)
    bisection = begin(left, gone)
    dropped = bisection.drop(lambda part: part.call is gone.call)
    assert (count_texts(dropped), bisection.probe) == (4, [left])
    assert bisection.probe_accepted(beside_reference=False).innocent == []
