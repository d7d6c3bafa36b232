"""Processes of a test: started together, let go at the same moment, and ended for certain."""

import os
import subprocess
import sys

LONGEST = 30.0
"""Seconds after which a process that should have ended is given up."""


def begin(script, *arguments, count=1, **environment):
    """Start a script in so many processes; each says when it is ready, and waits to be released."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    env = {**os.environ, **environment}
    return [
        subprocess.Popen(command, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(count)
    ]


def release(children):
    """Let processes go on at the same moment, when all are ready."""
    assert [child.stdout.readline() for child in children] == ["ready\n"] * len(children)
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()


def finish(children):
    """Wait for processes and return what they wrote; all must end well."""
    try:
        written = [child.communicate(timeout=LONGEST)[0] for child in children]
    finally:
        for child in children:
            kill(child)
    assert [child.returncode for child in children] == [0] * len(children)
    return written


def kill(child):
    """End a process by SIGKILL, if it still runs."""
    child.kill()
    child.wait(LONGEST)
    for pipe in (child.stdin, child.stdout):
        pipe.close()


def embed_here(thing, text):
    """Embed a query in a worker process: return its id, and the vector."""
    query = thing.get_query_embedding if hasattr(thing, "get_query_embedding") else thing.embed_query
    return os.getpid(), [float(number) for number in query(text)]


def counting(store):
    """Return a script that changes a store of this class: where it is and how often are the arguments."""
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
