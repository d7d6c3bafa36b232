"""The pytest fixture `electronhub`, in projects of users."""

import subprocess
import sys
import textwrap

import pytest

from electronhub_embeddings import EmbeddingsClient
from electronhub_embeddings.emulator import Emulator

pytest_plugins = ["pytester"]

COMMON = """
import os, subprocess, sys, urllib.request
import pytest
from electronhub_embeddings import EmbeddingsClient

def limit_of(emulator):
    with urllib.request.urlopen(emulator.base_url + "/models") as response:
        return response.headers["X-RateLimit-Limit"]
"""
"""The first lines of each module of a user's tests."""


@pytest.fixture(scope="module", autouse=True)
def _imported():
    """Import what a client imports at its first text: pytester forgets modules that its own run imports first."""
    with Emulator() as service, EmbeddingsClient(base_url=service.base_url, api_key=service.api_key) as client:
        client.embed_query("one")


@pytest.fixture
def project(pytester, monkeypatch):
    """Return a function that runs a module of tests in a project of its own, with this package's plugin alone."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    # A user's own settings, which no test may use.
    monkeypatch.setenv("ELECTRONHUB_BASE_URL", "https://api.electronhub.example/v1")
    monkeypatch.setenv("ELECTRONHUB_API_KEY", "ek-user")

    def run(tests, *options, method="inprocess"):
        pytester.makepyfile(COMMON + textwrap.dedent(tests))
        started = pytester.runpytest_inprocess if method == "inprocess" else pytester.runpytest_subprocess
        return started("-p", "pytest_electronhub", "--strict-markers", "-W", "error", *options)

    return run


def test_the_environment_names_the_emulator(project):
    """During a test, a client without arguments asks the emulator; afterwards the environment is as it was."""
    done = project("""
        def test_during(electronhub, monkeypatch):
            monkeypatch.undo()  # does not undo what the fixture has set
            assert os.environ["ELECTRONHUB_BASE_URL"] == electronhub.base_url
            assert os.environ["ELECTRONHUB_API_KEY"] == electronhub.api_key
            vector = EmbeddingsClient().embed_query("hello")
            assert vector.tolist() == electronhub.vector("hello").tolist()
            assert [call.texts for call in electronhub.calls] == [1]

        def test_new_for_each_test(electronhub):
            assert electronhub.calls == []

        def test_after():
            assert os.environ["ELECTRONHUB_BASE_URL"] == "https://api.electronhub.example/v1"
            assert os.environ["ELECTRONHUB_API_KEY"] == "ek-user"
            assert "ELECTRONHUB_STATE_FOLDER" not in os.environ
    """)
    done.assert_outcomes(passed=3)


def test_no_test_waits_for_another(project, state_folder):
    """Each test has the whole limit, even at the same port, and the user's state folder is not used."""
    with Emulator() as service:
        port = service.base_url.rpartition(":")[2].partition("/")[0]
    done = project(f"""
        kept = []

        @pytest.mark.electronhub(plan="free", port={port})
        @pytest.mark.parametrize("number", range(2))
        def test_whole_limit(electronhub, number):
            kept.append(EmbeddingsClient(batch_size=1, max_wait=1))  # the client of the first test is still open
            kept[-1].embed([f"text {{i}}" for i in range(5)])
            assert [call.status for call in electronhub.calls] == [200] * 5
    """)
    done.assert_outcomes(passed=2)
    assert not state_folder.exists()


@pytest.mark.slow
def test_child_processes_use_the_emulator(project, state_folder):
    """A child process asks the emulator, shares the window, and does not use the user's state folder."""
    done = project("""
        SCRIPT = "from electronhub_embeddings import EmbeddingsClient as C; C(max_wait=1).embed_query('a text')"

        @pytest.mark.electronhub(rpm=2)
        def test_child(electronhub):
            EmbeddingsClient().embed_query("another text")
            assert subprocess.run([sys.executable, "-c", SCRIPT]).returncode == 0
            assert [call.status for call in electronhub.calls] == [200, 200]
            last = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
            assert "RateLimitError" in last.stderr
            assert len(electronhub.calls) == 2
    """)
    done.assert_outcomes(passed=1)
    assert not state_folder.exists()


