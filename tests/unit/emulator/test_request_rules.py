"""Which requests the emulator rejects, and with which message."""

import ssl

import httpx
import pytest

from electronhub_embeddings.emulator import Emulator

# No certificates: reading them takes 20 ms, and no test uses any.
TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
MODEL = "text-embedding-3-small"
INVALID = "invalid_request_error"


def rejected(body, path="/embeddings", key="ek-emulator", **settings):
    """Send `body` to an emulator with `settings`; return the status and the error."""
    with Emulator(rpm=0, **settings) as service:
        content = {"content": body} if isinstance(body, bytes) else {"json": body}
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        response = httpx.post(f"{service.base_url}{path}", headers=headers, **content, verify=TLS)
        assert set(response.json()) == {"error"}
        return response.status_code, response.json()["error"]


def error(message, param=None, code=None, type=INVALID):  # noqa: A002
    """Return the `error` of a response."""
    return {"message": message, "type": type, "param": param, "code": code}


def invalid(path):
    """Return the error for an invalid field."""
    param = path[2:] or None
    return error(f"'{path}' is invalid. Please check the API reference.", param)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"input": ""}, "$.input"),
        ({"input": []}, "$.input"),
        ({"input": ["a", ""]}, "$.input"),
        ({"input": [1, 2, 3]}, "$.input"),
        ({"input": [[1, 2], [3]]}, "$.input"),
        ({"input": ["a", None]}, "$.input"),
        ({"input": None}, "$.input"),
        ({"input": 5}, "$.input"),
        ({"input": {"text": "a"}}, "$.input"),
        ({"model": None}, "$.model"),
        ({"encoding_format": "hex"}, "$.encoding_format"),
        ({"encoding_format": None}, "$.encoding_format"),
        ({"encoding_format": ["float"]}, "$.encoding_format"),
        ({"dimensions": 0}, "$.dimensions"),
        ({"dimensions": 1537}, "$.dimensions"),
        ({"dimensions": -1}, "$.dimensions"),
        ({"dimensions": True}, "$.dimensions"),
        ({"dimensions": 2.5}, "$.dimensions"),
        ({"dimensions": None}, "$.dimensions"),
        ({"user": None}, "$.user"),
    ],
)
def test_invalid_fields(fields, path):
    """A field of the wrong type or out of range is named."""
    assert rejected({"model": MODEL, "input": "a", **fields}) == (400, invalid(path))


@pytest.mark.parametrize("left_out", ["input", "model"])
def test_missing_fields(left_out):
    """Input and model are required."""
    body = {key: value for key, value in {"model": MODEL, "input": "a"}.items() if key != left_out}
    assert rejected(body) == (400, invalid(f"$.{left_out}"))


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'"text"', b"\xff\xfe", b'{"model": "m", "input": "\\ud800"}'])
def test_a_body_that_is_not_a_json_object(body):
    """Broken JSON, and JSON that is not an object, is rejected as a whole."""
    assert rejected(body) == (
        400,
        {**invalid("$"), "message": "'$' is invalid. Please check the API reference."},
    )


def test_unknown_fields_are_ignored():
    """An unknown field changes nothing."""
    with Emulator(rpm=0) as service:
        body = {"model": MODEL, "input": "a", "truncate": "END"}
        headers = {"Authorization": "bearer ek-emulator"}
        assert httpx.post(f"{service.base_url}/embeddings", json=body, headers=headers, verify=TLS).status_code == 200


def test_unknown_model():
    """A model that does not exist is a 404."""
    expected = error("The model 'nope' does not exist.", "model", "model_not_found")
    assert rejected({"model": "nope", "input": "a"}) == (404, expected)


def test_chat_model():
    """A model that exists but only chats is a 400."""
    expected = error("The model 'gpt-4o-mini' does not support embeddings.", "model")
    assert rejected({"model": "gpt-4o-mini", "input": "a"}) == (400, expected)


