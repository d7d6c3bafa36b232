"""Chat completions: which requests are rejected, and the fixed answer, whole or as the events of a stream. No I/O.

Only the fields that shape the answer are read. Null stands for the default, as in OpenAI's specification.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeGuard

from electronhub_embeddings.emulator import _responses
from electronhub_embeddings.emulator._embeddings import CHAT_PATH, MODELS, count_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator

    from electronhub_embeddings.emulator._request_rules import JSON

REPLY: Final = "This answer comes from the emulator, whatever the question was."
"""The content of every answer."""

DONE: Final = b"[DONE]"
"""The data of the last event of every stream."""

_Body = dict[str, Any]


@dataclass(frozen=True)
class ChatRequest:
    """A valid request."""

    model: str
    stream: bool
    include_usage: bool
    """Whether the last chunk of a stream has the usage."""
    prompt_tokens: int


def validate_chat(body: JSON) -> ChatRequest:
    """Return the request in the JSON `body`.

    Raises:
        ErrorResponse: the response for the first rule that the request breaks.
    """
    if not isinstance(body, dict):
        raise _responses.invalid_field("$")
    model = _validate_model(body)
    given = body.get("messages")
    messages = [message for message in given if _is_message(message)] if isinstance(given, list) else []
    if not messages or messages != given:
        raise _responses.invalid_field("messages")
    stream = _validate_flag(body, "stream", "stream")
    options = body.get("stream_options")
    if options is not None and not (isinstance(options, dict) and stream):
        raise _responses.invalid_field("stream_options")
    include_usage = _validate_flag(options or {}, "include_usage", "stream_options.include_usage")
    return ChatRequest(model, stream, include_usage, sum(map(_count_message_tokens, messages)))


def completion_body(request: ChatRequest, identifier: str, created: int) -> _Body:
    """Return the body of a successful response.

    Args:
        request: the request.
        identifier: a name of the answer, which the chunks of a stream share.
        created: Unix seconds.
    """
    message = {"role": "assistant", "content": REPLY, "refusal": None}
    return {
        "id": identifier,
        "object": "chat.completion",
        "created": created,
        "model": request.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": _usage(request),
    }


def completion_chunks(request: ChatRequest, identifier: str, created: int) -> Iterator[_Body]:
    """Yield the chunks of a streamed response: role, one for each word, finish, and the usage if requested."""
    head: _Body = {
        "id": identifier,
        "object": "chat.completion.chunk",
        "created": created,
        "model": request.model,
    }
    # With include_usage, every chunk has the field; only the last one has a value.
    usage: _Body = {"usage": None} if request.include_usage else {}
    first, *others = REPLY.split(" ")
    deltas = [{"role": "assistant", "content": ""}, {"content": first}, *({"content": f" {word}"} for word in others)]
    for delta in deltas:
        yield {**head, "choices": [_choice(delta, None)], **usage}
    yield {**head, "choices": [_choice({}, "stop")], **usage}
    if request.include_usage:
        yield {**head, "choices": [], "usage": _usage(request)}


def _choice(delta: _Body, finish_reason: str | None) -> _Body:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _usage(request: ChatRequest) -> _Body:
    completion_tokens = count_tokens(REPLY)
    return {
        "prompt_tokens": request.prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": request.prompt_tokens + completion_tokens,
    }


def _validate_model(body: dict[str, JSON]) -> str:
    name = body.get("model")
    if not isinstance(name, str):
        raise _responses.invalid_field("model")
    if name not in MODELS:
        raise _responses.unknown_model(name)
    if CHAT_PATH not in MODELS[name].endpoints:
        raise _responses.not_a_chat_model(name)
    return name


def _validate_flag(values: dict[str, JSON], name: str, field: str) -> bool:
    value = values.get(name)
    if value is not None and not isinstance(value, bool):
        raise _responses.invalid_field(field)
    return bool(value)


def _is_message(message: JSON) -> TypeGuard[dict[str, JSON]]:
    return isinstance(message, dict) and isinstance(message.get("role"), str) and bool(message["role"])


def _count_message_tokens(message: dict[str, JSON]) -> int:
    """Return the tokens of a message's text: its content is a string, a list of parts, or missing."""
    content = message.get("content")
    parts: list[JSON] = content if isinstance(content, list) else [{"text": content}]
    texts = [part.get("text") for part in parts if isinstance(part, dict)]
    return sum(count_tokens(text) for text in texts if text and isinstance(text, str))
