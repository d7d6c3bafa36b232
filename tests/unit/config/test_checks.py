"""The checks of one argument: what is kept, and what the error tells the caller to write instead."""

from functools import partial

import numpy as np
import pytest
from pydantic import SecretStr

from electronhub_embeddings._config.checks import (
    check_api_key,
    check_count,
    check_encoding_format,
    check_flag,
    check_hook,
    check_id,
    check_max_wait,
    check_on_model_change,
    check_price,
    check_text,
    check_timeout,
    describe,
)


async def later(_):
    """Do nothing, later."""


class Later:
    """An object that is called like an async function."""

    async def __call__(self, _):
        """Do nothing, later."""


WHITE_SPACE = "x begins or ends with white space, perhaps a line break: remove it, as with strip()."
NOT_AWAITED = "x must be a plain function, not an async one: nothing would await it."
REFUSED = [
    (check_api_key, b"ek", "x must be a str, not bytes: key.decode() makes one."),
    (check_api_key, SecretStr("ek"), "x must be a str, not SecretStr: its get_secret_value() is one."),
    (check_api_key, 5, "x must be a str, not int."),
    (check_api_key, None, "No API key: pass api_key or set ELECTRONHUB_API_KEY."),
    (check_api_key, " ek", WHITE_SPACE),
    (check_api_key, "ek\n", WHITE_SPACE),
    (check_api_key, "ek\nek", "x has characters that cannot stand in a header: copy the key once more."),
    (check_api_key, "ek-\N{EN DASH}", "x has characters that cannot stand in a header: copy the key once more."),
    (check_api_key, "bearer ek", "x must be the key alone, without 'Bearer' or quotation marks."),
    (check_api_key, "'ek'", "x must be the key alone, without 'Bearer' or quotation marks."),
    (check_id, "", "x must be a str that is not empty, not ''."),
    (check_id, "a\ud800", "x has half of a surrogate pair at position 1, which cannot be encoded as UTF-8."),
    (check_text, None, "x must be a str, not None."),
    (check_text, 5, "x must be a str, not int."),
    (check_encoding_format, "hex", "x must be 'base64' or 'float', not another str."),
    (check_encoding_format, None, "x must be 'base64' or 'float', not None."),
    (check_encoding_format, 5, "x must be 'base64' or 'float', not 5."),
    (check_on_model_change, "error", "x must be 'warn', 'raise' or 'ignore', not another str."),
    (check_count, "5", "x must be an int from 1 to 1,000,000, not '5'."),
    (check_count, np.float64(5), "x must be an int from 1 to 1,000,000, not 5.0."),
    (partial(check_count, least=0, most=9), -1, "x must be an int from 0 to 9, not -1."),
    (check_timeout, 86_400.5, "x must be a number of seconds above 0, at most 86,400, not 86400.5."),
    (check_max_wait, float("nan"), "x must be None or a number of seconds, at least 0, not nan."),
    (check_price, -0.1, "x must be None or a number, at least 0, not -0.1."),
    (check_price, float("inf"), "x must be None or a number, at least 0, not inf."),
    (check_price, True, "x must be None or a number, at least 0, not True."),
    (check_flag, 1, "x must be True or False, not 1."),
    (check_hook, "print", "x must be callable, not str."),
    (check_hook, later, NOT_AWAITED),
    (check_hook, Later(), NOT_AWAITED),
]


@pytest.mark.parametrize(("check", "value", "message"), REFUSED)
def test_the_error_says_what_to_write(check, value, message):
    """It names the argument and what it may be, and quotes no more of the value than is harmless."""
    with pytest.raises(ValueError, match=r"^") as caught:
        check("x", value)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (check_id, "model"),
        (check_text, ""),
        (check_encoding_format, "base64"),
        (check_encoding_format, "float"),
        (check_on_model_change, "warn"),
        (check_on_model_change, "raise"),
        (check_on_model_change, "ignore"),
        (check_count, 1_000_000),
        (check_timeout, 86_400.0),
        (check_max_wait, None),
        (check_max_wait, 5),
        (check_price, None),
        (check_price, 0),
        (check_price, 0.13),
        (check_flag, False),
        (check_hook, None),
        (check_hook, print),
    ],
)
def test_a_good_value_is_kept(check, value):
    """As it is: nothing is converted."""
    assert check("x", value) is value


@pytest.mark.parametrize(
    ("check", "value", "kept"),
    [
        (check_count, np.int64(256), 256),
        (check_count, np.uint8(1), 1),
        (check_timeout, np.float32(0.5), 0.5),
        (check_timeout, np.int32(5), 5.0),
    ],
)
def test_a_number_of_numpy_is_kept_as_python_s(check, value, kept):
    """An int is an integer everywhere, and nothing below sees a number of NumPy."""
    number = check("x", value)
    assert (number, type(number)) == (kept, type(kept))


def test_the_variable_is_named_if_it_holds_the_key(monkeypatch):
    """Nobody looks for the line break in an argument that was not given."""
    monkeypatch.setenv("ELECTRONHUB_API_KEY", "ek-x\n")
    with pytest.raises(ValueError, match=r"^ELECTRONHUB_API_KEY begins or ends with white space"):
        check_api_key("x", None)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "None"),
        (True, "True"),
        (0.5, "0.5"),
        ("", "''"),
        ("words", "str"),
        (-7, "-7"),
        (10**12, "1000000000000"),
        (10**12 + 1, "a number of many digits"),
        ("123456", "'123456'"),
        ("0.02", "'0.02'"),
        ("0.0.2", "str"),
        ("1234567", "str"),
        ([], "list"),
    ],
)
def test_a_value_is_quoted_if_it_is_short_and_harmless(value, shown):
    """Text may be confidential, and a number may have thousands of digits: of those, only the type is named."""
    assert describe(value) == shown
