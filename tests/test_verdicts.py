"""Verdicts: whose fault a refused request is, told by each documented message."""

import pytest
from bodies import envelope

from electronhub_embeddings.headers import Report
from electronhub_embeddings.refusals import read_error
from electronhub_embeddings.verdicts import Blame, Verdict, judge

POLICY = "content_policy_violation"
MAX_TOKENS = "max_tokens_per_request"
TOO_MANY = (
    "Invalid 'input': array too long. Expected an array with maximum length {}, "
    "but got an array with length {} instead."
)
CONTEXT = (
    "This model's maximum context length is 8192 tokens, however you requested 8610 tokens "
    "(8610 in your prompt; 0 for the completion). Please reduce your prompt; or completion length."
)
VERDICTS = [
    # message, param, code, inputs, verdict
    ("Invalid 'input[22]': maximum input length is 8192 tokens.", "input[22]", None, 30, Verdict(Blame.TEXT, index=22)),
    ("Invalid 'input[0]': maximum input length is 8192 tokens.", "input[0]", None, 30, Verdict(Blame.TEXT, index=0)),
    ("Invalid 'input[30]': maximum input length is 8192 tokens.", "input[30]", None, 30, Verdict(Blame.TEXT)),
    ("Invalid 'input[7]': refused by the content policy.", "input[7]", POLICY, 30, Verdict(Blame.TEXT, index=7)),
    ("'$.input.3' is invalid.", "input", None, 30, Verdict(Blame.TEXT, index=3)),
    ("The input at index 4 is too long.", None, None, 30, Verdict(Blame.TEXT, index=4)),
    ("Too long.", "input[5]", None, 30, Verdict(Blame.TEXT, index=5)),
    (CONTEXT, None, None, 30, Verdict(Blame.TEXT)),
    ("'$.input' is invalid. Please check the API reference.", None, None, 30, Verdict(Blame.TEXT)),
    ("'$.input' is invalid. Please check the API reference.", "input", None, 30, Verdict(Blame.TEXT)),
    ("The request was refused by the content policy.", None, POLICY, 30, Verdict(Blame.TEXT)),
    ("Refused.", None, POLICY, 30, Verdict(Blame.TEXT)),
    ("Bad value.", "input", None, 30, Verdict(Blame.TEXT)),
    (
        "Invalid 'input': maximum request size is 300000 tokens per request.",
        "input",
        MAX_TOKENS,
        30,
        Verdict(Blame.SIZE, max_tokens=300_000),
    ),
    (
        "Requested 416735 tokens, max 300000 tokens per request",
        None,
        MAX_TOKENS,
        30,
        Verdict(Blame.SIZE, max_tokens=300_000, tokens=416_735),
    ),
    (
        "Requested 416,735 tokens, max 300,000 tokens per request",
        None,
        MAX_TOKENS,
        30,
        Verdict(Blame.SIZE, max_tokens=300_000, tokens=416_735),
    ),
    ("Requested 1500 tokens, max 1000 tokens", None, MAX_TOKENS, 30, Verdict(Blame.SIZE, max_tokens=1000, tokens=1500)),
    ("an HTML page titled '413 Request Entity Too Large'", None, None, 30, Verdict(Blame.SIZE)),
    (TOO_MANY.format(2048, 3000), "input", "array_above_max_length", 3000, Verdict(Blame.SIZE, max_inputs=2048)),
    (TOO_MANY.format(100, 2048), "input", "array_above_max_length", 2048, Verdict(Blame.SIZE, max_inputs=100)),
    ("Up to 100 texts are allowed.", None, None, 2048, Verdict(Blame.SIZE, max_inputs=100)),
    ("Too many inputs.", None, None, 2048, Verdict(Blame.SIZE)),
    ("batch size too large", None, None, 2048, Verdict(Blame.SIZE)),
    ("Only 'float' is supported for 'encoding_format'.", "encoding_format", None, 30, Verdict(Blame.ENCODING)),
    ("'$.encoding_format' is invalid.", None, None, 30, Verdict(Blame.ENCODING)),
    ("base64 is not supported.", None, None, 30, Verdict(Blame.ENCODING)),
    ("This model does not support specifying dimensions.", "dimensions", None, 30, Verdict(Blame.REQUEST)),
    ("This model does not support specifying dimensions.", None, None, 30, Verdict(Blame.REQUEST)),
    ("The model 'x' does not support embeddings.", "model", None, 30, Verdict(Blame.REQUEST)),
    ("The model 'x' does not exist.", None, "model_not_found", 30, Verdict(Blame.REQUEST)),
    ("'$.user' is invalid. Please check the API reference.", "user", None, 30, Verdict(Blame.REQUEST)),
    ("Bad Request", None, None, 30, Verdict(Blame.UNCLEAR)),
    ("no message (status 400)", None, None, 30, Verdict(Blame.UNCLEAR)),
]


@pytest.mark.parametrize(("message", "param", "code", "inputs", "verdict"), VERDICTS)
def test_verdicts(message, param, code, inputs, verdict):
    """Each known message says whose fault it is, with the numbers and the index in it."""
    content = envelope(message, code, param=param)
    assert [verdict] * 2 == [judge(read_error(status, content, Report()), inputs) for status in (400, 422)]


@pytest.mark.parametrize(
    ("message", "param", "inputs", "verdict"), [(m, p, n, v) for m, p, c, n, v in VERDICTS if c is None]
)
def test_a_status_as_code_is_no_number_of_the_message(message, param, inputs, verdict):
    """The code 400 of the envelope is neither a number of inputs nor of tokens."""
    assert verdict == judge(read_error(400, envelope(message, 400, param=param), Report()), inputs)


@pytest.mark.parametrize("message", ["", "nginx", "Payload too large", "Request Entity Too Large"])
def test_a_413_is_about_size(message):
    """The status alone says enough."""
    assert Verdict(Blame.SIZE) == judge(read_error(413, message.encode(), Report()), 30)
