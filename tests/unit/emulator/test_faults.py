"""Each fault as a client sees it over HTTP."""

import itertools
import ssl
import time

import httpx
import numpy as np
import pybase64
import pytest

from electronhub_embeddings.emulator import Emulator, faults

# No certificates: reading them takes 20 ms, and no test uses any.
TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
MODEL = "text-embedding-3-small"
TEXTS = ["one", "two", "three"]


@pytest.fixture(scope="module", name="service")
def unlimited():
    """Serve without a limit, one emulator for all tests of this module."""
    with Emulator(rpm=0) as service:
        yield service


@pytest.fixture(scope="module", name="client")
def keyed(service):
    """Connect once for all tests of this module."""
    headers = {"Authorization": f"Bearer {service.api_key}"}
    with httpx.Client(verify=TLS, base_url=service.base_url, headers=headers) as client:
        yield client


def ask(client, texts=TEXTS, encoding="float"):
    """Ask for the vectors of some texts."""
    return client.post("/embeddings", json={"model": MODEL, "input": texts, "encoding_format": encoding})


def numbers(row):
    """Return a row's vector."""
    value = row["embedding"]
    return np.frombuffer(pybase64.b64decode(value), "<f4") if isinstance(value, str) else np.float32(value)


ERROR_BODY = {"error": {"message": "Sorry.", "type": "error", "param": None, "code": 503}}


@pytest.mark.parametrize(
    ("fault", "body"),
    [
        (faults.error(503, "Sorry."), ERROR_BODY),
        (faults.wrapped_error(503, "Sorry."), {"detail": ERROR_BODY}),
        (faults.detail(503, "Sorry."), {"detail": "Sorry."}),
    ],
    ids=["error", "wrapped", "detail"],
)
def test_error_shapes_in_json(service, client, fault, body):
    """The error body, the same inside `detail`, and a plain `detail`."""
    service.script(fault)
    response = ask(client)
    assert (response.status_code, response.headers["content-type"], response.json()) == (
        503,
        "application/json",
        body,
    )


@pytest.mark.parametrize(
    ("fault", "kind", "start"),
    [
        (faults.text(502, "Bad gateway"), "text/plain; charset=utf-8", "Bad gateway"),
        (faults.html(502), "text/html; charset=utf-8", "<!DOCTYPE html>"),
        (faults.empty(502), "text/plain", ""),
    ],
    ids=["text", "html", "empty"],
)
def test_error_shapes_outside_json(service, client, fault, kind, start):
    """Plain text, an HTML page, and no body."""
    service.script(fault)
    response = ask(client)
    assert (response.status_code, response.headers["content-type"]) == (502, kind)
    assert response.text.startswith(start)
    assert bool(response.text) == bool(start)


def test_error_fields_and_headers(service, client):
    """Type, param, code and further headers can be chosen."""
    service.script(faults.error(400, "No.", type="t", param="p", code="c", headers={"Retry-After": "2"}))
    response = ask(client)
    assert response.json() == {"error": {"message": "No.", "type": "t", "param": "p", "code": "c"}}
    assert response.headers["retry-after"] == "2"


@pytest.mark.parametrize("status", [402, 422, 500, 504, 520, 529])
def test_any_status(service, client, status):
    """Statuses without a name in Python can be sent too."""
    service.script(faults.error(status))
    assert ask(client).status_code == status


def test_error_with_200(service, client):
    """A 200 can be an error."""
    service.script(faults.error_with_200("Upstream."))
    response = ask(client)
    assert (response.status_code, response.json()["error"]["message"]) == (200, "Upstream.")


def test_budget_and_balance(service, client):
    """The 429 for a spent budget names its limit and date; the 402 is the documented one."""
    service.script(faults.budget_spent("2031-02-03"), faults.balance_spent())
    budget, balance = ask(client), ask(client)
    assert (budget.status_code, "2031-02-03" in budget.text, "Try again" in budget.text) == (429, True, False)
    assert (balance.status_code, balance.json()["error"]["message"][:21]) == (402, "Insufficient balance.")


def test_delay(service, client):
    """A late response is complete."""
    service.script(faults.delay(0.1))
    start = time.monotonic()
    assert ask(client).status_code == 200
    assert 0.1 <= time.monotonic() - start < 0.5


def test_drop(service, client):
    """The connection is closed without a response."""
    service.script(faults.drop())
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        ask(client)


def test_reset(service, client):
    """The connection is reset."""
    service.script(faults.reset())
    with pytest.raises(httpx.ReadError):
        ask(client)


def test_truncate(service, client):
    """Status and headers arrive, and Content-Length promises more than is sent."""
    service.script(faults.truncate())
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
        ask(client)


