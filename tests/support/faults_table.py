"""The table of faults: what goes wrong, and what a caller then gets after how many requests.

`behaviour/test_fault_matrix.py` holds every row true. `make faults` writes docs/faults.md from the same rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from electronhub_embeddings import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ElectronHubError,
    InsufficientBalanceError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
)
from electronhub_embeddings.emulator import faults
from electronhub_embeddings.emulator.faults import Manner
from support.fault_forms import (
    UPSTREAM_FAILED,
    Form,
    all_forms,
    bad_request,
    edited_answer,
    error_in_200,
    other_bodies,
    quoting_key,
    row_with,
    truncated_answer,
    vectors,
    with_message,
    without_message,
)
from support.repository import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE = ROOT / "docs" / "faults.md"

RETRIES = 2
"""`max_retries` in every row."""

ALL = RETRIES + 1
"""Requests when every attempt is made."""

SLOW = {"timeout": 2}
"""For rows about time: longer than a good answer takes on a busy machine, six at once."""


@dataclass(frozen=True)
class Vectors:
    """The right vectors."""

    requests: int = 1
    """Of the two affected texts."""

    def __str__(self) -> str:
        return f"vectors, {_count(self.requests)}"


@dataclass(frozen=True)
class Failure:
    """An error of exactly this type."""

    error: type[ElectronHubError]
    requests: int = 1
    """Of the two affected texts."""
    index: int | None = None
    """Which of the two texts the error names."""
    finished: tuple[int, ...] = ()
    """Which of the two texts are in `.partial`."""
    silent: bool = False
    """Whether the next call may not send anything yet."""

    def __str__(self) -> str:
        naming = " that names the text" if self.index is not None else ""
        rest = "; the other text is in `.partial`" if self.finished else ""
        return f"`{self.error.__name__}`{naming}, {_count(self.requests)}{rest}"


@dataclass(frozen=True)
class Row:
    """A fault of one request, or of every request from then on."""

    group: str
    fault: str
    forms: Mapping[str, Form]
    once: Vectors | Failure
    for_ever: Vectors | Failure
    options: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of the client."""
    later: bool = False
    """Whether this is a fault only after a successful answer."""
    rounded: bool = False
    """Whether the first vector of an answer comes as whole numbers."""
    remembered: Mapping[str, Any] = field(default_factory=dict)
    """Fields of every later request."""


def same_for_both(group, fault, forms, outcome, **more):
    """Return a row for a fault with the same outcome, single or permanent."""
    return Row(group, fault, forms, outcome, outcome, **more)


def passing(group, fault, forms, error, requests=ALL, **more):
    """Return a row for a fault that is retried, and fails after the last attempt if it is permanent."""
    return Row(group, fault, forms, Vectors(2), Failure(error, requests), **more)


def one(fault, words=""):
    """Return the forms of a fault that has only one."""
    return {"": Form(fault, words)}


SOON = "Rate limit exceeded. Try again in 0.001 seconds"
HERE = {"Retry-After": "0.001"}
AWAY = {"Location": "https://elsewhere.invalid/v1/embeddings"}
GARBAGE = {"Content-Encoding": "gzip"}
MEGABYTES = 10_000_000 * "x"

STATUSES, INSIDE, NETWORK, ANSWERS = "Error statuses", "Errors with status 200", "The network", "Answers"

