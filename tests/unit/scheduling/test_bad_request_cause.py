"""Causes of a bad request: each vendor's refusals, from the bytes that it sends to what they object to."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from electronhub_embeddings._codec.error_parser import read_error
from electronhub_embeddings._rate_limit.rate_limit_headers import RateLimitHeaders
from electronhub_embeddings._scheduling.bad_request_cause import (
    _WORDS,
    BadRequestCause,
    Cause,
    find_cause,
    same_words,
)
from electronhub_embeddings.errors import BadRequestError
from support.error_bodies import content, envelope
from support.unusual_characters import CHARACTERS

SENT = 2048
"""Texts in each refused request, where a row does not say otherwise."""

REQUEST = BadRequestCause(Cause.REQUEST)
ENCODING = BadRequestCause(Cause.ENCODING)
UNKNOWN = BadRequestCause(Cause.UNKNOWN)


def text(index=None):
    """Return the cause for one text, with or without its index."""
    return BadRequestCause(Cause.TEXT, index=index)


def size(max_inputs=None, *, max_tokens=None, tokens=None):
    """Return the cause for the size of a request."""
    return BadRequestCause(Cause.SIZE, max_inputs=max_inputs, max_tokens=max_tokens, tokens=tokens)


def openai(message, code=None, param=None, kind="invalid_request_error"):
    """Return a body of OpenAI or of a compatible vendor."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def azure(message, code="BadRequest"):
    """Return a body of Azure."""
    return {"error": {"code": code, "message": message}}


def litellm(message, code="400"):
    """Return a body of a LiteLLM proxy."""
    return {"error": {"message": f"litellm.BadRequestError: {message}", "type": None, "param": None, "code": code}}


def vllm(message, param=None):
    """Return a body of vLLM."""
    return {"object": "error", "message": message, "type": "BadRequestError", "param": param, "code": 400}


def mistral(message, kind="invalid_request_error", code=None):
    """Return a body of Mistral."""
    return {"object": "error", "message": message, "type": kind, "param": None, "code": code}


def google(message, status="INVALID_ARGUMENT", *fields):
    """Return a body of Google, with the fields that it names."""
    violations = [{"field": field, "description": message} for field in fields]
    details = [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations}]
    return {"error": {"code": 400, "message": message, "status": status, **({"details": details} if fields else {})}}


def openrouter(raw, provider="OpenAI"):
    """Return a body of OpenRouter, which wraps the body of a vendor."""
    metadata = {"raw": raw if isinstance(raw, str) else json.dumps(raw), "provider_name": provider}
    return {"error": {"message": "Provider returned error", "code": 400, "metadata": metadata}, "user_id": "org_2xf5"}


def fastapi(*fields):
    """Return a body of FastAPI, built from (location, type, message) entries."""
    return {"detail": [{"type": kind, "loc": ["body", *place], "msg": message} for place, kind, message in fields]}


def message(words):
    """Return a body of Cohere or Bedrock."""
    return {"message": words}


def detail(words):
    """Return a body of Voyage."""
    return {"detail": words}


DIMENSIONS = "This model does not support specifying dimensions."
EXTRA = ("extra_forbidden", "Extra inputs are not permitted")
NO_TEXT = ("string_type", "Input should be a valid string")
SUPPORTED = "Supported models are ['voyage-3', 'voyage-3-lite', 'voyage-code-3']."
VOYAGE_PREFIX = "The request body is not valid JSON, or some arguments were not specified properly. In particular, "
AZURE_MANY = (
    "Too many inputs. The max number of inputs is {}.  We hope to increase the number of inputs per request soon. "
    "Please contact us through an Azure support request at: https://go.microsoft.com/fwlink/?linkid=2213926 "
    "for further questions."
)
DROP = "To drop it from the call, set `litellm.drop_params = True`."
OPENAI_MANY = (
    "Invalid 'input': array too long. Expected an array with maximum length {}, "
    "but got an array with length {} instead."
)
OPENAI_LONG = (
    "This model's maximum context length is 8192 tokens, however you requested 8610 tokens "
    "(8610 in your prompt; 0 for the completion). Please reduce your prompt; or completion length."
)
VLLM_LONG = (
    "This model's maximum context length is 512 tokens. However, you requested 1451 tokens in the input for "
    "embedding generation. Please reduce the length of the input."
)
VOYAGE_LARGE = (
    "Request to model 'voyage-3-large' failed. The max allowed tokens per submitted batch is 120000. Your batch has "
    "130213 tokens after truncation. Please lower the number of tokens in the batch."
)
BEDROCK = "Malformed input request: {}, please reformat your input and try again."
AZURE_OPERATION = (
    "The embeddings operation does not work with the specified model, gpt-4. Please choose different model and try "
    "again. You can learn more about which models can be used with each operation here: "
    "https://go.microsoft.com/fwlink/?linkid=2197993."
)
VERTEX_TOKENS = (
    "Unable to submit request because the input token count is {} but the model supports up to {}. "
    "Reduce the input token count and try again."
)