def test_markers(project):
    """The marker of a test overrides those of its class and module; without `plan` and `rpm` there is no limit."""
    done = project("""
        pytestmark = pytest.mark.electronhub(api_key="ek-chosen")

        def test_without_limit(electronhub):
            assert (limit_of(electronhub), electronhub.api_key) == (None, "ek-chosen")

        @pytest.mark.electronhub(rpm=7)
        class TestClass:
            def test_of_the_class(self, electronhub):
                assert (limit_of(electronhub), electronhub.api_key) == ("7", "ek-chosen")

            @pytest.mark.electronhub(plan="starter", api_key="ek-other")
            def test_of_the_test(self, electronhub):
                assert (limit_of(electronhub), electronhub.api_key) == ("10", "ek-other")
                assert os.environ["ELECTRONHUB_API_KEY"] == "ek-other"
    """)
    done.assert_outcomes(passed=3)


def test_wrong_markers(project):
    """A wrong argument is an error in one line, which names the arguments that there are."""
    done = project("""
        @pytest.mark.electronhub(requests_per_minute=5)
        def test_unknown(electronhub): pass

        @pytest.mark.electronhub("free")
        def test_positional(electronhub): pass

        @pytest.mark.electronhub(plan="gold")
        def test_out_of_range(electronhub): pass
    """)
    done.assert_outcomes(errors=3)
    mark = "@pytest.mark.electronhub"
    done.stdout.fnmatch_lines_random(
        [
            f"{mark}: Emulator has no argument requests_per_minute; it has plan, rpm, window, *",
            f"{mark} takes keyword arguments only, not 'free'",
            f"{mark}: unknown plan 'gold': expected one of free, starter, *",
        ]
    )
    done.stdout.no_fnmatch_line("*above exception*")


def test_missing_extra(project, monkeypatch):
    """Without the extra, the fixture says what to install, and other tests run."""
    monkeypatch.delitem(sys.modules, "electronhub_embeddings.emulator")
    monkeypatch.setitem(sys.modules, "starlette", None)
    done = project("""
        def test_with(electronhub): pass
        def test_without(): pass
    """)
    done.assert_outcomes(errors=1, passed=1)
    done.stdout.fnmatch_lines(['The fixture electronhub *pip install "electronhub-embeddings[[]emulator]"'])


def test_async(project):
    """The fixture works in tests of pytest-asyncio."""
    done = project(
        """
        @pytest.mark.asyncio
        async def test_async(electronhub):
            async with EmbeddingsClient() as client:
                assert (await client.aembed_query("hello")).tolist() == electronhub.vector("hello").tolist()
        """,
        *("-p", "pytest_asyncio.plugin", "-o", "asyncio_default_fixture_loop_scope=function"),
    )
    done.assert_outcomes(passed=1)


@pytest.mark.slow
def test_xdist(project):
    """The fixture works on several processes of pytest-xdist."""
    done = project(
        """
        @pytest.mark.electronhub(plan="free")
        @pytest.mark.parametrize("number", range(6))
        def test_whole_limit(electronhub, number):
            EmbeddingsClient(batch_size=1, max_wait=1).embed([f"text {i}" for i in range(5)])
            assert len(electronhub.calls) == 5
        """,
        *("-p", "xdist", "-n", "2"),
        method="subprocess",
    )
    done.assert_outcomes(passed=6)


def test_the_plugin_imports_nothing_but_pytest():
    """At its start, pytest imports neither the client nor the emulator nor anything slow."""
    script = "import sys, pytest; old = set(sys.modules); import pytest_electronhub; print(*set(sys.modules) - old)"
    names = subprocess.check_output([sys.executable, "-c", script], text=True).split()
    assert names == ["pytest_electronhub"]