def test_truncate_with_a_reset(service, client):
    """Status and headers arrive, then a reset in place of an orderly close."""
    service.script(faults.truncate(reset=True))
    with client.stream("POST", "/embeddings", json={"model": MODEL, "input": TEXTS}) as response:
        assert response.status_code == 200
        with pytest.raises(httpx.ReadError):
            response.read()


def test_a_content_length_that_is_too_large(service, client):
    """All of the body arrives, then the connection is closed where more was promised."""
    service.script(None, faults.wrong_length(10))
    whole, parts = len(ask(client).content), []
    with client.stream("POST", "/embeddings", json={"model": MODEL, "input": TEXTS}) as response:
        assert response.headers["content-length"] == str(whole + 10)
        with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
            parts.extend(response.iter_raw())
    assert sum(map(len, parts)) == whole


def test_a_content_length_that_is_too_small(service, client):
    """A client reads only the promised bytes; the next call uses another connection."""
    service.script(None, faults.wrong_length(-10))
    assert ask(client).content[:-10] == ask(client).content
    assert len(ask(client).json()["data"]) == 3


def test_stall(service, client):
    """A stalled body is complete in the end; a client with a short time-out gives up."""
    service.script(faults.stall(0.1), faults.stall(0.2))
    start = time.monotonic()
    assert len(ask(client).json()["data"]) == 3
    assert 0.1 <= time.monotonic() - start < 0.5
    with pytest.raises(httpx.ReadTimeout):
        client.post("/embeddings", json={"model": MODEL, "input": "a"}, timeout=0.05)


@pytest.mark.parametrize("head", [False, True], ids=["body", "headers"])
def test_trickle(service, client, head):
    """A response in many chunks does not exceed the read time-out and is complete in the end."""
    service.script(faults.trickle(0.2, head=head))
    start = time.monotonic()
    response = client.post("/embeddings", json={"model": MODEL, "input": "a"}, timeout=0.1)
    assert len(response.json()["data"]) == 1
    assert 0.2 <= time.monotonic() - start < 0.8


def test_nonsense(service, client):
    """A 200 whose body is not JSON."""
    service.script(faults.nonsense(b"\xff\x00"))
    response = ask(client)
    assert (response.status_code, response.content) == (200, b"\xff\x00")


def test_edit(service, client):
    """An edit receives the successful body and returns a dict or bytes."""
    service.script(faults.edit(lambda answer: {**answer, "more": 1}), faults.edit(lambda _: b"raw"))
    first, second = ask(client), ask(client)
    assert (first.json()["more"], len(first.json()["data"]), second.content) == (1, 3, b"raw")


@pytest.mark.parametrize("seed", range(6))
def test_shuffled(service, client, seed):
    """Rows come in another order for every seed, with the right index each."""
    service.script(faults.shuffled(seed))
    rows = ask(client).json()["data"]
    assert [row["index"] for row in rows] != [0, 1, 2]
    for row in rows:
        np.testing.assert_array_equal(numbers(row), service.vector(TEXTS[row["index"]]))


@pytest.mark.parametrize(
    ("fault", "indexes"),
    [
        (faults.short(), [0, 1]),
        (faults.short(3), []),
        (faults.extra(), [0, 1, 2, 3]),
        (faults.duplicate_index(), [0, 1, 0]),
        (faults.missing_index(), [None, 1, 2]),
        (faults.missing_index(1), [0, None, 2]),
        (faults.negative_index(), [-1, 1, 2]),
    ],
)
def test_rows_and_indexes(service, client, fault, indexes):
    """Too few and too many rows, and indexes that are not a permutation."""
    service.script(fault)
    assert [row.get("index") for row in ask(client).json()["data"]] == indexes


@pytest.mark.parametrize("encoding", ["float", "base64"])
@pytest.mark.parametrize(
    ("fault", "broken"),
    [(faults.not_a_number(1), np.isnan), (faults.infinite(1), np.isposinf)],
    ids=["nan", "inf"],
)
def test_numbers_that_are_not_finite(service, client, fault, broken, encoding):
    """One vector holds a number that is not finite, in either encoding; the others are right."""
    service.script(fault)
    rows = ask(client, encoding=encoding).json()["data"]
    assert [int(broken(numbers(row)).sum()) for row in rows] == [0, 1, 0]
    assert {type(row["embedding"]) for row in rows} == {list if encoding == "float" else str}


def test_bare_words(service, client):
    """NaN and infinity are written as Python's JSON encoder writes them."""
    service.script(faults.not_a_number(), faults.infinite())
    assert (b"NaN" in ask(client).content, b"Infinity" in ask(client).content) == (True, True)


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_wrong_dimension(service, client, encoding):
    """One vector is a number short."""
    service.script(faults.wrong_dimension(2))
    assert [len(numbers(row)) for row in ask(client, encoding=encoding).json()["data"]] == [1536, 1536, 1535]


