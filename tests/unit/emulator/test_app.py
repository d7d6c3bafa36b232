"""The emulator's routes, rate limit and recorded calls, over HTTP."""

import asyncio
import ssl
import time

import httpx
import msgspec
import numpy as np
import pybase64
import pytest

from electronhub_embeddings.emulator import PLANS, Call, Emulator, faults

# No certificates: reading them takes 20 ms, and no test uses any.
TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
MODEL = "text-embedding-3-small"


class Clock:
    """A clock that moves when it is set."""

    now = 1000.0

    def __call__(self):
        """Return the seconds."""
        return self.now


def post(service, text="hello", key=None, **fields):
    """Ask for embeddings."""
    return httpx.post(
        f"{service.base_url}/embeddings",
        json={"model": MODEL, "input": text, **fields},
        headers={"Authorization": f"Bearer {service.api_key if key is None else key}"},
        verify=TLS,
    )


def vectors(response):
    """Return the vectors of a response in either encoding."""
    found = [row["embedding"] for row in response.json()["data"]]
    return [np.frombuffer(pybase64.b64decode(v), "<f4") if isinstance(v, str) else np.float32(v) for v in found]


@pytest.fixture(name="service")
def unlimited():
    """Serve without a limit."""
    with Emulator(rpm=0) as service:
        yield service


def test_a_string_gets_one_row(service):
    """The response has the documented shape."""
    body = post(service, "hello world").json()
    assert {**body, "data": None} == {
        "object": "list",
        "data": None,
        "model": MODEL,
        "usage": {"prompt_tokens": 2, "total_tokens": 2},
    }
    assert [{**row, "embedding": len(row["embedding"])} for row in body["data"]] == [
        {"object": "embedding", "embedding": 1536, "index": 0}
    ]


@pytest.mark.parametrize("count", [1, 3, 100])
@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_an_array_gets_a_row_each(service, count, encoding):
    """Rows come in order, each with the exact vector of its text, in both encodings, few and many."""
    texts = [f"text {number}" for number in range(count)]
    response = post(service, texts, encoding_format=encoding)
    expected = np.stack([service.vector(text) for text in texts])
    np.testing.assert_array_equal(np.stack(vectors(response)), expected)
    assert [row["index"] for row in response.json()["data"]] == list(range(count))


def test_base64_is_a_string_and_float_a_list(service):
    """The encoding asked for is the encoding sent; floats by default."""
    sent = [post(service, **fields).json()["data"][0]["embedding"] for fields in ({}, {"encoding_format": "base64"})]
    assert [type(value) for value in sent] == [list, str]


def test_base64_ignored():
    """With `base64="ignore"`, floats are sent even when base64 is asked for."""
    with Emulator(rpm=0, base64="ignore") as service:
        assert isinstance(post(service, encoding_format="base64").json()["data"][0]["embedding"], list)


def test_model_and_dimensions(service):
    """Vectors are those of the model, in the length that was asked for."""
    response = post(service, model="text-embedding-3-large", dimensions=256)
    expected = service.vector("hello", "text-embedding-3-large", 256)
    np.testing.assert_array_equal(vectors(response)[0], expected)
    assert response.json()["model"] == "text-embedding-3-large"


def test_models_are_public_and_uncounted():
    """The list needs no key, is not counted, and has a model that only chats."""
    with Emulator(rpm=1) as service:
        response = httpx.get(f"{service.base_url}/models", verify=TLS)
        assert response.headers["X-RateLimit-Remaining"] == "1"
        assert service.calls == []
    rows = {row["id"]: row for row in response.json()["data"]}
    assert [name for name in rows if "/v1/embeddings" not in rows[name]["endpoints"]] == ["gpt-4o-mini"]
    assert rows[MODEL]["object"] == "model"


def test_a_model_has_a_price():
    """One model is described without a key and uncounted, and an unknown one is a 404, whatever its name."""
    with Emulator(rpm=1) as service:
        found, unknown = (httpx.get(f"{service.base_url}/models/{name}", verify=TLS) for name in (MODEL, "a%2Fb"))
        assert found.headers["X-RateLimit-Remaining"] == "1"
        assert service.calls == []
    assert found.json()["pricing"] == {"type": "per_million_tokens", "input": 0.02}
    assert found.json()["tokens"] == 8192
    assert unknown.status_code == 404
    assert "'a/b'" in unknown.json()["error"]["message"]


def test_user_needs_the_key(service):
    """Plan and credits are shown only with the key."""
    url, good = f"{service.base_url}/user/me", {"Authorization": f"Bearer {service.api_key}"}
    assert httpx.get(url, headers=good, verify=TLS).json() == {
        "id": "emulator",
        "plan": "free",
        "credits": 1.0,
    }
    assert httpx.get(url, verify=TLS).status_code == 401


@pytest.mark.parametrize(("plan", "limit"), PLANS.items())
def test_the_plan_sets_the_limit(plan, limit):
    """Each plan has its own requests per minute."""
    with Emulator(plan) as service:
        assert httpx.get(f"{service.base_url}/models", verify=TLS).headers["X-RateLimit-Limit"] == str(limit)


@pytest.mark.parametrize(("window", "policy"), [(60.0, None), (10.0, "5;w=10"), (0.25, "5;w=0.25")])
def test_a_window_other_than_the_documented_one_is_named(window, policy):
    """The real service names no period; an emulator with another one does, for clients would wait for a minute."""
    with Emulator(window=window) as service:
        assert post(service).headers.get("RateLimit-Policy") == policy


