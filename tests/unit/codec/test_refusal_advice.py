"""What a refusal tells the caller to do, from the words of each vendor."""

import pytest

from electronhub_embeddings._codec.refusal_advice import find_next_step
from electronhub_embeddings.errors import BadRequestError

DEFAULT = "Change what the message names: the same request would be refused again."


def has(found, most, unit="tokens"):
    """Return the advice for a text whose length and bound are known."""
    return f"Split the text: it has {found} {unit}, and at most {most} are possible."


def bound(most, unit="tokens"):
    """Return the advice for a text whose bound is known."""
    return f"Split the text: at most {most} {unit} are possible."


ADVICE = [
    # OpenAI, vLLM
    ("maximum context length is 8192 tokens, however you requested 9120 tokens (9120 in", has("9,120", "8,192")),
    ("Invalid 'input[22]': maximum input length is 8192 tokens.", bound("8,192")),
    ("Requested 416,735 tokens, max 300,000 tokens per request", has("416,735", "300,000")),
    ("Invalid 'input': maximum request size is 300000 tokens per request.", bound("300,000")),
    ("The prompt is too long: 9000 tokens, at most 8192 are allowed", has("9,000", "8,192")),
    # Google, Bedrock, Text Embeddings Inference, NVIDIA, llama.cpp, DashScope
    ("The input token count (2100) exceeds the maximum number of tokens allowed (2048).", has("2,100", "2,048")),
    ("#/texts/0: expected maxLength: 2048, actual: 19882", has("19,882", "2,048", "characters")),
    ("Too many input tokens. Max input tokens: 8192, request input token count: 9875", has("9,875", "8,192")),
    ("`inputs` must have less than 512 tokens. Given: 600", has("600", "512")),
    ("Input length 548 exceeds maximum allowed token size 512", has("548", "512")),
    ("Input length 512 exceeds maximum allowed token size 512", bound("512")),
    ("input (902 tokens) is too large to process. increase the physical batch size", "Split the text."),
    ("Range of input length should be [1, 8]", "Split the text."),
    ("String should have at most 2048 characters", bound("2,048", "characters")),
    ("This model does not support texts longer than 512 tokens", bound("512")),
    ("Text too long: 100 tokens (max 8192)", bound("8,192")),
    ("The text is too long, max 512", "Split the text."),
    ("Payload too large", "Split the text."),
    # Not about a length
    ("Invalid 'input': array too long.", DEFAULT),
    ("Bad value.", DEFAULT),
    ("The request was refused by the content policy.", "Leave the text out."),
    ("Input data may contain inappropriate content.", "Leave the text out."),
    (
        "This model does not support specifying dimensions.",
        "Leave dimensions out, or set a number that the model can make.",
    ),
]


@pytest.mark.parametrize(("message", "next_step"), ADVICE)
def test_the_words_say_what_to_do(message, next_step):
    """With the numbers that they name."""
    assert find_next_step(BadRequestError(message, status_code=400)) == next_step


@pytest.mark.parametrize(
    ("error", "next_step"),
    [
        (BadRequestError("No.", status_code=413), "Split the text."),
        (BadRequestError("No.", code="context_length_exceeded"), "Split the text."),
        (BadRequestError("No.", code="content_filter"), "Leave the text out."),
        (BadRequestError("No.", param="dimensions"), "Leave dimensions out, or set a number that the model can make."),
        (BadRequestError("No.", param="input", code="invalid_request_error"), DEFAULT),
    ],
)
def test_status_code_and_parameter_say_it_too(error, next_step):
    """Where the words do not."""
    assert find_next_step(error) == next_step