WHOLE_REQUEST = [
    # vendor, status, body
    ("OpenAI", 400, openai(DIMENSIONS)),
    ("OpenAI", 400, openai(DIMENSIONS, param="dimensions")),
    ("OpenAI", 400, openai("Invalid value for 'dimensions' = 5000. Must be less than or equal to 3072.")),
    ("OpenAI", 400, openai("The model `ada-4` does not exist or you do not have access to it.", "model_not_found")),
    ("OpenAI", 400, openai("The model 'x' does not support embeddings.", param="model")),
    ("OpenAI", 400, openai("you must provide a model parameter")),
    ("OpenAI", 400, openai("Unrecognized request argument supplied: input_type")),
    ("OpenAI", 400, openai("Unknown parameter: 'task'.", "unknown_parameter", "task")),
    ("OpenAI", 400, openai("Additional properties are not allowed ('task' was unexpected)")),
    ("OpenAI", 400, openai("'$.user' is invalid. Please check the API reference.")),
    ("OpenAI", 400, openai("Incorrect API key provided: sk-abc. You can find your API key at …", "invalid_api_key")),
    ("OpenAI", 400, openai("Your account is not active, please check your billing details on our website.")),
    ("OpenAI", 400, openai("Billing hard limit has been reached", "billing_hard_limit_reached")),
    ("OpenAI", 400, openai("Country, region, or territory not supported", "unsupported_country_region_territory")),
    ("Azure", 400, azure(AZURE_OPERATION, "OperationNotSupported")),
    ("Azure", 400, azure(AZURE_OPERATION)),
    ("Azure", 400, azure("Unknown model: embed-9", "unknown_model")),
    ("LiteLLM", 400, litellm("Invalid model name passed in model=x. Call `/v1/models` to view available models.")),
    ("LiteLLM", 400, litellm("key not allowed to access model. This key can only access models=['a'].")),
    ("LiteLLM", 400, litellm("LLM Provider NOT provided. Pass in the LLM provider you are trying to call.")),
    (
        "LiteLLM",
        400,
        litellm(
            "litellm.UnsupportedParamsError: Setting dimensions is not supported for OpenAI `text-embedding-3` and "
            f"later models. {DROP}"
        ),
    ),
    ("LiteLLM", 400, litellm(f"OpenAIException - Error code: 400 - {openai(DIMENSIONS)}")),
    ("LiteLLM", 400, litellm(f"BedrockException - {json.dumps(message(BEDROCK.format('#: extraneous key [x]')))}")),
    ("LiteLLM", 400, openai("Budget has been exceeded! Current cost: 0.1, Max budget: 0.05", "400", kind="x")),
    (
        "vLLM",
        400,
        vllm(
            'Model "bge-m3" does not support matryoshka representation, changing output dimensions will lead to poor '
            "results."
        ),
    ),
    ("vLLM", 400, vllm("dimensions is currently not supported")),
    ("vLLM", 400, vllm("The model does not support Embeddings API")),
    ("vLLM", 400, {"error": vllm("The model `x` does not exist.")}),
    ("Mistral", 422, mistral(fastapi((["dimensions"], *EXTRA)))),
    ("Mistral", 422, mistral(json.dumps(fastapi((["dimensions"], *EXTRA))), "internal_error_proxy", "1000")),
    ("Mistral", 422, {"object": "Error", "message": [], **fastapi((["user"], *EXTRA)), "code": 3001}),
    ("Mistral", 400, mistral("No.", "invalid_model")),
    ("Mistral", 400, mistral("Invalid model: mistral-embed-9", "invalid_model", "1500")),
    ("Google", 400, google("API key not valid. Please pass a valid API key.")),
    ("Google", 400, google("API key expired. Please renew the API key.")),
    ("Google", 400, [google("User location is not supported for the API use.", "FAILED_PRECONDITION")]),
    (
        "Google",
        400,
        google(
            "Gemini API free tier is not available in your country. Please enable billing on your project.",
            "FAILED_PRECONDITION",
        ),
    ),
    (
        "Google",
        400,
        google("Invalid JSON payload received. Unknown name \"user\" at 'requests[0]': Cannot find field."),
    ),
    ("Google", 400, google("Invalid value", "INVALID_ARGUMENT", "requests[0].output_dimensionality")),
    ("Google", 400, google("* BatchEmbedContentsRequest.requests[0].model: unexpected model name format\n")),
    ("Google", 400, google("models/x is not found for API version v1beta, or is not supported for embedContent.")),
    ("Voyage", 400, detail(f"Model voyage-9 is not supported. {SUPPORTED}")),
    ("Voyage", 400, detail(f"{VOYAGE_PREFIX}Argument 'dimensions' is not supported by our API")),
    (
        "Voyage",
        400,
        detail("Value '5' supplied for argument 'output_dimension' is not valid -- accepted values are [256, 512]."),
    ),
    ("Cohere", 400, message("invalid request: valid input_type must be provided with the provided model")),
    ("Cohere", 422, message("unknown field: parameter 'dimensions' is not a valid field")),
    ("Cohere", 400, message("model 'embed-9' not found, make sure the correct model ID was used.")),
    ("Cohere", 400, message("invalid api token")),
    ("OpenRouter", 400, openai("acme/embed-9 is not a valid model ID", 400)),
    ("OpenRouter", 400, openai("No endpoints found for acme/embed-9.", 400)),
    ("OpenRouter", 400, openai("No allowed providers are available for the selected model.", 400)),
    ("OpenRouter", 400, openrouter(openai(DIMENSIONS))),
    ("OpenRouter", 400, openrouter("dimensions is currently not supported", "DeepInfra")),
    ("Bedrock", 400, message("The provided model identifier is invalid.")),
    ("Bedrock", 400, message(BEDROCK.format("#: extraneous key [dimensions] is not permitted"))),
    ("Bedrock", 400, message(BEDROCK.format("#: required key [input_type] not found"))),
    ("Bedrock", 400, message("Invocation of model ID amazon.titan with on-demand throughput isn't supported.")),
    ("NVIDIA", 400, message("'input_type' parameter is required for asymmetric models")),
    ("DashScope", 400, openai("Access denied, please make sure your account is in good standing.", "Arrearage")),
    ("DashScope", 400, openai("Model not exist.", "InvalidParameter")),
    ("SiliconFlow", 400, {"code": 20012, "message": "Model does not exist. Please check it carefully.", "data": None}),
    ("Anthropic", 400, openai("Your credit balance is too low to access the API. Please go to Plans & Billing.")),
    ("a gateway", 400, detail("Parameter 'dimensions' is not supported for this model")),
    ("a gateway", 400, detail("dimensions must be between 1 and 1536")),
    ("a gateway", 400, detail("Unsupported dimension 5")),
    ("a gateway", 400, detail("Model 'x' is not an embedding model")),
    ("a gateway", 400, detail("The requested model is deprecated")),
    ("a gateway", 400, detail("Model acme/embed-9 is not available in your region")),
    ("a gateway", 400, detail("Invalid authentication credentials")),
    ("a gateway", 400, detail("Your organization has been disabled.")),
    ("a gateway", 400, openai("Strange.", param="priority")),
    ("a gateway", 400, detail("Strange.") | {"error": {"message": "Strange.", "param": "task"}}),
    ("FastAPI", 422, fastapi((["model"], "missing", "Field required"))),
    ("FastAPI", 422, fastapi((["messages"], "missing", "Field required"))),
    ("FastAPI", 422, fastapi((["user"], "value_error.extra", "extra fields not permitted"))),
    ("FastAPI", 422, detail("extra fields not permitted")),
    ("FastAPI", 422, fastapi((["messages"], "missing", "Field required"), (["dimensions"], *EXTRA))),
]

