"""The pytest fixture `electronhub`: an emulated Electron Hub for one test, with nothing to import or to configure.

    def test_search(electronhub):
        assert search("baking sourdough") == "Sourdough needs a starter."
        assert [call.texts for call in electronhub.calls] == [2, 1]

pytest imports this package at its start, in every project in whose environment `electronhub-embeddings` is installed.
It therefore imports only pytest; the emulator is imported by the first test that uses it. A module of
`electronhub_embeddings` would import the client as well, which takes 0.06 s.

PYTEST_DONT_REWRITE: there is no assertion to rewrite, and so no warning if this package was imported before pytest.
"""

from __future__ import annotations

import inspect
import uuid
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from electronhub_embeddings.emulator import Emulator

__all__ = ["electronhub"]

_MARK = "@pytest.mark.electronhub"
_DESCRIPTION = (
    "electronhub(plan=..., rpm=..., faults=..., ...): arguments of Emulator for the fixture electronhub; "
    "without plan and rpm there is no limit"
)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", _DESCRIPTION)


@pytest.fixture
def electronhub(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Serve an emulated Electron Hub during one test, and return its `Emulator`: calls, faults, vectors.

    ELECTRONHUB_BASE_URL and ELECTRONHUB_API_KEY name it, in this process and in its child processes. There is no limit,
    unless `@pytest.mark.electronhub` sets one by `plan` or `rpm`; the marker takes all arguments of `Emulator`.
    """
    # A rate limit belongs to an address and a key. Ports are used again, so only a new key makes sure that no test
    # waits for the requests of another one.
    name = uuid.uuid4().hex
    emulator = _start({"api_key": f"ek-test-{name}", **_read_markers(request.node)})
    # The user's state folder is not for tests. This one is created when a client writes to it.
    state_folder = tmp_path_factory.getbasetemp() / "electronhub" / name
    # A MonkeyPatch of its own: a test that calls `monkeypatch.undo()` must not reach the real service.
    with emulator, pytest.MonkeyPatch.context() as environment:
        environment.setenv("ELECTRONHUB_BASE_URL", emulator.base_url)
        environment.setenv("ELECTRONHUB_API_KEY", emulator.api_key)
        environment.setenv("ELECTRONHUB_STATE_FOLDER", str(state_folder))
        yield emulator


def _read_markers(test: pytest.Item) -> dict[str, Any]:
    """Return the arguments for `Emulator`; a marker of the test overrides those of its class and module."""
    arguments: dict[str, Any] = {"rpm": 0}
    for marker in reversed(list(test.iter_markers("electronhub"))):
        if marker.args:
            raise _failure(f"{_MARK} takes keyword arguments only, not {', '.join(map(repr, marker.args))}")
        if "plan" in marker.kwargs:
            arguments.pop("rpm", None)  # `rpm` would override the plan
        arguments.update(marker.kwargs)
    return arguments


def _start(arguments: dict[str, Any]) -> Emulator:
    try:
        from electronhub_embeddings.emulator import Emulator  # noqa: PLC0415 - takes up to 0.5 s: only if it is used
    except ImportError as error:
        raise _failure(f"The fixture electronhub cannot be used: {error}") from None
    known = inspect.signature(Emulator).parameters
    if unknown := [name for name in arguments if name not in known]:
        raise _failure(f"{_MARK}: Emulator has no argument {', '.join(unknown)}; it has {', '.join(known)}")
    try:
        return Emulator(**arguments).start()
    except (ImportError, ValueError, OSError) as error:
        raise _failure(f"{_MARK}: {error}") from None


def _failure(message: str) -> BaseException:
    """Return an error of which pytest shows only the message."""
    return pytest.fail.Exception(message, pytrace=False)
