"""Finds out why the service refused a request with a 400, 413 or 422.

One unusable text fails a whole request, a request that is too large can succeed as two, and an unknown model fails with
any texts. Only the refusal distinguishes these cases, and each vendor behind the gateway words it differently.

Invariants:
- In order of precedence: the text that the refusal names, the named parameter, the code, the words.
- Words about one text take precedence over words about the request. Mistaking the first for the second would fail
  innocent texts; the reverse only costs requests.
- Quotations can be a caller's text, so they are not evidence.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from electronhub_embeddings.errors import BadRequestError


class Cause(Enum):
    """The cause of a refusal."""

    TEXT = "one text: the others can be sent without it"
    SIZE = "the size of the request: smaller ones can succeed"
    ENCODING = "the encoding_format: the other one can succeed"
    REQUEST = "the request itself, with any texts"
    UNKNOWN = "the refusal does not say"


@dataclass(frozen=True)
class BadRequestCause:
    """The cause of a refusal, and the numbers in it."""

    cause: Cause
    index: int | None = None
    """Position of the refused text in the request, if the service names it."""
    max_inputs: int | None = None
    """Largest number of inputs that the service allows; smaller than what was sent."""
    max_tokens: int | None = None
    """Largest number of tokens in a request that the service allows."""
    tokens: int | None = None
    """Number of tokens that the service counted in this request; larger than `max_tokens`."""


_TEXTS = (
    r"(?:inputs?|texts?|contents?|instances?|requests?|documents?|sentences?|prompts?|quer(?:y|ies)|passages?|data"
    r"|items?)"
)
"""Vendors' names of the field for texts: OpenAI `input`, Cohere `texts`, Google `requests`, Vertex `instances`, …"""

_INDEX = re.compile(
    rf"(?:#/{_TEXTS}/(\d{{1,9}})\b"  # Bedrock: #/texts/3
    rf"|\b{_TEXTS}(?:\.list\[[\w-]+\])?(?:\[(\d{{1,9}})\]|\.(\d{{1,9}})\b))"  # OpenAI: input[3]; FastAPI: input.3
    r"(?!\.(?!content|parts|text|\d))"  # Google's requests[3].model is not a text
    r"|\b(?:input|text|item|element|document|string)s? (?:(?:at|with|in) )?(?:index|position) (\d{1,9})\b",
    re.IGNORECASE,
)
_UNKNOWN_FIELD = re.compile(r"unknown name .{0,80}cannot find field", re.IGNORECASE)
"""If a field that all texts have is unknown, Google names the first text."""

_TEXTS_PARAM = re.compile(rf"\b{_TEXTS}(?:$|[.\[/]|_?(?:text|tokens)\b)|^(?:messages|token_?count)", re.IGNORECASE)
_OPTION_PARAM = re.compile(
    r"\b(?:model|dimensions?|output_?dimension(?:s|ality)?|output_?dtype|embedding_types|input_type|task(?:_?type)?|user"
    r"|truncat(?:e|ion)|normalized?|api[-_]?(?:key|version)|authorization)$",
    re.IGNORECASE,
)
_ENCODING_PARAM = re.compile(r"encoding[_ ]?format", re.IGNORECASE)

_CODES = {
    # OpenAI
    "context_length_exceeded": Cause.TEXT,
    "string_above_max_length": Cause.TEXT,
    "content_policy_violation": Cause.TEXT,
    "content_filter": Cause.TEXT,
    "array_above_max_length": Cause.SIZE,
    "max_tokens_per_request": Cause.SIZE,
    "invalid_api_key": Cause.REQUEST,
    "model_not_found": Cause.REQUEST,
    "unknown_parameter": Cause.REQUEST,
    "unsupported_parameter": Cause.REQUEST,
    "unsupported_country_region_territory": Cause.REQUEST,
    "billing_not_active": Cause.REQUEST,
    "billing_hard_limit_reached": Cause.REQUEST,
    "insufficient_quota": Cause.REQUEST,
    # Azure
    "operationnotsupported": Cause.REQUEST,
    "deploymentnotfound": Cause.REQUEST,
    "unknown_model": Cause.REQUEST,
    # Mistral
    "invalid_model": Cause.REQUEST,
    # DashScope
    "datainspectionfailed": Cause.TEXT,
    "data_inspection_failed": Cause.TEXT,
    "arrearage": Cause.REQUEST,
}

