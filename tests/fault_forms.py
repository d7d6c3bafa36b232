"""The forms in which faults come: bodies of error answers, and edits of good answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pybase64

from electronhub_embeddings.emulator import faults

if TYPE_CHECKING:
    from electronhub_embeddings.emulator.faults import Fault

KEY = "ek-canary-3f9a61c08d"
"""The key of every service here; each quotes it wherever it says anything, as some do."""

SORRY = "The upstream service has failed"


class Form(NamedTuple):
    """One of the forms of a fault."""

    fault: Fault
    words: str = ""
    """What the error has to say."""


def told(message):
    """Let a message quote the key."""
    return f"{message} (key {KEY})."


def worded(status, message=SORRY, **options):
    """Make the forms of an error answer that have words."""
    makers = {
        "envelope": faults.error,
        "envelope in detail": faults.wrapped_error,
        "detail": faults.detail,
        "text": faults.text,
    }
    return {f"{status} {name}": Form(make(status, told(message), **options), message) for name, make in makers.items()}


def wordless(status, **options):
    """Make the forms of an error answer that say nothing."""
    return {
        f"{status} page": Form(faults.html(status, **options), "an HTML page"),
        f"{status} empty": Form(faults.empty(status, **options), str(status)),
    }


def every(*statuses):
    """Make all forms of error answers."""
    return {name: form for status in statuses for name, form in {**worded(status), **wordless(status)}.items()}


def inside(code, message=SORRY):
    """Make the forms of an error that comes with status 200: alone, and beside vectors."""
    error = {"message": told(message), "type": "error", "param": None, "code": code}
    return {
        f"{code} alone": Form(faults.edit(lambda _: {"error": error}), message),
        f"{code} beside vectors": Form(faults.edit(lambda answer: {**answer, "error": error}), message),
    }


def refused(message, **options):
    """Make a 400 with today's envelope."""
    return {"envelope": Form(faults.error(400, told(message), **options), message)}


def bodies(words, **contents):
    """Make answers with status 200 that have other bodies."""
    return {name: Form(faults.nonsense(content), words) for name, content in contents.items()}


def edited(change):
    """Change the answer; Python writes it, for it knows numbers that the emulator's JSON does not."""
    return faults.edit(lambda answer: json.dumps(change(answer)).encode())


def row_with(**fields):
    """Change fields of the first row."""
    return edited(lambda answer: {**answer, "data": [{**answer["data"][0], **fields}, *answer["data"][1:]]})


def vectors(change, rows=None):
    """Change vectors, all or only the first few, and send them as lists of numbers."""

    def each(answer):
        for row in answer["data"][:rows]:
            row["embedding"] = change(numbers(row["embedding"]))
        return answer

    return edited(each)


def numbers(embedding):
    """Decode a vector."""
    return np.frombuffer(pybase64.b64decode(embedding), "<f4").tolist() if isinstance(embedding, str) else embedding


def cut(by):
    """Leave out the last bytes of the JSON."""
    return faults.edit(lambda answer: json.dumps(answer).encode()[:-by])