ONE_TEXT = [
    # vendor, status, body, index
    ("OpenAI", 400, openai("Invalid 'input[22]': maximum input length is 8192 tokens.", param="input[22]"), 22),
    ("OpenAI", 400, openai("Invalid 'input[22]': maximum input length is 8192 tokens."), 22),
    ("OpenAI", 400, openai("Invalid 'input[0]': maximum input length is 8192 tokens."), 0),
    ("OpenAI", 400, openai("Invalid 'input[2047]': input cannot be an empty string."), SENT - 1),
    ("OpenAI", 400, openai("Invalid 'input[2048]': input cannot be an empty string."), None),
    ("OpenAI", 400, openai("'$.input[3]' is invalid."), 3),
    ("OpenAI", 400, openai("Too long.", param="input[5]"), 5),
    ("OpenAI", 400, openai("Bad value.", param="input"), None),
    ("OpenAI", 400, openai("'$.input' is invalid. Please check the API reference."), None),
    ("OpenAI", 400, openai("[''] is not valid under any of the given schemas - 'input'"), None),
    ("OpenAI", 400, openai(OPENAI_LONG), None),
    ("OpenAI", 400, openai("Invalid 'input': maximum context length is 8192 tokens."), None),
    ("OpenAI", 400, openai("Too long.", "context_length_exceeded"), None),
    ("OpenAI", 400, openai("Refused.", "content_policy_violation"), None),
    ("OpenAI", 400, openai("The request was refused by the content policy."), None),
    (
        "Azure",
        400,
        azure("The response was filtered due to Azure's content management policy.", "content_filter"),
        None,
    ),
    ("LiteLLM", 400, litellm(f"OpenAIException - Error code: 400 - {openai(OPENAI_LONG)}"), None),
    ("LiteLLM", 400, litellm("litellm.ContextWindowExceededError: VertexAIException - too long"), None),
    ("LiteLLM", 400, litellm(f"OpenAIException - {json.dumps(openai('Bad input.', param='input.4'))}"), 4),
    ("vLLM", 400, vllm(VLLM_LONG), None),
    ("vLLM", 400, {"error": vllm(VLLM_LONG, "input_tokens")}, None),
    ("vLLM", 400, vllm("The prompt is too long: 9000 tokens, at most 8192 are allowed"), None),
    ("Mistral", 422, mistral(fastapi((["input", 7], *NO_TEXT))), 7),
    ("Google", 400, google("The input token count (2100) exceeds the maximum number of tokens allowed (2048)."), None),
    ("Google", 400, google("Invalid value at 'requests[3].content.parts[0].text' (TYPE_STRING), 5"), 3),
    ("Google", 400, google("Invalid value", "INVALID_ARGUMENT", "requests[3].content"), 3),
    ("Google", 400, google("* EmbedContentRequest.content contains an empty Part.\n"), None),
    ("Vertex", 400, google(VERTEX_TOKENS.format(2100, 2048)), None),
    ("Voyage", 400, detail(f"{VOYAGE_PREFIX}Input cannot contain empty strings or empty lists"), None),
    ("Cohere", 400, message("invalid request: texts[4] is too long"), 4),
    ("OpenRouter", 400, openrouter(openai("Invalid 'input[9]': maximum input length is 8192 tokens.")), 9),
    ("OpenRouter", 400, openrouter("input at index 3 violates our moderation rules"), 3),
    ("Bedrock", 400, message(BEDROCK.format("#/texts/0: expected maxLength: 2048, actual: 19882")), 0),
    ("Bedrock", 400, message(BEDROCK.format("expected minLength: 1, actual: 0")), None),
    ("Bedrock", 400, message("Too many input tokens. Max input tokens: 8192, request input token count: 9875"), None),
    (
        "TEI",
        413,
        {"message": "Input validation error: `inputs` must have less than 512 tokens. Given: 600", "code": 413},
        None,
    ),
    ("TEI", 422, {"error": "Tokenization error", "error_type": "Tokenizer"}, None),
    ("TEI", 400, {"error": "`inputs` cannot be empty", "error_type": "Empty"}, None),
    ("NVIDIA", 400, {"error": "Input length 548 exceeds maximum allowed token size 512"}, None),
    (
        "llama.cpp",
        400,
        openai("input (902 tokens) is too large to process. increase the physical batch size (current: 512)"),
        None,
    ),
    (
        "DashScope",
        400,
        openai("<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 8]"),
        None,
    ),
    ("FastAPI", 422, fastapi((["input", 3], *NO_TEXT)), 3),
    ("FastAPI", 422, fastapi((["input", "list[str]", 3], *NO_TEXT), (["messages"], "missing", "Field required")), 3),
    ("FastAPI", 422, fastapi((["texts", 3], "string_too_long", "String should have at most 2048 characters")), 3),
    ("a gateway", 400, detail("The input at index 4 is too long."), 4),
    ("a gateway", 400, detail("too many tokens in input at position 7"), 7),
    ("a gateway", 400, detail("The model input is not supported: text was flagged by moderation"), None),
    ("a gateway", 400, detail("This model does not support texts longer than 512 tokens"), None),
    ("a gateway", 400, openai("Refused: content policy.", param="prompt"), None),
    ("a gateway", 400, detail("One of the texts exceeds the maximum of 8191 tokens; batch size 100"), None),
    ("a gateway", 400, detail("This model supports at most 8192 tokens per input"), None),
    ("a gateway", 400, detail("Sequence length 700 exceeds the maximum of the model, 512"), None),
    ("a gateway", 400, detail("Text too long: 9000 tokens (max 8192)"), None),
    # What is said of a text can sound as if it were said of an account or a model.
    ("a gateway", 400, detail("The input language is not supported in your country version of the model"), None),
    ("a gateway", 400, detail("Content contains billing details and an invalid api key"), None),
    ("a gateway", 400, detail("Document is not supported: model not available for language xx"), None),
    ("DashScope", 400, openai("Input data may contain inappropriate content."), None),
    ("DashScope", 400, openai("Refused.", "DataInspectionFailed"), None),
    # What is quoted can be a text about just such errors.
    ("a gateway", 400, detail('Refused by moderation: "Why does it say that my API key is not valid?"'), None),
    ("a gateway", 400, openai("Cannot embed 'it's a billing problem: the model does not exist'", param="input"), None),
]

