"""The forms of faults: bodies of error responses, and edits of successful answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pybase64

from electronhub_embeddings.emulator import faults

if TYPE_CHECKING:
    from electronhub_embeddings.emulator.faults import Fault

KEY = "ek-canary-3f9a61c08d"
"""The key of every service here. Each message quotes it, as those of some services do."""

UPSTREAM_FAILED = "The upstream service has failed"


class Form(NamedTuple):
    """One of the forms of a fault."""

    fault: Fault
    words: str = ""
    """Words that the error must contain."""


def quoting_key(message):
    """Return a message that quotes the key."""
    return f"{message} (key {KEY})."


def with_message(status, message=UPSTREAM_FAILED, **options):
    """Return the forms of an error response that have a message."""
    makers = {
        "envelope": faults.error,
        "envelope in detail": faults.wrapped_error,
        "detail": faults.detail,
        "text": faults.text,
    }
    return {
        f"{status} {name}": Form(make(status, quoting_key(message), **options), message)
        for name, make in makers.items()
    }


def without_message(status, **options):
    """Return the forms of an error response that have no message."""
    return {
        f"{status} page": Form(faults.html(status, **options), "an HTML page"),
        f"{status} empty": Form(faults.empty(status, **options), str(status)),
    }


def all_forms(*statuses):
    """Return all forms of error responses."""
    return {
        name: form for status in statuses for name, form in {**with_message(status), **without_message(status)}.items()
    }


def error_in_200(code, message=UPSTREAM_FAILED):
    """Return the forms of an error in a response with status 200: alone, and together with vectors."""
    error = {"message": quoting_key(message), "type": "error", "param": None, "code": code}
    return {
        f"{code} alone": Form(faults.edit(lambda _: {"error": error}), message),
        f"{code} beside vectors": Form(faults.edit(lambda answer: {**answer, "error": error}), message),
    }


def bad_request(message, **options):
    """Return a 400 with the error body that the service sends today."""
    return {"envelope": Form(faults.error(400, quoting_key(message), **options), message)}


def other_bodies(words, **contents):
    """Return answers with status 200 and the given bodies."""
    return {name: Form(faults.nonsense(content), words) for name, content in contents.items()}


def edited_answer(change):
    """Edit the answer. Python's JSON encoder writes it, because the emulator's has no NaN or infinity."""
    return faults.edit(lambda answer: json.dumps(change(answer)).encode())


def row_with(**fields):
    """Edit fields of the first row."""
    return edited_answer(lambda answer: {**answer, "data": [{**answer["data"][0], **fields}, *answer["data"][1:]]})


def vectors(change, rows=None):
    """Edit all vectors or only the first `rows`, and send them as lists of numbers."""

    def each(answer):
        for row in answer["data"][:rows]:
            row["embedding"] = change(numbers(row["embedding"]))
        return answer

    return edited_answer(each)


def numbers(embedding):
    """Decode a vector."""
    return np.frombuffer(pybase64.b64decode(embedding), "<f4").tolist() if isinstance(embedding, str) else embedding


def truncated_answer(by):
    """Leave out the last `by` bytes of the JSON."""
    return faults.edit(lambda answer: json.dumps(answer).encode()[:-by])