_COUNTED_TEXTS = r"(?:input(?: text)?s?|texts?|items?|elements?|instances?|documents?|strings?|sentences?)"
_ABOUT_A_TEXT = (
    r"(?<!extra )\b(?:input|text|content(?! type)|document|sentence|string)s?\b\W{1,2}(?:\w+ ){0,2}"
    r"(?:is|are|was|were|has|have|contains?|must|cannot|exceeds?)\b"
)
"""A statement about a text: "Input contains …", "The text language is …", "`inputs` cannot be empty"."""
_OPTION = r"(?:(?:output_?)?dimension(?:s|ality)?|input_type|task_type|truncate)"
_MODEL = r"\bmodels?\b[\s:,]*(?!(?:in|out)puts?\b)(?:['\"`(]?[\w./:@-]*[\w/-]['\"`)]?)?,?\s*"
"""The word "model", often followed by the name of the model."""

_WORDS: tuple[tuple[Cause, re.Pattern[str]], ...] = tuple(
    (cause, re.compile(pattern, re.IGNORECASE))
    for cause, pattern in (
        # A text that is too long
        (Cause.TEXT, r"(?:context|sequence)[ _]?(?:length|window)|maximum input length"),  # OpenAI, vLLM, LiteLLM
        (Cause.TEXT, r"must have less than \d+ tokens"),  # Text Embeddings Inference
        (Cause.TEXT, r"too large to process"),  # llama.cpp: "increase the physical batch size"
        (Cause.TEXT, r"too many input tokens\. max input tokens"),  # Bedrock Titan
        (Cause.TEXT, r"expected m(?:ax|in)length"),  # Bedrock Cohere
        (Cause.TEXT, r"exceeds maximum allowed token size"),  # NVIDIA
        (Cause.TEXT, r"range of input length"),  # DashScope
        (Cause.TEXT, r"(?:longer|more|less|fewer) than \d+ (?:tokens|characters)"),  # Voyage, Cloudflare
        (Cause.TEXT, r"\b(?:text|input|prompt|document|sequence|string)s? (?:\w+ )?(?:(?:is|are|was) )?too long"),
        (Cause.TEXT, r"\b(?:one of the|each|per|any|single) (?:input|text|document|prompt)s?\b(?! list| array)"),
        # The size of the request
        (Cause.SIZE, r"array too long"),  # OpenAI
        (Cause.SIZE, rf"(?:too many|number of) {_COUNTED_TEXTS}\b"),  # Azure, Mistral, Cohere
        (Cause.SIZE, r"batch[ _]?size"),  # Text Embeddings Inference, Voyage, DashScope
        (Cause.SIZE, rf"(?:at most|up to|more than|max(?:imum)?(?: of)?) \d+ {_COUNTED_TEXTS}\b"),  # FastAPI, Jina
        (Cause.SIZE, r"at most \d+ requests can be in one batch"),  # Google
        (Cause.SIZE, r"instance\(s\) is allowed"),  # Vertex
        (Cause.SIZE, r"maximum item count"),  # Bedrock Cohere
        (Cause.SIZE, r"tokens per (?:request|submitted batch)|number of tokens in the batch"),  # OpenAI, Voyage
        (Cause.SIZE, r"maximum request size|total (?:number of )?tokens\b.{0,60}\b(?:request|batch)\b"),  # OpenAI
        (Cause.SIZE, r"too many tokens (?:overall|in (?:the )?(?:batch|request))"),  # Mistral
        (Cause.SIZE, r"token count .{0,40}(?:supports up to|tokens allowed) \(?\d{5,}"),  # Vertex: of all texts
        (Cause.SIZE, r"(?:request|payload|body|entity) too large|payload size exceeds"),  # proxies, Google
        # A text for another reason
        (Cause.TEXT, r"token count"),  # Google: fewer than 10,000 are the limit of one text
        (Cause.TEXT, r"'\$\.input' is invalid|under any of the given schemas - 'input'"),  # OpenAI: empty
        (Cause.TEXT, r"\bempty (?:string|text|input|part)"),  # Voyage, Google
        (Cause.TEXT, r"tokenization error"),  # Text Embeddings Inference
        (Cause.TEXT, r"content[ _]?(?:policy|filter|management)|moderation|flagged|(?<!data )\bpolic(?:y|ies)\b"),
        (Cause.TEXT, r"inappropriate content"),  # DashScope
        (Cause.TEXT, _ABOUT_A_TEXT),
        # An account
        (Cause.REQUEST, r"\bapi[ _]?key\b.{0,20}\b(?:not valid|invalid|expired|not found|missing|disabled)"),  # Google
        (Cause.REQUEST, r"(?:incorrect|invalid|missing|no|provide an) api[ _]?(?:key|token)"),  # OpenAI, Cohere
        (Cause.REQUEST, r"invalid (?:authentication|credentials)"),
        (Cause.REQUEST, r"billing (?:details|hard limit)|(?:enable|&|and) billing|credit balance"),  # OpenAI, Anthropic
        (Cause.REQUEST, r"insufficient (?:balance|credit|fund)|budget has been exceeded"),  # OpenRouter, LiteLLM
        (Cause.REQUEST, r"(?:account|organization) (?:is|has been) (?:not active|deactivated|disabled)"),  # OpenAI
        (Cause.REQUEST, r"account is in good standing"),  # DashScope
        (Cause.REQUEST, r"(?:location|country|region|territory) (?:is )?not (?:supported|available)"),  # Google, OpenAI
        (Cause.REQUEST, r"not (?:supported|available) in your (?:country|region)|unsupported (?:country|region)"),
        (Cause.REQUEST, r"not allowed to access model|not have access to (?:the |this )?model"),  # LiteLLM
        # A model
        (Cause.REQUEST, rf"{_MODEL}(?:(?:was|is|does|has) )?not (?:found|exist|supported|available|an embedding)"),
        (Cause.REQUEST, rf"{_MODEL}does not support (?:\w+ )?(?:embedding|dimension|output)"),  # vLLM
        (Cause.REQUEST, rf"{_MODEL}(?:is|was|has been) (?:deprecated|decommissioned|shut down)"),  # OpenAI
        (Cause.REQUEST, r"(?:unknown|invalid|unsupported|unrecognized|no such) model"),  # Mistral, LiteLLM
        (Cause.REQUEST, r"model (?:id|name|identifier) is (?:invalid|not valid)"),  # Bedrock
        (Cause.REQUEST, r"not a valid model"),  # OpenRouter
        (Cause.REQUEST, r"provide a model|provider not provided"),  # OpenAI, LiteLLM
        (Cause.REQUEST, r"operation does not work with the specified model|api version"),  # Azure
        (Cause.REQUEST, r"no (?:endpoints|allowed providers|healthy deployments)"),  # OpenRouter, LiteLLM
        (Cause.REQUEST, r"on-demand throughput isn.t supported"),  # Bedrock
        (Cause.REQUEST, r"unexpected model name format"),  # Google
        # A parameter
        (Cause.REQUEST, r"specifying dimensions|setting dimensions|matryoshka"),  # OpenAI, LiteLLM, vLLM
        (Cause.REQUEST, rf"\b{_OPTION}\b\W{{1,2}}(?:parameter |argument )?(?:is|are|must|should)\b"),  # Cohere, NVIDIA
        (Cause.REQUEST, rf"(?:unsupported|invalid) {_OPTION}\b"),
        (Cause.REQUEST, rf"invalid value for '(?!{_TEXTS})\w+'|'\$\.(?!{_TEXTS})\w+' is invalid"),  # OpenAI
        (
            Cause.REQUEST,
            r"(?:unknown|unsupported|unrecognized) (?:request )?(?:parameter|argument|field|name)\b",
        ),  # OpenAI, Cohere
        (Cause.REQUEST, r"not support param|unsupportedparams"),  # LiteLLM
        (Cause.REQUEST, rf"(?:parameter|argument) '(?!{_TEXTS})\w+' is not (?:supported|allowed|valid)"),  # Voyage
        (Cause.REQUEST, r"additional properties are not allowed"),  # OpenAI
        (Cause.REQUEST, r"extra (?:inputs are|fields) not permitted"),  # FastAPI
        (Cause.REQUEST, r"\bfield required"),  # FastAPI
        (Cause.REQUEST, r"extraneous key|required key \["),  # Bedrock
    )
)
_ENCODING_WORDS = re.compile(
    r"encoding[_ ]?format|base64 (?:\w+ )?is not (?:supported|available|valid)|not support (?:\w+ ){0,2}base64",
    re.IGNORECASE,
)

