"""`check`: what is wrong with a client's options, with one request at most, and only if asked."""

import asyncio

import pytest

from electronhub_embeddings import ElectronHubError
from electronhub_embeddings.emulator import faults
from electronhub_embeddings.rate_limit_stores.memory import MemoryStore
from support.open_files import open_files
from support.recording_server import Answer


def test_nothing_is_sent_unasked(client, emulator):
    """Without a request, the options are all there is to say."""
    service = emulator(plan="free")
    result = client(service).check()
    assert (result.ok, result.sent, result.key, result.limit, service.calls) == (True, False, "set", None, [])
    assert str(result).splitlines() == [
        f"base URL  {service.base_url}",
        "key       set",
        "model     text-embedding-3-small",
        "limit     not known before the first answer",
        "result    nothing is wrong so far; nothing was sent",
    ]


def test_no_file_stays_open(client, emulator, state_folder):
    """The file of the limit, which is read, is closed although the client is not."""
    client(emulator(plan="free")).check()
    assert list(state_folder.iterdir())
    assert open_files(state_folder) == []


def test_one_request_shows_the_rest(client, emulator):
    """It is counted in the client's usage, and the next check knows the limit without another."""
    service = emulator(plan="free")
    model = client(service, model="text-embedding-3-large", dimensions=256, document_prefix="d", query_prefix="q")
    result = asyncio.run(model.acheck(send=True))
    assert str(result).splitlines()[1:] == [
        "key       accepted",
        "model     text-embedding-3-large, 256 dimensions",
        "limit     5 requests in 60 s, 4 left",
        "result    fine",
    ]
    assert result.ok
    assert (len(service.calls), model.usage.attempts, model.usage.requests) == (1, 1, 1)
    assert (model.check().limit, model.check().left) == (5, 4)
    assert model.embed_query("works on").shape == (256,)
    assert service.api_key not in f"{result!r}{result}"


def test_a_service_without_a_limit(client, emulator):
    """No limit is what the answer shows."""
    assert "limit     none named by the service\n" in str(client(emulator(rpm=0)).check(send=True))


def test_a_limit_that_is_used_up(client, emulator):
    """Nothing is sent, and nobody waits; the result says when to try again."""
    service = emulator(rpm=1)
    model = client(service)
    model.embed_query("takes the only slot")
    result = model.check(send=True)
    assert (result.ok, result.sent, result.left, len(service.calls)) == (False, False, 0, 1)
    assert result.wait == pytest.approx(60, abs=3)
    assert result.problem.startswith("Nothing was sent, because the limit is used up. Try again in ")
    assert f"1 requests in 60 s, 0 left, the next in {result.wait:.0f} s" in str(result)


def test_a_limit_of_the_caller(client, emulator):
    """`requests_per_minute` is the limit, if it is lower."""
    result = client(emulator(plan="pro"), requests_per_minute=2).check(send=True)
    assert (result.limit, result.left) == (2, 1)


@pytest.mark.parametrize(
    ("options", "key", "problem", "sent"),
    [
        (
            {"api_key": "ek-wrong"},
            "refused",
            "401: Invalid API key. Check api_key, or the environment variable ELECTRONHUB_API_KEY.",
            True,
        ),
        ({"api_key": "ek-dev-x"}, "set", "This is a key of the coding plan, which cannot do embeddings.", False),
        ({"model": "no-such"}, "set", "EmbeddingsClient.list_models() lists what there is.", True),
        ({"model": "text-embedding-ada-002", "dimensions": 8}, "set", "does not support specifying dimensions", True),
    ],
    ids=["wrong key", "coding plan", "unknown model", "dimensions"],
)
def test_what_is_wrong(client, emulator, options, *, key, problem, sent):
    """It is not raised, but said in one line with what to do, and the key is not in it."""
    service = emulator(plan="free")
    made = {**options, "api_key": options.get("api_key", service.api_key)}
    result = client(service, **made).check(send=True)
    assert (result.ok, result.key, result.sent, len(service.calls)) == (False, key, sent, sent)
    assert problem in result.problem
    assert str(result).splitlines()[-1] == f"result    {result.problem}"
    assert made["api_key"] not in f"{result!r}{result}"


