"""What holds in every test of the scheduler."""

import pytest


@pytest.fixture(autouse=True)
def _no_hidden_bug(caplog):
    """Fail a test if a bug in the handling of a failure was hidden: it is logged, and its batch fails as a whole."""
    yield
    assert [record for record in caplog.get_records("call") if record.exc_info] == []