TOO_LARGE = [
    # vendor, status, body, texts sent, cause
    ("OpenAI", 400, openai(OPENAI_MANY.format(2048, 3000), "array_above_max_length", "input"), 3000, size(2048)),
    ("OpenAI", 400, openai(OPENAI_MANY.format(100, 2048)), 2048, size(100)),
    (
        "OpenAI",
        400,
        openai("Requested 416735 tokens, max 300000 tokens per request", "max_tokens_per_request"),
        2048,
        size(max_tokens=300_000, tokens=416_735),
    ),
    (
        "OpenAI",
        400,
        openai("Requested 416,735 tokens, max 300,000 tokens per request"),
        2048,
        size(max_tokens=300_000, tokens=416_735),
    ),
    (
        "OpenAI",
        400,
        openai("Invalid 'input': maximum request size is 300000 tokens per request.", param="input"),
        2048,
        size(max_tokens=300_000),
    ),
    ("Azure", 400, openai(AZURE_MANY.format(16)), 2048, size(16)),
    ("Azure", 400, openai(AZURE_MANY.format(2048)), 3_000_000, size(2048)),
    ("Azure", 400, openai(AZURE_MANY.format(1)), 2, size(1)),
    (
        "LiteLLM",
        400,
        litellm(
            "OpenAIException - Error code: 400 - {'error': {'message': 'Requested 416735 tokens, max 300000 tokens per "
            "request', 'type': 'max_tokens_per_request', 'param': None, 'code': 'max_tokens_per_request'}}"
        ),
        2048,
        size(max_tokens=300_000, tokens=416_735),
    ),
    (
        "LiteLLM",
        400,
        litellm("VertexAIError: 400 250 instance(s) is allowed per prediction. Actual: 512"),
        512,
        size(250),
    ),
    ("Cohere", 400, message("invalid request: total number of texts must be at most 96 - received 128"), 128, size(96)),
    ("Voyage", 400, detail(VOYAGE_LARGE), 2048, size(max_tokens=120_000, tokens=130_213)),
    (
        "Voyage",
        400,
        detail("Request to model 'voyage-2' failed. The batch size limit is 128. Your batch size is 200."),
        200,
        size(128),
    ),
    ("Voyage", 400, detail("The batch size limit is 1000. Your batch size is 1200."), 1200, size(1000)),
    (
        "Google",
        400,
        google("* BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch\n"),
        250,
        size(100),
    ),
    ("Google", 400, google("Request payload size exceeds the limit: 4194304 bytes."), 2048, size()),
    ("Vertex", 400, google(VERTEX_TOKENS.format(34708, 20000)), 2048, size(max_tokens=20_000, tokens=34_708)),
    ("Vertex", 400, google("at most 250 instances are allowed"), 2048, size(250)),
    ("Mistral", 400, mistral("Too many inputs in request, split into more batches.", code="3210"), 2048, size()),
    ("Mistral", 400, mistral("Too many tokens overall, split into more batches.", code="3210"), 2048, size()),
    (
        "Mistral",
        400,
        mistral("Too many tokens in batch. Max is 16384 got 17555"),
        2048,
        size(max_tokens=16_384, tokens=17_555),
    ),
    ("Bedrock", 400, message(BEDROCK.format("#/texts: expected maximum item count: 96, found: 128")), 128, size(96)),
    ("TEI", 413, {"error": "batch size 64 > maximum allowed batch size 32", "error_type": "Validation"}, 64, size(32)),
    (
        "SiliconFlow",
        413,
        {"code": 20042, "message": "input batch size 473 > maximum allowed batch size 64"},
        473,
        size(64),
    ),
    (
        "DashScope",
        400,
        openai(
            "<400> InternalError.Algo.InvalidParameter: Value error, batch size is invalid, it should not be larger "
            "than 10.: input.contents",
            "InvalidParameter",
        ),
        2048,
        size(10),
    ),
    (
        "Jina",
        400,
        detail("Validation error: 'body -> jina-embeddings-v4' Each input list can contain at most 512 items."),
        2048,
        size(512),
    ),
    (
        "DeepInfra",
        422,
        fastapi((["inputs"], "value_error.list.max_items", "ensure this value has at most 1024 items")),
        2048,
        size(1024),
    ),
    (
        "FastAPI",
        422,
        fastapi(
            (["input", "str"], *NO_TEXT),
            (["input", "list[str]"], "too_long", "List should have at most 100 items after validation, not 2048"),
            (["input", "list[int]", 0], "int_type", "Input should be a valid integer"),
        ),
        2048,
        size(100),
    ),
    ("a gateway", 400, detail("Up to 100 texts are allowed."), 2048, size(100)),
    ("a gateway", 400, detail("Up to 4096 texts are allowed."), 2048, size()),
    ("a gateway", 400, detail("batch size too large"), 2048, size()),
    ("a gateway", 400, detail("Too many tokens in the request: got 70000"), 2048, size()),
    ("a gateway", 400, detail("Too many documents: 300 given, the maximum is 128"), 300, size(128)),
    ("a gateway", 400, detail("The number of input texts (200) exceeds the maximum (100)"), 200, size(100)),
    (
        "a gateway",
        400,
        detail("Total tokens 130000 exceed the limit of 100000 per request"),
        2048,
        size(max_tokens=100_000),
    ),
    ("a proxy", 413, b"<html><head><title>413 Request Entity Too Large</title></head></html>", 2048, size()),
    ("a proxy", 400, b"<html><head><title>413 Request Entity Too Large</title></head></html>", 2048, size()),
    ("a proxy", 413, b"", 2048, size()),
    ("a proxy", 413, b"nginx", 2048, size()),
    ("a proxy", 413, b"Payload too large", 2048, size()),
]

