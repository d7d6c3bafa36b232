"""What a refusal of the whole request costs: one request where the words are known, few where they are not."""

import itertools
import math

import pytest

from electronhub_embeddings import BadRequestError, ElectronHubError
from electronhub_embeddings.emulator import faults

KNOWN = {
    "OpenAI, model": faults.error(400, "The model `x` does not exist or you do not have access to it.", param="model"),
    "OpenAI, dimensions": faults.error(400, "This model does not support specifying dimensions."),
    "OpenAI, parameter": faults.error(400, "Unrecognized request argument supplied: foo", param=None),
    "OpenAI, billing": faults.error(
        400, "Your account is not active, please check your billing details on our website."
    ),
    "OpenAI, region": faults.error(400, "Country, region, or territory not supported"),
    "Azure": faults.error(400, "The embeddings operation does not work with the specified model, gpt-4."),
    "LiteLLM": faults.error(400, "litellm.UnsupportedParamsError: dimensions is not supported for this model"),
    "LiteLLM, model": faults.error(
        400, "Invalid model name passed in model=x. Call `/v1/models` to view available models"
    ),
    "vLLM": faults.error(400, 'Model "x" does not support matryoshka representation, changing output dimensions.'),
    "Mistral": faults.error(400, "Invalid model: x", code="1500"),
    "Google, key": faults.error(400, "API key not valid. Please pass a valid API key."),
    "Google, region": faults.error(400, "User location is not supported for the API use."),
    "Voyage": faults.detail(400, "Model x is not supported. Supported models are ['voyage-3']."),
    "Voyage, key": faults.detail(400, "Provided API key is invalid."),
    "Cohere": faults.text(400, '{"message": "invalid request: model \'x\' not found"}'),
    "OpenRouter": faults.error(400, "x is not a valid model ID"),
    "FastAPI, field": faults.text(
        422, '{"detail": [{"loc": ["body", "dimensions"], "msg": "Input should be a valid integer", "type": "int"}]}'
    ),
    "FastAPI, model": faults.text(
        422, '{"detail": [{"loc": ["body", "model"], "msg": "Input should be \'a\'", "type": "literal_error"}]}'
    ),
}
UNKNOWN = {
    "odd": faults.error(400, "Something is odd."),
    "bare": faults.empty(400),
    "page": faults.html(422),
    "text": faults.text(422, "Unprocessable Entity"),
}
CONNECTIONS = 7
"""Requests with documents that are on the wire at once where no limit is known."""

REFUSALS = {**{name: (fault, 1) for name, fault in KNOWN.items()}, **{name: (it, None) for name, it in UNKNOWN.items()}}
SITUATIONS = list(itertools.product([512, 2000], [0, 1000], [True, False]))
"""Texts, the limit (0: the answers name none), and whether the client is new."""
IN_EVERY_SITUATION = {"OpenAI, model", "odd"}


def situations():
    """Pair one refusal with known words and one without with every situation, and the others with one each in turn."""
    for place, (name, refusal) in enumerate(REFUSALS.items()):
        for situation in SITUATIONS if name in IN_EVERY_SITUATION else [SITUATIONS[place % len(SITUATIONS)]]:
            yield pytest.param(*refusal, *situation, id=f"{name}, {situation}")


@pytest.mark.parametrize(("fault", "most", "count", "limit", "is_new"), list(situations()))
def test_a_refusal_of_the_whole_request(client, emulator, *, fault, most, count, limit, is_new):
    """It costs one request, or 2·log2(n), and once more at most one for the next call."""
    service = emulator(rpm=limit, chance=lambda _: fault)
    ours = client(service, dimensions=8)
    if not is_new:
        service.script(None)
        ours.embed_query("before")
    before = len(service.calls)
    with pytest.raises(ElectronHubError) as caught:
        ours.embed([f"text {number}" for number in range(count)])
    cost = len(service.calls) - before
    if most is None:
        assert cost <= 2 * math.log2(count)
        assert isinstance(caught.value, BadRequestError)
    else:
        assert cost <= (most if is_new or limit else CONNECTIONS)  # those that were on the wire already
    assert caught.value.index is None
    assert caught.value.partial == {}


@pytest.mark.parametrize("fault", UNKNOWN.values(), ids=UNKNOWN)
def test_the_next_call_costs_one_request(client, emulator, fault):
    """What has been found out once is not searched for again, until something is accepted."""
    service = emulator(rpm=1000, chance=lambda _: fault)
    ours = client(service, dimensions=8)
    texts = [f"text {number}" for number in range(64)]
    for _ in range(2):
        before = len(service.calls)
        with pytest.raises(BadRequestError):
            ours.embed(texts)
    assert len(service.calls) - before == 1


@pytest.mark.parametrize(
    ("position", "limit"), [(0, 0), (1, 1000), (700, 0), (1999, 1000)], ids=lambda value: f"{value:,}"
)
def test_one_text_that_is_refused_without_a_name(client, emulator, position, limit):
    """It is found, it alone fails, and all others get their vectors."""
    service = emulator(rpm=limit, refuse="bad".__eq__, names_offender=False)
    texts = [f"text {number}" for number in range(2000)]
    texts[position] = "bad"
    with pytest.raises(BadRequestError) as caught:
        client(service, dimensions=8).embed(texts)
    assert caught.value.index == position
    assert len(service.calls) <= 1 + math.ceil(math.log2(len(texts))) + 1  # the refusal, the search, all others at once
    assert position not in caught.value.partial
