"""The end of processes: with queued texts, in finalisers, by Ctrl-C."""

import os
import signal
import subprocess
import sys

import pytest

from support.child_processes import slow_except
from support.entry_points import ENTRY_POINTS

pytestmark = [
    pytest.mark.usefixtures("quick_retries"),
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc, and signals as Linux has them"),
]

TIMEOUT = 40.0
"""Seconds after which a process that should have ended hangs: less than the minute that its calls have to wait."""

MAKERS = {
    "client": "from electronhub_embeddings import EmbeddingsClient as Kind",
    "LangChain": "from langchain_electronhub import ElectronHubEmbeddings as Kind",
    "LlamaIndex": "from llama_index_electronhub import ElectronHubEmbedding as Kind",
}

QUIET = ("-W", "error::ResourceWarning")
"""Without -X dev: asyncio's debug mode tells of every callback that takes 0.1 s, as the making of a connection does.

Where a test needs -X dev for its warnings, it runs its event loop with `debug=False`.
"""

BULK = {
    "client sync": ("client", "thing.embed(texts)"),
    "client stream": ("client", "list(thing.iter_embed(iter(texts)))"),
    "client async": ("client", "asyncio.run(thing.aembed(texts))"),
    "client bar": ("client", "thing.embed(texts, show_progress=True)"),
    "LangChain sync": ("LangChain", "thing.embed_documents(texts)"),
    "LangChain async": ("LangChain", "asyncio.run(thing.aembed_documents(texts))"),
    "LlamaIndex sync": ("LlamaIndex", "thing.get_text_embedding_batch(texts)"),
    "LlamaIndex async": ("LlamaIndex", "asyncio.run(thing.aget_text_embedding_batch(texts))"),
}
"""Ways to embed many texts, as they are written."""

BEGIN = """
import asyncio, atexit, os, signal, sys, threading
{maker}

def waiting():
    client = thing if hasattr(thing, "embed") else thing._client()
    connections = list(client._lifecycle._connections.values())
    return sum(len(call.inputs) for it in connections for call in it._workers._loop.scheduler._queues.calls())

def until(condition):
    while not condition():
        threading.Event().wait(0.002)

# A parent that ignores Ctrl-C, such as nohup, hands that on.
signal.signal(signal.SIGINT, signal.default_int_handler)
"""


def begin(kind, script, service, *arguments, flags=("-X", "dev", "-W", "error::ResourceWarning")):
    """Start a script that makes objects of a kind."""
    env = {**os.environ, "ELECTRONHUB_API_KEY": service.api_key, "ELECTRONHUB_BASE_URL": service.base_url}
    return subprocess.Popen(
        [sys.executable, *flags, "-c", BEGIN.format(maker=MAKERS[kind]) + script, *map(str, arguments)],
        env=env,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def end(child):
    """Wait for a process; return its exit status and its output."""
    try:
        out, err = child.communicate(timeout=TIMEOUT)
    finally:
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout, child.stderr):
            pipe.close()
    return child.returncode, out, err


def run(kind, script, service, *arguments, **options):
    """Run a script to its end."""
    return end(begin(kind, script, service, *arguments, **options))


# The interpreter leaves.

CROWDS = {
    "threads": """
for number in range(20):
    threading.Thread(target=thing.{ask}, args=(f"text {{number}}",), daemon=True).start()
until(lambda: waiting() == 20)
""",
    "tasks": """
async def main():
    tasks = [asyncio.ensure_future(thing.a{ask}(f"text {{number}}")) for number in range(20)]
    while waiting() < 20:
        await asyncio.sleep(0.002)

asyncio.run(main(), debug=False)
""",
}


@pytest.mark.parametrize("crowd", CROWDS)
@pytest.mark.parametrize("kind", slow_except({"client"}, MAKERS))
def test_leaving_with_work_in_the_line(emulator, kind, crowd):
    """A program that exits while 20 calls wait for the limit ends at once, with its own exit status.

    It has written nothing but why it was waiting.
    """
    if kind not in {name.split()[0] for name in ENTRY_POINTS}:
        pytest.skip(f"{kind} is not installed")
    service, ask = emulator(rpm=1), "get_query_embedding" if kind == "LlamaIndex" else "embed_query"
    script = f"thing = Kind()\nthing.{ask}('first')\n{CROWDS[crowd].format(ask=ask)}\nsys.exit(7)"
    status, out, err = run(kind, script, service)
    assert (status, out) == (7, "")
    assert all(line.startswith("rate limit: next request in ") for line in err.splitlines())
    assert len(service.calls) == 1


@pytest.mark.parametrize("store", [pytest.param(None, marks=pytest.mark.slow), "limits.db"], ids=["memory", "file"])
def test_leaving_without_closing(emulator, tmp_path, store):
    """Objects used sync and async and never closed cause no warning, with all of Python's warnings enabled."""
    script = """
thing = Kind(rate_limit_store=sys.argv[1] or None)
thing.embed(["one", "two"])
asyncio.run(thing.aembed(["three"]), debug=False)
next(thing.iter_embed(["four", "five"]))
other = Kind(dimensions=8, rate_limit_store=sys.argv[1] or None)
other.embed_query("six")
del other
"""
    path = tmp_path / store if store else ""
    assert run("client", script, emulator(rpm=0), path, flags=("-X", "dev", "-W", "error")) == (0, "", "")


