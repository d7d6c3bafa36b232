"""The emulator's settings, start and stop."""

import ssl
import subprocess
import sys
import threading

import httpx
import pytest

import electronhub_embeddings.emulator as package
from electronhub_embeddings.emulator import Emulator

# No certificates: reading them takes 20 ms, and no test uses any.
TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def ask(service):
    """Send one call."""
    body = {"model": "text-embedding-3-small", "input": "hello"}
    headers = {"Authorization": f"Bearer {service.api_key}"}
    return httpx.post(f"{service.base_url}/embeddings", json=body, headers=headers, verify=TLS)


def test_all_is_complete():
    """Every exported name exists."""
    assert [name for name in package.__all__ if not hasattr(package, name)] == []


def test_the_constructor_starts_nothing():
    """Before `start` there is no thread and no address."""
    before = threading.active_count()
    service = Emulator()
    assert threading.active_count() == before
    with pytest.raises(RuntimeError, match="started"):
        _ = service.base_url
    assert repr(service) == "Emulator(not started, calls=0)"


def test_start_and_close_can_be_repeated():
    """A second start or close does nothing; a closed emulator can be started again."""
    service = Emulator(rpm=0)
    assert service.start() is service.start()
    service.close()
    service.close()
    with service:
        assert ask(service).status_code == 200


def test_several_at_once():
    """Each has its own port and its own calls."""
    with Emulator() as one, Emulator(api_key="ek-other") as other:
        assert one.base_url != other.base_url
        ask(other)
        assert (len(one.calls), len(other.calls)) == (0, 1)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.0.1", "::", "example.org"])  # noqa: S104
def test_loopback_only(host):
    """Any other host is rejected before a socket is bound."""
    with pytest.raises(ValueError, match=r"loopback|address"):
        Emulator(host=host)


def test_localhost_is_loopback():
    """The name stands for the address that clients try first."""
    with Emulator(host="localhost") as service:
        assert service.base_url.startswith("http://127.0.0.1:")


def test_a_chosen_port():
    """A chosen port is bound; a taken port is an error and does not disturb its owner."""
    with Emulator() as first:
        port = httpx.URL(first.base_url).port
        with pytest.raises(OSError, match="in use"):
            Emulator(port=port).start()
        assert ask(first).status_code == 200
    with Emulator(port=port) as second:
        assert httpx.URL(second.base_url).port == port


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"plan": "gold"}, "gold"),
        ({"rpm": -1}, "rpm must be"),
        ({"window": 0}, "window must be"),
        ({"window": float("inf")}, "window must be"),
        ({"cooldown": -1}, "cooldown must be"),
        ({"cooldown": float("nan")}, "cooldown must be"),
        ({"latency": -1}, "latency must be"),
        ({"jitter": -1}, "jitter must be"),
        ({"port": 65536}, "port must be"),
    ],
)
def test_wrong_settings(settings, match):
    """Settings that are out of range are rejected by name."""
    with pytest.raises(ValueError, match=match):
        Emulator(**settings)


def test_missing_dependencies_are_named():
    """Without starlette, the import says what to install."""
    code = "import sys; sys.modules['starlette'] = None; import electronhub_embeddings.emulator"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert 'pip install "electronhub-embeddings[emulator]"' in done.stderr


def test_another_version_of_the_models():
    """Vectors of another version have only the length in common, and the first version can come back."""
    service = Emulator()
    before = service.vector("a text")
    service.model_version = 2
    after = service.vector("a text")
    assert service.model_version == 2
    assert before.shape == after.shape
    assert abs(float(before @ after)) < 0.2
    service.model_version = 1
    assert service.vector("a text").tolist() == before.tolist()