OTHERS = [
    # vendor, status, body, cause
    ("OpenAI", 400, openai("Only 'float' is supported for 'encoding_format'.", param="encoding_format"), ENCODING),
    ("OpenAI", 400, openai("Invalid value for 'encoding_format' = x. Supported values: ['float']."), ENCODING),
    ("OpenAI", 400, openai("base64 is not supported."), ENCODING),
    ("LiteLLM", 400, litellm("gemini does not support parameters: {'encoding_format': 'base64'}"), ENCODING),
    ("Mistral", 422, mistral(fastapi((["encoding_format"], *EXTRA))), ENCODING),
    ("Voyage", 400, detail(f"{VOYAGE_PREFIX}Argument 'encoding_format' is not supported by our API"), ENCODING),
    ("SiliconFlow", 400, {"code": 20015, "message": "The parameter is invalid. Please check again."}, UNKNOWN),
    ("Bedrock", 400, message(BEDROCK.format("2 schema violations found")), UNKNOWN),
    ("OpenRouter", 400, openai("Provider returned error", 400), UNKNOWN),
    ("FastAPI", 422, fastapi(([17], "json_invalid", "JSON decode error")), UNKNOWN),
    ("a proxy", 400, b"<html><head><title>400 Bad Request</title></head></html>", UNKNOWN),
    ("a proxy", 400, b"Bad Request", UNKNOWN),
    ("a proxy", 400, b"", UNKNOWN),
]

