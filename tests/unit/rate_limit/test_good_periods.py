"""Good periods: counted from answer to answer, and more of them required after each failure."""

import pytest

from electronhub_embeddings._rate_limit.good_periods import GoodPeriods, required


def test_periods_are_counted_from_answer_to_answer():
    """A period ends with the first good answer at least one period after its start; a gap counts as one."""
    good = GoodPeriods()
    assert [good.note(now, 1.0) for now in (0.0, 0.9, 1.0, 1.5, 2.0, 1000.0, 1000.5)] == [
        *(False, False, True, False, True, True, False)
    ]
    assert good.count == 3
    good.restart()
    assert (good.count, good.note(2000.0, 1.0)) == (0, False)


@pytest.mark.parametrize(("failures", "periods"), [(0, 30), (1, 60), (5, 960), (6, 1440), (10**6, 1440)])
def test_each_failure_doubles_the_wait(failures, periods):
    """The wait is limited to a day."""
    assert required(30, failures) == periods
