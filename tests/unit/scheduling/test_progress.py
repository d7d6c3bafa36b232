"""The progress of a call: vectors, requests, forecasts and waits."""

from electronhub_embeddings._scheduling.progress import ExpectedEnd, ExpectedWait, Progress


def test_a_vector_ends_the_wait_for_the_limit_but_not_that_of_texts_that_failed():
    """The limit has let a request through; texts that are sent again still pause."""
    progress = Progress(8)
    progress.wait("rate limit", 30.0)
    progress.wait_to_retry("the service answered 503: attempt 2 of 7", 9.0)
    assert progress.limit == ExpectedWait("rate limit", 30.0)
    progress.advance(3)
    assert (progress.done, progress.limit) == (3, None)
    assert progress.retry == ExpectedWait("the service answered 503: attempt 2 of 7", 9.0)


def test_a_forecast_counts_the_requests_that_were_answered():
    """So that its sum stays true when the next one is answered."""
    progress = Progress(8)
    progress.requests = 2
    progress.foresee(3, 50.0, 20)
    assert progress.end == ExpectedEnd(5, 50.0, 20)