def test_limit_cooldown_and_headers():
    """A call over the limit starts the cooldown, a call in the cooldown restarts it, and the headers say so."""
    clock = Clock()
    with Emulator(rpm=2, clock=clock) as service:
        seen = []
        for second in (0, 1, 2, 100.5, 280, 460.5):
            clock.now = 1000.0 + second
            response = post(service)
            seen.append((response.status_code, response.headers["X-RateLimit-Remaining"]))
            reset = float(response.headers["X-RateLimit-Reset"]) - time.time()
            until = {0: 60, 1: 59, 460.5: 60}.get(second, 180)
            assert until - 1 < reset < until + 1.01
            assert "retry-after" not in response.headers
        assert seen == [(200, "1"), (200, "0"), (429, "0"), (429, "0"), (429, "0"), (200, "1")]
        assert [call.at for call in service.calls] == [1000.0, 1001.0, 1002.0, 1100.5, 1280.0, 1460.5]
        flags = [(call.limited, call.in_cooldown) for call in service.calls]
        assert flags == [(False, False)] * 2 + [(True, False), (True, True), (True, True), (False, False)]


def test_the_cooldown_text():
    """The 429 has the documented message, with whole seconds, rounded up."""
    with Emulator(rpm=1, cooldown=2.2) as service:
        post(service)
        assert post(service).json() == {
            "error": {
                "message": "Rate limit exceeded. Try again in 3 seconds.",
                "type": "error",
                "param": None,
                "code": 429,
            }
        }


def test_failed_calls_count():
    """A rejected request takes a slot like any other."""
    with Emulator(rpm=2) as service:
        assert [post(service, "").status_code for _ in range(3)] == [400, 400, 429]


def test_an_unknown_key_is_not_counted():
    """Calls with a wrong key do not count against the right one."""
    with Emulator(rpm=1) as service:
        assert [post(service, key=key).status_code for key in ("x", "ek-EMULATOR", "ek-dev-1", None)] == [
            401,
            401,
            403,
            200,
        ]
        assert [call.status for call in service.calls] == [401, 401, 403, 200]


def test_headers_can_be_left_out():
    """Without a limit there are no headers, and they can be switched off."""
    for settings in ({"rpm": 0}, {"rpm": 5, "rate_limit_headers": False}):
        with Emulator(**settings) as service:
            assert [name for name in post(service).headers if "ratelimit" in name] == []


def test_a_call_is_recorded_without_the_key(service):
    """A recorded call has the request, its cost and its status, but not the key."""
    post(service, ["hello", "world"], user="u-1")
    post(service, 7)
    good, bad = service.calls
    assert good == Call(
        at=good.at,
        status=200,
        texts=2,
        prompt_tokens=2,
        headers=good.headers,
        body={"model": MODEL, "input": ["hello", "world"], "user": "u-1"},
    )
    assert (bad.status, bad.texts, bad.prompt_tokens) == (400, 0, 0)
    assert good.headers["authorization"] == "Bearer ***"
    assert good.headers["user-agent"].startswith("python-httpx/")


def test_bodies_can_be_left_out():
    """`keep_bodies=False` keeps the counts and drops the texts."""
    with Emulator(rpm=0, keep_bodies=False) as service:
        post(service, ["hello", "world"])
        assert [(call.body, call.texts) for call in service.calls] == [(None, 2)]


async def ask_together(service, count):
    """Send `count` calls at once; return the seconds they took and their statuses."""
    headers = {"Authorization": f"Bearer {service.api_key}"}
    async with httpx.AsyncClient(verify=TLS, headers=headers) as client:
        await client.get(f"{service.base_url}/models")
        start = time.monotonic()
        body = {"model": MODEL, "input": "hello"}
        responses = [client.post(f"{service.base_url}/embeddings", json=body) for _ in range(count)]
        statuses = [response.status_code for response in await asyncio.gather(*responses)]
        return time.monotonic() - start, statuses


async def test_latency_overlaps():
    """Eight calls of a tenth of a second overlap; the emulator may start beside a running loop."""
    with Emulator(rpm=0, latency=0.1) as service:
        seconds, statuses = await ask_together(service, 8)
    assert 0.1 <= seconds < 0.6
    assert statuses == [200] * 8


async def test_latency_is_spent_after_counting_and_jitter_before():
    """Calls sent together are counted together under latency, and spread out by jitter."""
    spread = []
    for settings in ({"latency": 0.4}, {"jitter": 0.4}):
        with Emulator(rpm=0, **settings) as service:
            await ask_together(service, 8)
            times = [call.at for call in service.calls]
            assert times == sorted(times)
            spread.append(times[-1] - times[0])
    assert spread[0] < 0.2 < spread[1]  # of 0.4 s: eight calls that are sent together take a part of that to arrive


def test_a_rejected_call_takes_no_service_time():
    """A 429 and a 401 come at once, whatever the latency."""
    with Emulator(rpm=1, latency=0.2) as service:
        post(service)
        start = time.monotonic()
        assert [post(service).status_code, post(service, key="x").status_code] == [429, 401]
        assert time.monotonic() - start < 0.2


def test_reset_forgets():
    """After a reset the emulator is like a new one: no calls, no cooldown, no queued faults."""
    with Emulator(rpm=1) as service:
        assert [post(service).status_code for _ in range(2)] == [200, 429]
        service.reset()
        service.script(faults.error(500))
        service.reset()
        assert service.calls == []
        assert post(service).status_code == 200


def test_the_bodies_are_json(service):
    """A response has the content type of JSON."""
    response = post(service)
    assert response.headers["content-type"] == "application/json"
    assert msgspec.json.decode(response.content)["object"] == "list"
