"""Names of other classes: what is said of them, and what the documents say."""

import inspect
import re

import pytest

from electronhub_embeddings import EmbeddingsClient
from electronhub_embeddings._config.foreign_names import (
    ADVICE,
    FOREIGN_NAMES,
    describe_foreign_name,
    refuse_foreign_names,
)
from electronhub_embeddings._config.options import DECLARED
from support.docs_pages import read, table_rows


class Thing:
    """A class with few arguments."""

    @refuse_foreign_names
    def __init__(self, model, *, batch_size=1):
        self.given = model, batch_size


def test_known_names_are_passed_on():
    """The constructor gets what it was called with, and its signature stays."""
    assert Thing("m").given == ("m", 1)
    assert Thing(model="m", batch_size=2).given == ("m", 2)
    assert list(inspect.signature(Thing).parameters) == ["model", "batch_size"]


def test_foreign_names_are_refused_all_at_once():
    """The error names each, and no value."""
    with pytest.raises(TypeError) as caught:
        Thing("m", request_timeout="canary", batchsize="canary")
    assert str(caught.value) == (
        "Thing has no argument request_timeout. Use timeout, the seconds of one attempt. "
        "Thing has no argument batchsize. Did you mean batch_size?"
    )


@pytest.mark.parametrize(
    ("name", "option"),
    [("batchsize", "batch_size"), ("max_retry", "max_retries"), ("apikey", "api_key"), ("baseurl", "base_url")],
)
def test_a_misspelt_name_is_recognised(name, option):
    """What differs in a letter or an underscore."""
    assert describe_foreign_name("Thing", name, DECLARED) == f"Thing has no argument {name}. Did you mean {option}?"


def test_any_other_name_leads_to_help():
    """There is always a next step."""
    assert describe_foreign_name("Thing", "x", DECLARED) == "Thing has no argument x. help(Thing) lists its arguments."


def test_each_name_has_one_advice():
    """No name is listed twice, and none is that of an argument that the client has."""
    names = [name for names in FOREIGN_NAMES for name in names]
    assert len(names) == len(ADVICE)
    assert set(names) & set(inspect.signature(EmbeddingsClient).parameters) == set()


@pytest.mark.parametrize("advice", FOREIGN_NAMES.values())
def test_advice_names_what_there_is(advice):
    """Whatever stands in backticks is an argument of the client or of its methods."""
    known = {*DECLARED, *inspect.signature(EmbeddingsClient.embed).parameters}
    assert set(re.findall(r"`(\w+)", advice)) <= known
    assert advice.endswith(".")


def test_the_documents_have_this_table():
    """docs/migration.md has one row for each advice; if this fails, put the table below into the page."""
    rows = [f"| {', '.join(f'`{name}`' for name in names)} | {advice} |" for names, advice in FOREIGN_NAMES.items()]
    page = read("migration.md").split("## Arguments by other names")[1].split("\n## ")[0]
    assert table_rows(page)[1:] == rows, "\n".join(rows)
