"""Child processes for tests: started together, released at the same moment, and always ended."""

import os
import subprocess
import sys

import pytest

TIMEOUT = 30.0
"""Seconds after which a process that should have ended is killed."""


def slow_except(kept, names):
    """Return names as parameters of a test, and leave all except some to `make check`."""
    return [name if name in kept else pytest.param(name, marks=pytest.mark.slow) for name in names]


def begin(script, *arguments, count=1, **environment):
    """Start a script in `count` processes; each prints "ready" and waits to be released."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    env = {**os.environ, **environment}
    return [
        subprocess.Popen(command, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(count)
    ]


def release(children):
    """Release processes at the same moment, once all are ready."""
    assert [child.stdout.readline() for child in children] == ["ready\n"] * len(children)
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()


def finish(children):
    """Wait for processes and return their output; all must exit with 0."""
    try:
        written = [child.communicate(timeout=TIMEOUT)[0] for child in children]
    finally:
        for child in children:
            kill(child)
    assert [child.returncode for child in children] == [0] * len(children)
    return written


def kill(child):
    """Kill a process (SIGKILL) if it is still running."""
    child.kill()
    child.wait(TIMEOUT)
    for pipe in (child.stdin, child.stdout):
        pipe.close()


def embed_with_pid(thing, text):
    """Embed a query; return the id of the current process and the vector."""
    query = thing.get_query_embedding if hasattr(thing, "get_query_embedding") else thing.embed_query
    return os.getpid(), [float(number) for number in query(text)]


def counting_script(store):
    """Return a script that changes a store of this class; its arguments are the location and the number of changes."""
    return f"""
import sys
from {store.__module__} import {store.__name__}

def count(window, now):
    window.limit = (window.limit or 0) + 1

store = {store.__name__}(sys.argv[1], "an account")
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[2])):
    store.update(count)
store.close()
"""
