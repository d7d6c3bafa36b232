"""Whatever `OpenAIEmbeddings` can be given is an argument here as well, or is refused with what to do instead."""

import pytest
from langchain_openai import OpenAIEmbeddings

from electronhub_embeddings._config.foreign_names import ADVICE
from electronhub_embeddings._config.options import DECLARED


@pytest.mark.parametrize("name", sorted(OpenAIEmbeddings.model_fields))
def test_each_argument_is_known(name):
    """By its name and by its alias."""
    alias = OpenAIEmbeddings.model_fields[name].alias
    assert {name, alias or name} <= {*DECLARED, *ADVICE}