ROWS = [
    *((vendor, status, body, SENT, REQUEST) for vendor, status, body in WHOLE_REQUEST),
    *((vendor, status, body, SENT, text(index)) for vendor, status, body, index in ONE_TEXT),
    *TOO_LARGE,
    *((vendor, status, body, SENT, cause) for vendor, status, body, cause in OTHERS),
]


def refuse(status, body):
    """Return the error for a body."""
    error = read_error(status, content(body), RateLimitHeaders())
    assert isinstance(error, BadRequestError)
    return error


@pytest.mark.parametrize(
    ("status", "body", "sent", "cause"), [row[1:] for row in ROWS], ids=[f"{i}-{row[0]}" for i, row in enumerate(ROWS)]
)
def test_the_cause_of_a_refusal(status, body, sent, cause):
    """Each vendor's refusal yields its cause, with its index and numbers."""
    assert cause == find_cause(refuse(status, body), sent)


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        *((code, text()) for code in ("context_length_exceeded", "string_above_max_length", "content_filter")),
        *((code, text()) for code in ("content_policy_violation", "DataInspectionFailed", "data_inspection_failed")),
        *((code, size()) for code in ("array_above_max_length", "max_tokens_per_request")),
        *((code, REQUEST) for code in ("invalid_api_key", "model_not_found", "unknown_model", "invalid_model")),
        *(
            (code, REQUEST)
            for code in ("unknown_parameter", "unsupported_parameter", "insufficient_quota", "Arrearage")
        ),
        *((code, REQUEST) for code in ("billing_not_active", "billing_hard_limit_reached", "DeploymentNotFound")),
        *((code, REQUEST) for code in ("unsupported_country_region_territory", "OperationNotSupported")),
        *((code, UNKNOWN) for code in ("invalid_request_error", "BadRequest", "INVALID_ARGUMENT", 400, 3210, None)),
    ],
)
def test_the_cause_that_a_code_tells(code, cause):
    """A specific code determines the cause; a generic one does not."""
    assert cause == find_cause(refuse(400, openai("No.", code, kind=None)), SENT)