_ALLOWED = re.compile(
    r"(?:at most|up to|(?:more|larger|greater) than|\bmax(?:imum)?\b[a-z ()_]{0,60}?|\blimit\b[a-z ]{0,20}?)[ :=(]*"
    r"(\d{1,9})\b(?! ?bytes)|(\d{1,9}) [a-z()]+ (?:is|are) allowed",
    re.IGNORECASE,
)
_COUNTED = re.compile(
    r"(?:requested|got|received|batch has|found|actual|given|token count(?: is)?)[ :=(]*(\d{1,9})\b", re.IGNORECASE
)
_ABOUT_TOKENS = re.compile(r"tokens?\b|request size", re.IGNORECASE)

_QUOTED = re.compile(r"(?<!\w)(['\"`])((?:(?!\1(?!\w)).){0,500})(?:\1|…$)", re.DOTALL)
_WRAPPED = re.compile(r"(?:message|msg|detail|error|raw)\\?['\"]\s*:\s*\\?$|titled $")
"""The context of a quotation that is the vendor's own message: LiteLLM sends `{'message': '…'}`."""
MIN_QUOTED_WORDS = 4
"""A quotation of fewer words is taken to be a parameter or a model; a longer one can be a caller's text."""
_VARIABLE = re.compile(
    r"\b(?:req|chatcmpl|embd)[_-]\w+|\b[0-9a-f]{8}-[0-9a-f-]{27}\b|\b(?=\w*\d)[0-9a-f]{8,}\b|\d+|\W+"
)


