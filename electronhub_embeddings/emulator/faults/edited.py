"""Faults in the rows of an answer that is 200 and well formed otherwise.

Each keeps the encoding that the call asked for, unless it says otherwise. `row` is a place in `data`, the
first by default.
"""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pybase64

from electronhub_embeddings.emulator.answers import encode
from electronhub_embeddings.emulator.faults.fault import Edit, Fault

Answer = dict[str, Any]


def edit(change: Edit) -> Fault:
    """Send what `change` makes of the good answer: a dict, or raw bytes."""
    return Fault(edit=change)


def shuffled(seed: int = 0) -> Fault:
    """Send the rows in another order, each with its right `index`: legal, order is not promised."""

    def change(answer: Answer) -> Answer:
        rows = list(answer["data"])
        random.Random(seed).shuffle(rows)  # noqa: S311 - a test's order, no secret
        if rows == answer["data"]:
            rows.reverse()
        return {**answer, "data": rows}

    return Fault(edit=change)


def short(missing: int = 1) -> Fault:
    """Leave out the last `missing` rows."""
    return Fault(edit=lambda answer: {**answer, "data": answer["data"][: len(answer["data"]) - missing]})


def extra() -> Fault:
    """Send one row more than asked for, with the next index."""

    def change(answer: Answer) -> Answer:
        rows = answer["data"]
        return {**answer, "data": [*rows, {**rows[-1], "index": len(rows)}]}

    return Fault(edit=change)


def duplicate_index() -> Fault:
    """Give the last row the index of the first (a single row stays as it is)."""
    return _row_edit(-1, lambda row, answer: {**row, "index": answer["data"][0]["index"]})


def missing_index(row: int = 0) -> Fault:
    """Leave out `index` of one row."""
    return _row_edit(row, lambda row, _: {key: row[key] for key in row if key != "index"})


def negative_index(row: int = 0) -> Fault:
    """Send -1 as the index of one row."""
    return _row_edit(row, lambda row, _: {**row, "index": -1})


def not_a_number(row: int = 0) -> Fault:
    """Put NaN into one vector; in JSON it is the bare word that Python's own encoder writes."""
    return _number_edit(row, float("nan"))


def infinite(row: int = 0) -> Fault:
    """Put infinity into one vector; in JSON it is the bare word that Python's own encoder writes."""
    return _number_edit(row, float("inf"))


def null(row: int = 0) -> Fault:
    """Send null where one row's vector belongs."""
    return _row_edit(row, lambda row, _: {**row, "embedding": None})


def integers(row: int = 0) -> Fault:
    """Send one vector as JSON integers (-127 to 127), whatever encoding was asked for."""
    return _row_edit(row, lambda row, _: {**row, "embedding": np.rint(_vector(row) * 127).astype(int).tolist()})


def wrong_dimension(row: int = 0) -> Fault:
    """Send one vector without its last number."""
    return _row_edit(row, lambda row, _: _with_vector(row, _vector(row)[:-1]))


def odd_base64(row: int = 0) -> Fault:
    """Send one vector as base64 of one byte too few for whole float32s, whatever encoding was asked for."""
    return _row_edit(
        row,
        lambda row, _: {**row, "embedding": pybase64.b64encode(_vector(row).tobytes()[:-1]).decode("ascii")},
    )


def invalid_base64(row: int = 0) -> Fault:
    """Send one vector as text that is no base64, whatever encoding was asked for."""
    return _row_edit(row, lambda row, _: {**row, "embedding": "!not base64!"})


def without_usage() -> Fault:
    """Leave out `usage`: parts of it can be missing."""
    return Fault(edit=lambda answer: {key: answer[key] for key in answer if key != "usage"})


def _row_edit(place: int, change: Any) -> Fault:
    def edit_row(answer: Answer) -> Answer:
        rows = list(answer["data"])
        rows[place] = change(rows[place], answer)
        return {**answer, "data": rows}

    return Fault(edit=edit_row)


def _number_edit(place: int, number: float) -> Fault:
    def edit_number(answer: Answer) -> bytes:
        rows = list(answer["data"])
        vector = _vector(rows[place])
        vector[0] = number
        rows[place] = _with_vector(rows[place], vector)
        # Not msgspec: it writes null for numbers that JSON does not know.
        return json.dumps({**answer, "data": rows}).encode()

    return Fault(edit=edit_number)


def _vector(row: dict[str, Any]) -> Any:
    """Return a copy of a row's vector as little-endian float32."""
    value = row["embedding"]
    if isinstance(value, str):
        return np.frombuffer(pybase64.b64decode(value), "<f4").copy()
    return np.array(value, "<f4")


def _with_vector(row: dict[str, Any], vector: Any) -> dict[str, Any]:
    return {**row, "embedding": encode(vector, base64=isinstance(row["embedding"], str))}