def test_each_pattern_is_the_first_that_some_wording_matches():
    """Every pattern decides at least one case; otherwise it would be dead, or hidden by an earlier one."""
    messages = [refuse(status, body).message for _vendor, status, body, *_ in ROWS]
    decisive = {next((pattern for _, pattern in _WORDS if pattern.search(words)), None) for words in messages}
    assert {pattern for _, pattern in _WORDS} <= decisive


def test_many_vendors_and_wordings_are_known():
    """Refusals of whole requests are recognised in the words of many vendors."""
    assert {vendor for vendor, *_ in WHOLE_REQUEST} >= {
        *("OpenAI", "Azure", "LiteLLM", "vLLM", "Mistral", "Google", "Voyage", "Cohere", "OpenRouter"),
    }


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("code", [None, 400, "400"])
@pytest.mark.parametrize(("limit", "sent"), [(2048, 3000), (1, 2)])
def test_a_status_as_code_is_not_a_number_of_the_message(status, code, limit, sent):
    """The code of the envelope is neither a number of inputs nor of tokens."""
    error = read_error(status, envelope(OPENAI_MANY.format(limit, sent), code), RateLimitHeaders())
    assert size(limit) == find_cause(error, sent)


def test_a_message_can_begin_with_its_name():
    """What follows is the vendor's own message, not a quotation of a text."""
    error = BadRequestError('message": "The model does not exist any more."')
    assert find_cause(error, SENT).cause is Cause.REQUEST