@pytest.mark.parametrize("model", ["text-embedding-ada-002", "mistral-embed", "gemini-embedding-2"])
def test_dimensions_for_a_model_with_one_length(model):
    """Only the text-embedding-3 models accept `dimensions`; others not even their own length."""
    expected = error("This model does not support specifying dimensions.", "dimensions")
    assert rejected({"model": model, "input": "a", "dimensions": 1024}) == (400, expected)


def test_base64_rejected():
    """A service may support floats only."""
    status, found = rejected({"model": MODEL, "input": "a", "encoding_format": "base64"}, base64=False)
    assert (status, found["param"]) == (400, "encoding_format")


def test_too_many_inputs():
    """The message names the limit and the number of inputs."""
    expected = error(
        "Invalid 'input': array too long. Expected an array with maximum length 3, "
        "but got an array with length 4 instead.",
        "input",
        "array_above_max_length",
    )
    assert rejected({"model": MODEL, "input": ["a"] * 4}, max_inputs=3) == (400, expected)


@pytest.mark.parametrize(
    ("asked", "where"), [(["a", "b b b b", "c"], "input[1]"), ("b b b b", "input")], ids=["array", "string"]
)
def test_one_input_too_long(asked, where):
    """The newer message names the input."""
    expected = error(f"Invalid '{where}': maximum input length is 3 tokens.", where)
    assert rejected({"model": MODEL, "input": asked}, max_input_tokens=3) == (400, expected)


def test_one_input_too_long_in_the_older_message():
    """The older message names the tokens, not the input."""
    expected = error(
        "This model's maximum context length is 3 tokens, however you requested 4 tokens "
        "(4 in your prompt; 0 for the completion). Please reduce your prompt."
    )
    body = {"model": MODEL, "input": ["a", "b b b b"]}
    assert rejected(body, max_input_tokens=3, names_offender=False) == (400, expected)


@pytest.mark.parametrize("names_offender", [True, False])
def test_request_too_long(names_offender):
    """All inputs together are limited, in the newer and the older message."""
    kind = "max_tokens_per_request"
    expected = (
        error("Invalid 'input': maximum request size is 7 tokens per request.", "input", kind)
        if names_offender
        else error("Requested 8 tokens, max 7 tokens per request", None, kind, kind)
    )
    body = {"model": MODEL, "input": ["b b b b"] * 2}
    assert rejected(body, max_request_tokens=7, names_offender=names_offender) == (400, expected)


@pytest.mark.parametrize("names_offender", [True, False])
def test_content_policy(names_offender):
    """One text against the policy fails the whole request."""
    expected = (
        error("Invalid 'input[2]': refused by the content policy.", "input[2]", "content_policy_violation")
        if names_offender
        else error("The request was refused by the content policy.", None, "content_policy_violation")
    )
    body = {"model": MODEL, "input": ["a", "b", "forbidden"]}
    found = rejected(body, refuse=lambda text: "forbidden" in text, names_offender=names_offender)
    assert found == (400, expected)


def test_the_limits_themselves_are_allowed():
    """A request exactly at every limit is served."""
    with Emulator(rpm=0, max_inputs=2, max_input_tokens=2, max_request_tokens=4) as service:
        body = {"model": MODEL, "input": ["a b", "c d"], "dimensions": 1536}
        headers = {"Authorization": "Bearer ek-emulator"}
        assert httpx.post(f"{service.base_url}/embeddings", json=body, headers=headers, verify=TLS).status_code == 200


@pytest.mark.parametrize(("key", "status"), [("wrong", 401), (None, 401), ("ek-dev-123", 403)])
def test_keys(key, status):
    """A wrong and a missing key are 401; a coding-plan key cannot do embeddings."""
    found, inside = rejected({"model": MODEL, "input": "a"}, key=key)
    assert (found, inside["type"], inside["code"]) == (status, "error", status)


def test_unknown_path():
    """An endpoint that does not exist is a 404 with the usual error body."""
    assert rejected({}, path="/nowhere") == (404, error("Unknown endpoint: /v1/nowhere", None, 404, "error"))


def test_wrong_method():
    """A wrong method is a 405 with the usual error body."""
    assert rejected({}, path="/models") == (405, error("Method POST not allowed.", None, 405, "error"))
