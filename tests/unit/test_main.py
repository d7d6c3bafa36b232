"""`python -m electronhub_embeddings check`."""

import subprocess
import sys

import pytest

from electronhub_embeddings.__main__ import main


@pytest.fixture
def environment(monkeypatch):
    """Return a function that names a service and its key in the environment."""

    def use(service, key=None):
        monkeypatch.setenv("ELECTRONHUB_API_KEY", key or service.api_key)
        monkeypatch.setenv("ELECTRONHUB_BASE_URL", service.base_url)

    return use


def test_nothing_is_sent_unasked(environment, emulator, capsys):
    """Five lines, exit code 0, and no key."""
    service = emulator(plan="free")
    environment(service)
    assert main(["check"]) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 5
    assert service.api_key not in out
    assert service.calls == []


def test_send(environment, emulator, capsys):
    """`--send` sends one request for the model that is named."""
    service = emulator(plan="free")
    environment(service)
    assert main(["check", "--send", "--model", "text-embedding-3-large"]) == 0
    assert "model     text-embedding-3-large, 3072 dimensions\nlimit     5 requests in 60 s, 4 left" in (
        capsys.readouterr().out
    )
    assert len(service.calls) == 1


def test_something_is_wrong(environment, emulator, capsys):
    """Exit code 1, and the last line says what to do."""
    environment(emulator(plan="free"), "ek-wrong")
    assert main(["check", "--send"]) == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "result    401: Invalid API key. Check api_key, or the environment variable ELECTRONHUB_API_KEY."


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--base-url", "ftp://x"), "result    base_url must "),
        (("--model", ""), "result    model must "),
    ],
)
def test_options_that_no_client_takes(monkeypatch, capsys, arguments, reason):
    """What a constructor would raise is one line, and exit code 1."""
    monkeypatch.setenv("ELECTRONHUB_API_KEY", "ek-x")
    assert main(["check", *arguments]) == 1
    out, error = capsys.readouterr()
    assert out.startswith(reason)
    assert (out.count("\n"), error) == (1, "")


@pytest.mark.parametrize("key", ["", None])
def test_no_key(monkeypatch, capsys, key):
    """The commonest mistake: five lines as well, and nothing is sent."""
    if key is not None:
        monkeypatch.setenv("ELECTRONHUB_API_KEY", key)
    assert main(["check", "--send"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "base URL  https://api.electronhub.ai/v1",
        "key       not set",
        "model     text-embedding-3-small",
        "limit     not known before the first answer",
        "result    Set ELECTRONHUB_API_KEY to your key.",
    ]


@pytest.mark.parametrize("arguments", [[], ["embed"], ["check", "--key", "ek-x"]])
def test_unknown_arguments(arguments, capsys):
    """There is no option for the key, which would be seen in the list of processes."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: python -m electronhub_embeddings" in capsys.readouterr().err


@pytest.mark.slow
def test_the_module_is_a_command(emulator):
    """`python -m electronhub_embeddings` runs it."""
    service = emulator(plan="free")
    command = [sys.executable, "-m", "electronhub_embeddings", "check", "--base-url", service.base_url]
    run = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (run.returncode, run.stdout.splitlines()[1]) == (1, "key       not set")