PAGE = Answer(200, {"content-type": "text/html"}, b"<!doctype html>\n<title>Welcome</title>")


@pytest.mark.parametrize("answer", [Answer(404, body=b"Not Found"), PAGE], ids=["404", "a web page"])
@pytest.mark.parametrize("path", ["", "/v1"])
def test_a_base_url_without_its_path(client, recording_server, answer, path):
    """The path that the service has is named, if it is missing."""
    server = recording_server(lambda _: answer)
    result = client(server, base_url=server.base_url.removesuffix("/v1") + path).check(send=True)
    assert (result.ok, result.key, len(server.requests)) == (False, "set", 1)
    hint = "Check base_url, which does not end with /v1: it should look like https://api.electronhub.ai/v1."
    assert result.problem.endswith(hint) == (not path)
    assert str(result).count("\n") == 4


def test_nobody_answers(client, emulator):
    """The base URL is to be looked at."""
    service = emulator(rpm=0)
    model = client(service)
    service.close()
    result = model.check(send=True)
    assert not result.ok
    assert result.problem.endswith("Check base_url, the network and its proxies, and try again.")


FAULTS = {
    "503": faults.error(503),
    "429": faults.error(429),
    "400": faults.error(400, "Bad Request"),
    "encoding": faults.error(400, "Unsupported value for 'encoding_format'.", param="encoding_format"),
    "size": faults.error(400, "Invalid 'input': array too long. Expected an array with maximum length 1."),
    "short": faults.short(),
    "drop": faults.drop(),
    "truncate": faults.truncate(),
    "nonsense": faults.nonsense(),
}


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_one_request_at_most(client, emulator, fault):
    """Whatever comes back, no second request is sent."""
    service = emulator(rpm=0, faults=[fault] * 3)
    result = client(service).check(send=True)
    assert (result.ok, result.sent, len(service.calls)) == (False, True, 1)
    assert "\n" not in result.problem


def test_an_answer_of_many_lines_is_one(client, recording_server):
    """Words of the service are shown in one line, without the key."""
    server = recording_server(lambda _: Answer(403, body=b"No.\n\nReally."))
    result = client(server).check(send=True)
    assert "No. Really." in result.problem


class BrokenStore(MemoryStore):
    """A store that cannot be reached."""

    def update(self, _):
        """Fail."""
        raise OSError("no such host")


@pytest.mark.parametrize("send", [False, True])
def test_a_store_that_fails(client, emulator, send):
    """Nothing can be sent then; the result says why."""
    result = client(emulator(rpm=0), rate_limit_store=BrokenStore()).check(send=send)
    assert (result.ok, result.sent) == (False, False)
    assert result.problem == (
        'The rate limit store failed: no such host. Name another place in rate_limit_store, or "memory" for a limit of '
        "this process alone."
    )


def test_clients_that_disagree_on_the_store(client, emulator):
    """The conflict is the problem, as at a call."""
    service = emulator(rpm=0)
    first = client(service, rate_limit_store="memory")
    first.embed_query("one")
    result = client(service, rate_limit_store=MemoryStore()).check()
    assert "Give all clients of the account the same store" in result.problem


def test_a_closed_client_cannot_be_checked(client, emulator):
    """As with its other methods."""
    closed = client(emulator(rpm=0))
    closed.close()
    with pytest.raises(ElectronHubError, match="closed"):
        closed.check()


def test_a_check_leaves_its_client_as_it_is(client, emulator, tmp_path):
    """Its cache is not used, and its calls go on."""
    service = emulator(rpm=0)
    model = client(service, cache=tmp_path / "cache")
    for _ in range(2):
        assert model.check(send=True).ok
    assert (len(service.calls), model.usage.cache_hits) == (2, 0)
    model.embed(["one"])
    model.embed(["one"])
    assert model.usage.cache_hits == 1