@pytest.mark.parametrize(
    "before", [pytest.param("", marks=pytest.mark.slow), "thing.embed_query('before')"], ids=["fresh", "used"]
)
@pytest.mark.parametrize("ask", ["thing.embed_query('last')", "asyncio.run(thing.aembed_query('last'))"])
def test_embedding_at_exit(emulator, before, ask):
    """An `atexit` handler can still embed, with a used client or, except on Python 3.12, a new one."""
    script = f"thing = Kind()\n{before}\natexit.register(lambda: print({ask}.shape))"
    status, out, err = run("client", script, emulator(rpm=0), flags=QUIET)
    if sys.version_info[:2] == (3, 12) and not before:
        assert (status, out) == (0, "")
        assert "can't create new thread at interpreter shutdown" in err  # Python's own words
    else:
        assert (status, out, err) == (0, "(1536,)\n", "")


@pytest.mark.parametrize("last", ["self.thing.embed_query('last')", "self.thing.close()"], ids=["embed", "close"])
def test_finalisers_at_exit(emulator, last, monkeypatch):
    """An object that embeds or closes in `__del__`, after the interpreter has stopped all threads, does not hang."""
    monkeypatch.setattr(sys.modules[__name__], "TIMEOUT", 8.0)  # while it hangs
    script = f"""
class Owner:
    def __init__(self):
        self.thing = Kind()
        self.thing.embed_query("before")

    def __del__(self):
        try:
            {last}
        except Exception as error:
            os.write(1, type(error).__name__.encode())

owner = Owner()
owner.itself = owner
sys.modules["owner"] = owner
"""
    status, out, _ = run("client", script, emulator(rpm=0))
    assert (status, out) in {(0, ""), (0, "ElectronHubError")}


# Modules that cannot be imported.


@pytest.mark.parametrize(
    "options", ["", pytest.param("cache='vectors.sqlite'", marks=pytest.mark.slow)], ids=["plain", "cache"]
)
def test_a_module_that_cannot_be_imported(emulator, tmp_path, options):
    """Each call ends with an error that names it, although only a worker thread imports it.

    Each module is missing in a process of its own, forked before any of them is imported.
    """
    modules = ["httpx", "msgspec", "numpy", "pybase64"]
    script = f"""
os.chdir(sys.argv[1])
for module in {modules}:
    assert module not in sys.modules
    if child := os.fork():
        assert os.waitpid(child, 0)[1] == 0
        continue
    sys.modules[module] = None
    for _ in range(2):
        try:
            Kind({options}).embed(["one"])
        except Exception as error:
            print(module, module in str(error))
    break
"""
    said = "".join(f"{module} True\n" * 2 for module in modules)
    assert run("client", script, emulator(rpm=0), tmp_path) == (0, said, "")


# Ctrl-C.


@pytest.mark.parametrize(
    "way", slow_except({"client sync", "client async"}, [way for way in BULK if "LlamaIndex" not in way])
)  # LlamaIndex takes 5 s to import, and is below
def test_ctrl_c_ends_the_program(emulator, hold, until, way):
    """SIGINT ends a program that waits for vectors with a KeyboardInterrupt, although a request is in flight."""
    kind, call = BULK[way]
    if kind not in {name.split()[0] for name in ENTRY_POINTS}:
        pytest.skip(f"{kind} is not installed")
    service = emulator(rpm=0, faults=[hold.fault])
    script = f"texts = {hold.texts + ['more'] * 8}\nthing = Kind(batch_size=32)\n{call}"
    child = begin(kind, script, service, flags=QUIET)
    until(lambda: len(service.calls) == 1 or child.poll() is not None)
    child.send_signal(signal.SIGINT)
    status, _, err = end(child)
    raised = [words for words in err.splitlines() if words and not words.startswith((" ", "Traceback", "During"))]
    assert status == -signal.SIGINT
    assert raised[-1] == "KeyboardInterrupt"
    # asyncio itself turns a cancelled task into the interrupt; a bar that was drawn stays on the screen.
    assert [words for words in raised[:-1] if "CancelledError" not in words and "text/s" not in words] == []
    assert [call.body["input"] for call in service.calls] == [hold.texts]


@pytest.mark.parametrize("way", slow_except({"client stream"}, BULK))
def test_ctrl_c_takes_back_what_was_not_sent(emulator, hold, until, way):
    """A program that continues after SIGINT never sends the unsent texts of the interrupted call."""
    kind, call = BULK[way]
    if kind not in {name.split()[0] for name in ENTRY_POINTS}:
        pytest.skip(f"{kind} is not installed")
    service = emulator(rpm=0, faults=[hold.fault])
    script = f"""
texts = {hold.texts} + [f"never {{number}}" for number in range(200)]
thing = Kind(batch_size=32)
try:
    {call}
except KeyboardInterrupt:
    print("interrupted", flush=True)
    sys.stdin.readline()
    (getattr(thing, "embed_query", None) or thing.get_query_embedding)("after")
    thing.close()
"""
    child = begin(kind, script, service, flags=QUIET)
    until(lambda: len(service.calls) == 1 or child.poll() is not None)
    child.send_signal(signal.SIGINT)
    until(lambda: child.poll() is not None or child.stdout.readline())
    hold.release()
    child.stdin.write("\n")
    child.stdin.flush()
    status, _, err = end(child)
    assert (status, err if "bar" not in way else "") == (0, "")
    assert [call.body["input"] for call in service.calls] == [hold.texts, ["after"]]