def find_cause(error: BadRequestError, inputs: int) -> BadRequestCause:
    """Return the cause of a refusal of `inputs` texts."""
    param, message = error.param or "", _without_quotations(error.message, MIN_QUOTED_WORDS)
    if _UNKNOWN_FIELD.search(message):
        return BadRequestCause(Cause.REQUEST)
    if found := _INDEX.search(param) or _INDEX.search(message):
        index = int(next(filter(None, found.groups())))
        return BadRequestCause(Cause.TEXT, index=index if index < inputs else None)
    if _ENCODING_PARAM.search(param):
        return BadRequestCause(Cause.ENCODING)
    if _OPTION_PARAM.search(param):
        return BadRequestCause(Cause.REQUEST)
    cause = _CODES.get(str(error.code).lower()) or _read_words(message)
    if cause is None and error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        cause = Cause.SIZE
    if cause is Cause.SIZE:
        return _measure(message.replace(",", ""), inputs)
    if cause is None and param:
        cause = Cause.TEXT if _TEXTS_PARAM.search(param) else Cause.REQUEST
    return BadRequestCause(cause or Cause.UNKNOWN)


def same_words(one: BadRequestError, other: BadRequestError) -> bool:
    """Return whether two refusals are the same except for numbers, quotations and identifiers."""
    return _words_of(one) == _words_of(other)


def _words_of(error: BadRequestError) -> tuple[str, ...]:
    fields = (_without_quotations(error.message, 1), error.param or "", str(error.code))
    return tuple(_VARIABLE.sub(" ", words.lower()).strip() for words in fields)


def _without_quotations(message: str, min_words: int) -> str:
    def shorten(found: re.Match[str]) -> str:
        is_message = _WRAPPED.search(message, max(0, found.start() - 20), found.start())
        return found[0] if is_message or len(found[2].split()) < min_words else "…"

    return _QUOTED.sub(shorten, message)


def _read_words(message: str) -> Cause | None:
    if _ENCODING_WORDS.search(message):
        return Cause.ENCODING
    return next((cause for cause, pattern in _WORDS if pattern.search(message)), None)


def _measure(message: str, inputs: int) -> BadRequestCause:
    """Read the numbers in a refusal for size: the allowed number and, for tokens, the counted number."""
    found, counted = _ALLOWED.search(message), _COUNTED.search(message)
    allowed = int(found[1] or found[2]) if found else 0
    if not _ABOUT_TOKENS.search(message):
        return BadRequestCause(Cause.SIZE, max_inputs=allowed if 0 < allowed < inputs else None)
    tokens = int(counted[1]) if counted else 0
    return BadRequestCause(Cause.SIZE, max_tokens=allowed or None, tokens=tokens if tokens > allowed > 0 else None)