def test_null_and_integers(service, client):
    """Null in place of a vector, and a vector of integers."""
    service.script(faults.null(), faults.integers())
    empty, whole = (ask(client).json()["data"][0]["embedding"] for _ in range(2))
    assert empty is None
    assert {type(number) for number in whole} == {int}


def test_broken_base64(service, client):
    """Bytes that are not whole float32s, and text that is not base64."""
    service.script(faults.odd_base64(), faults.invalid_base64())
    odd, bad = (ask(client, encoding="base64").json()["data"][0]["embedding"] for _ in range(2))
    assert len(pybase64.b64decode(odd, validate=True)) == 1536 * 4 - 1
    with pytest.raises(ValueError, match="base64"):
        pybase64.b64decode(bad, validate=True)


def test_without_usage(service, client):
    """The response lacks only `usage`."""
    service.script(faults.without_usage())
    assert set(ask(client).json()) == {"object", "data", "model"}


def test_a_recorded_call_has_the_status_of_its_fault(service, client):
    """Failed calls are free; lost responses are charged and have no status."""
    service.reset()
    service.script(faults.error(500), None, faults.drop())
    assert [ask(client).status_code for _ in range(2)] == [500, 200]
    with pytest.raises(httpx.RemoteProtocolError):
        ask(client)
    assert [(call.status, call.prompt_tokens) for call in service.calls] == [(500, 0), (200, 3), (None, 3)]


def test_faults_count_and_a_limited_call_uses_up_none():
    """A call over the limit leaves the queue as it is, and a call with a fault counts."""
    clock = iter([0.0, 1.0, 300.0]).__next__
    with Emulator(rpm=1, clock=clock, faults=[faults.error(500), faults.error(502)]) as service:
        headers = {"Authorization": f"Bearer {service.api_key}"}
        with httpx.Client(verify=TLS, base_url=service.base_url, headers=headers) as client:
            assert [ask(client).status_code for _ in range(3)] == [500, 429, 502]


def test_faults_may_be_endless_and_scripts_queue_behind():
    """An iterable is read one call at a time, and `script` appends."""
    statuses = itertools.count(500)
    with Emulator(rpm=0, faults=(faults.error(next(statuses)) for _ in itertools.repeat(0))) as service:
        headers = {"Authorization": f"Bearer {service.api_key}"}
        with httpx.Client(verify=TLS, base_url=service.base_url, headers=headers) as client:
            assert [ask(client).status_code for _ in range(3)] == [500, 501, 502]
    assert next(statuses) == 503
    with Emulator(rpm=0, faults=[faults.error(500)]) as service:
        service.script(faults.error(502))
        headers = {"Authorization": f"Bearer {service.api_key}"}
        with httpx.Client(verify=TLS, base_url=service.base_url, headers=headers) as client:
            assert [ask(client).status_code for _ in range(3)] == [500, 502, 200]


def test_chance_is_asked_after_the_script_and_repeats_with_the_seed():
    """Random faults depend on the seed alone."""
    runs = []
    for seed in (1, 1, 2):
        chance = lambda rng: faults.error(503) if rng.random() < 0.5 else None  # noqa: E731
        with Emulator(rpm=0, seed=seed, chance=chance, faults=[faults.error(500)]) as service:
            headers = {"Authorization": f"Bearer {service.api_key}"}
            with httpx.Client(verify=TLS, base_url=service.base_url, headers=headers) as client:
                runs.append([ask(client, "a").status_code for _ in range(13)])
    assert runs[0] == runs[1] != runs[2]
    assert [run[0] for run in runs] == [500] * 3
    assert set(runs[0][1:]) == {200, 503}


def test_all_is_complete():
    """Every name in `faults.__all__` exists."""
    assert [name for name in faults.__all__ if not hasattr(faults, name)] == []


def test_headers_of_a_fault_replace_the_services_headers():
    """A fault can send rate limit headers of its own, whatever their case, on every call that gets it."""
    fault = faults.error(429, headers={"x-ratelimit-remaining": "7"})
    with Emulator(rpm=5, chance=lambda _: fault) as service:
        headers = {"Authorization": f"Bearer {service.api_key}"}
        with httpx.Client(verify=TLS, base_url=service.base_url, headers=headers) as client:
            for _ in range(2):
                found = ask(client).headers
                assert (found.get_list("x-ratelimit-remaining"), found["x-ratelimit-limit"]) == (["7"], "5")