REFUSED = 'Cannot embed "{}": request {} has {} tokens of an unusual kind (id {}).'


@pytest.mark.parametrize(
    "other",
    [
        REFUSED.format("another text", "req_011CZ6yWq", 12, "9b2d5a70-6c1f-4c40-9d0e-7c7f6a1c2b3d"),
        REFUSED.format("it's one with \n two lines", "req_9", 9_000, "deadbeef01234567"),
        REFUSED.format("", "req_9", 9_000, "7"),
    ],
)
def test_the_same_words(other):
    """Refusals that differ only in numbers, quotations and identifiers are the same."""
    words = REFUSED.format("a text", "req_A7bX", 2048, "0d4f8a7e-1111-4c40-9d0e-000000000000")
    assert same_words(BadRequestError(words), BadRequestError(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (BadRequestError("Strange text."), BadRequestError("Strange request.")),
        (BadRequestError("No.", param="user"), BadRequestError("No.", param="input")),
        (BadRequestError("No.", code="a"), BadRequestError("No.")),
        (BadRequestError("{'error': {'message': 'Strange text'}}"), BadRequestError("{'error': {'message': 'No'}}")),
        (BadRequestError('x - {"message": "Strange text"}'), BadRequestError('x - {"message": "No"}')),
    ],
)
def test_other_words(one, other):
    """Refusals with different sentences, parameters or codes differ, even inside a gateway's message."""
    assert not same_words(one, other)
    assert same_words(one, one)


def test_words_that_are_cut_within_a_quotation_are_the_same():
    """Messages are truncated, and a quotation can be cut off."""
    cut = [refuse(400, openai(f"Cannot embed '{letter * 2000}'")) for letter in "ab"]
    assert same_words(*cut)


WORDS = st.sampled_from(
    [
        *("input", "input[", "3", "]", "texts", ".", "#/", "requests[7]", ".model", "'", '"', "`", "message': ", "…"),
        *(
            "at most ",
            "max",
            "limit",
            " 12345678901234567890 ",
            "tokens",
            "batch size",
            "index 999999999",
            "unknown name",
        ),
    ]
)
MESSAGES = st.lists(WORDS | st.text(CHARACTERS, max_size=9), max_size=20).map("".join)
JSON = st.recursive(st.none() | st.booleans() | st.integers() | MESSAGES, lambda inner: st.lists(inner, max_size=2))


@given(MESSAGES, st.none() | MESSAGES, st.none() | st.integers() | MESSAGES, JSON, st.integers(1, 3000))
def test_any_refusal_has_a_cause(words, param, code, body, sent):
    """For any message, an index is a position in the request, and a limit is below the number sent."""
    error = BadRequestError(words, status_code=400, param=param, code=code, body=body)
    found = find_cause(error, sent)
    assert found.index is None or (found.cause is Cause.TEXT and 0 <= found.index < sent)
    assert found.max_inputs is None or 0 < found.max_inputs < sent
    assert found.tokens is None or found.tokens > found.max_tokens > 0
    assert same_words(error, error)