ROWS = (
    same_for_both(
        STATUSES,
        "400 that names a parameter or a model",
        {**bad_request("Unknown model: nonesuch"), "parameter": bad_request("Not so", param="dimensions")["envelope"]},
        Failure(BadRequestError),
    ),
    Row(
        STATUSES,
        "400 that names one text",
        bad_request("Invalid 'input[1]': maximum input length is 8192 tokens"),
        Failure(BadRequestError, 2, index=1, finished=(0,)),
        Failure(BadRequestError, 2, index=1),
    ),
    Row(
        STATUSES,
        "400 or 422 that does not say whose fault it is: the two texts are sent apart",
        all_forms(400, 422),
        Vectors(3),
        Failure(BadRequestError, 3, index=0),
    ),
    Row(
        STATUSES,
        "413, or 400 for too many texts: from then on requests are smaller",
        {**all_forms(413), **bad_request("Invalid 'input': array too long")},
        Vectors(3),
        Failure(BadRequestError, 2, index=0),
    ),
    Row(
        STATUSES,
        "400 because of base64: from then on numbers are asked for",
        bad_request("encoding_format base64 is not supported"),
        Vectors(2),
        Failure(BadRequestError, 2),
        remembered={"encoding_format": "float"},
    ),
    same_for_both(STATUSES, "401: the key is wrong", all_forms(401), Failure(AuthenticationError)),
    same_for_both(STATUSES, "402: the balance is spent", all_forms(402), Failure(InsufficientBalanceError)),
    same_for_both(STATUSES, "403: the key may not do that", all_forms(403), Failure(PermissionDeniedError)),
    same_for_both(STATUSES, "404: no such model or address", all_forms(404), Failure(NotFoundError)),
    passing(
        STATUSES,
        "429 for requests a minute: nothing is sent until the wait is over",
        {**with_message(429, SOON), **without_message(429, headers=HERE)},
        RateLimitError,
    ),
    same_for_both(
        STATUSES,
        "429 with a wait longer than `max_wait` (180 s if none is named)",
        {
            **{
                name: Form(form.fault, "180")
                for name, form in {**with_message(429, "Slow down"), **without_message(429)}.items()
            },
            "header": Form(faults.error(429, quoting_key("Slow down"), headers={"Retry-After": "170"}), "170"),
        },
        Failure(RateLimitError, silent=True),
        options={"max_wait": 1},
    ),
    same_for_both(
        STATUSES,
        "429 for a day's or a plan's budget",
        with_message(429, "Daily token limit reached. Resets on 2030-01-01"),
        Failure(QuotaExceededError),
    ),
    same_for_both(STATUSES, "any other 4xx, such as 418", all_forms(418), Failure(APIStatusError)),
    same_for_both(
        STATUSES,
        "301, 302, 303, 307, 308: a redirect is never followed",
        {
            **{str(code): Form(faults.empty(code, headers=AWAY), str(code)) for code in (301, 302, 303, 307)},
            **without_message(308, headers=AWAY),
        },
        Failure(APIStatusError),
    ),
    passing(STATUSES, "500, 502, 503, 504, 520, 522, 529", all_forms(500, 502, 503, 504, 520, 522, 529), ServerError),
    passing(
        STATUSES,
        "500 with a page of 10 MB: its beginning is read",
        {
            "text": Form(faults.text(500, quoting_key(UPSTREAM_FAILED) + MEGABYTES), UPSTREAM_FAILED),
            "envelope": Form(faults.error(500, quoting_key(UPSTREAM_FAILED) + MEGABYTES), UPSTREAM_FAILED),
        },
        ServerError,
    ),
    same_for_both(INSIDE, "code 401", error_in_200(401), Failure(AuthenticationError)),
    same_for_both(INSIDE, "code 402", error_in_200(402), Failure(InsufficientBalanceError)),
    passing(INSIDE, "code 429", error_in_200(429, SOON), RateLimitError),
    passing(
        INSIDE,
        "code 500, or none",
        {
            **error_in_200(500),
            **error_in_200(None),
            "detail": Form(faults.detail(200, quoting_key(UPSTREAM_FAILED)), UPSTREAM_FAILED),
        },
        ServerError,
    ),
    Row(
        NETWORK,
        "nothing listens: the service has seen no request, so none is counted against the limit",
        {},
        Vectors(),
        Failure(APIConnectionError, 0),
    ),
    passing(
        NETWORK,
        "closed or reset before the answer",
        {"closed": Form(faults.drop()), "reset": Form(faults.reset())},
        APIConnectionError,
    ),
    passing(
        NETWORK,
        "closed or reset in the middle of the answer",
        {"closed": Form(faults.truncate()), "reset": Form(faults.truncate(reset=True))},
        APIConnectionError,
    ),
    passing(NETWORK, "Content-Length too large", one(faults.wrong_length(10), "expected"), APIConnectionError),
    passing(NETWORK, "Content-Length too small", one(faults.wrong_length(-10)), InvalidResponseError),
    passing(
        NETWORK,
        "no answer, or not all of it, within `timeout`",
        {
            "late": Form(faults.delay(60), "2 s"),
            "stalled": Form(faults.stall(60), "2 s"),
            "trickled": Form(faults.trickle(20), "2 s"),
            "trickled headers": Form(faults.trickle(20, head=True), "2 s"),
        },
        APITimeoutError,
        options=SLOW,
    ),
    same_for_both(NETWORK, "an answer that trickles in within `timeout`", one(faults.trickle(0.02)), Vectors()),
    passing(
        NETWORK,
        "an answer that cannot be unpacked",
        one(faults.text(200, "no gzip", headers=GARBAGE), "encoding"),
        InvalidResponseError,
    ),
    same_for_both(
        NETWORK,
        "401 whose body breaks off or cannot be unpacked",
        {
            "cut": Form(replace(faults.error(401), manner=Manner.TRUNCATED)),
            "gzip": Form(faults.text(401, "no gzip", headers=GARBAGE)),
        },
        Failure(AuthenticationError),
    ),
    same_for_both(
        NETWORK,
        "429 whose body breaks off or cannot be unpacked",
        {
            "cut": Form(replace(faults.error(429), manner=Manner.TRUNCATED)),
            "gzip": Form(faults.text(429, "no gzip", headers=GARBAGE)),
        },
        Failure(RateLimitError, silent=True),
        options={"max_wait": 1},
    ),
    passing(
        ANSWERS,
        "no JSON, or JSON that is cut",
        {"empty": Form(faults.empty(200)), "cut": Form(truncated_answer(100))},
        InvalidResponseError,
    ),
    passing(
        ANSWERS,
        "a page in place of vectors, as where `base_url` leads to a web site",
        {"": Form(faults.html(200), "an HTML page titled '200'")},
        InvalidResponseError,
        2,
    ),
    passing(
        ANSWERS,
        "JSON that is no list of vectors",
        other_bodies(
            "not an embedding response",
            list=b"[]",
            null=b"null",
            nothing=b"{}",
            text=b'{"data": "x"}',
            numbers=b'{"data": [1, 2]}',
            nested=b"[" * 100_000,
        ),
        InvalidResponseError,
    ),
    passing(
        ANSWERS,
        "an index that is missing or no whole number",
        {"missing": Form(faults.missing_index(), "index"), "text": Form(row_with(index="0"), "index")},
        InvalidResponseError,
    ),
    passing(
        ANSWERS,
        "an index twice, negative or too large",
        {
            "twice": Form(faults.duplicate_index(), "index 0 twice"),
            "negative": Form(faults.negative_index(), "index -1"),
            "too large": Form(row_with(index=2), "index 2"),
            "huge": Form(row_with(index=10**30), "index of many digits"),
        },
        InvalidResponseError,
        2,
    ),
    passing(
        ANSWERS,
        "too few vectors, too many, or none",
        {
            "few": Form(faults.short(), "2 texts were sent, 1"),
            "many": Form(faults.extra(), "2 texts were sent, 3"),
            "none": Form(faults.short(2), "2 texts were sent, 0"),
        },
        InvalidResponseError,
        2,
    ),
    Row(
        ANSWERS,
        "one vector that is no base64, is cut, or has NaN or an infinity: the other text is sent once more, alone",
        {
            "no base64": Form(faults.invalid_base64(), "not readable"),
            "odd": Form(faults.odd_base64(), "whole float32s"),
            "NaN": Form(faults.not_a_number(), "not finite"),
            "infinity": Form(faults.infinite(), "not finite"),
            "too large for float32": Form(vectors(lambda vector: [1e39, *vector[1:]], 1), "not finite"),
        },
        Vectors(2),
        Failure(InvalidResponseError, 3, index=0),
    ),
    passing(
        ANSWERS,
        "null for a vector, or in one",
        {"vector": Form(faults.null(), "null"), "number": Form(vectors(lambda vector: [None, *vector[1:]], 1), "null")},
        InvalidResponseError,
    ),
    passing(
        ANSWERS,
        'NaN or an infinity with `encoding_format="float"`: JSON has no such numbers',
        {"NaN": Form(faults.not_a_number()), "infinity": Form(faults.infinite())},
        InvalidResponseError,
        options={"encoding_format": "float"},
    ),
    same_for_both(
        ANSWERS,
        "vectors of different lengths, or of none",
        {
            "shorter": Form(faults.wrong_dimension(1), "1535 dimensions, 1536 expected"),
            "empty list": Form(row_with(embedding=[]), "0 dimensions"),
            "empty text": Form(row_with(embedding=""), "0 dimensions"),
        },
        Failure(InvalidResponseError),
    ),
    same_for_both(
        ANSWERS,
        "vectors of another length than those before",
        one(vectors(lambda vector: vector[:-1]), "1535 dimensions, 1536 expected"),
        Failure(InvalidResponseError),
        later=True,
    ),
    same_for_both(
        ANSWERS,
        "`dimensions` ignored: 256 asked for, 1536 sent",
        one(vectors(lambda vector: 6 * vector), "1536 dimensions, 256 expected"),
        Failure(InvalidResponseError),
        options={"dimensions": 256},
    ),
    same_for_both(
        ANSWERS,
        "10 MB for two vectors",
        one(edited_answer(lambda answer: {**answer, "more": MEGABYTES}), "longer than"),
        Failure(InvalidResponseError),
    ),
    same_for_both(
        ANSWERS,
        "rows in another order, unknown fields, no `usage`, numbers where base64 was asked for: all fine",
        {
            "order": Form(faults.shuffled()),
            "fields": Form(row_with(more=1)),
            "no usage": Form(faults.without_usage()),
            "usage null": Form(edited_answer(lambda answer: {**answer, "usage": None, "error": None})),
            "numbers": Form(vectors(lambda vector: vector)),
        },
        Vectors(),
    ),
    same_for_both(ANSWERS, "whole numbers: fine", one(faults.integers()), Vectors(), rounded=True),
)

HEAD = f"""# What goes wrong, and what you get

Each line is a fault of the service or of the way to it, and what a call then ends in: the right vectors, or an error of
exactly that type. It is the same for the client, LangChain and LlamaIndex, sync and async; tests hold every line true.

The numbers are those of the requests for the two texts that were hit, with `max_retries={RETRIES}`: {ALL} requests
are all attempts that there are (7 with the default). *Once*: the fault hits one request, and then all is well. *For
ever*: it hits every request from then on. The body of an error may have any form: the documented one, the same inside
`detail`, plain text, a page, or nothing.

Whatever the error, `.partial` has the vectors that came before it, the message has what the service said, without your
key, and the same object works again as soon as the service does (after a 429, when its wait is over).
"""


def page() -> str:
    """Return docs/faults.md."""
    parts = [HEAD]
    for group, rows in groupby(ROWS, key=lambda row: row.group):
        lines = [f"| {row.fault} | {row.once} | {row.for_ever} |" for row in rows]
        parts += [f"## {group}\n", "| fault | once | for ever |", "|---|---|---|", *lines, ""]
    return "\n".join(parts)


def _count(requests: int) -> str:
    return f"{requests or 'no'} request{'' if requests == 1 else 's'}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
