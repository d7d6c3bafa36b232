"""Runs scripts under Python's audit hooks, to see which hosts a process contacts and what else it does."""

import json
import os
import subprocess
import sys

import pytest

from support.entry_points import ENTRY_POINTS

WAYS = {
    "client": ("from electronhub_embeddings import EmbeddingsClient as Kind", "embed", "embed_query"),
    "LangChain": ("from langchain_electronhub import ElectronHubEmbeddings as Kind", "embed_documents", "embed_query"),
    "LlamaIndex": (
        "from llama_index_electronhub import ElectronHubEmbedding as Kind",
        "get_text_embedding_batch",
        "get_query_embedding",
    ),
}

AUDIT = """
import asyncio, json, os, sys

contacted, done, armed = set(), [], []
NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.sendto")
FORBIDDEN = ("subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.spawn", "pickle.", "ctypes.",
             "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.chmod", "os.symlink", "os.link", "os.putenv",
             "exec", "shutil.", "tempfile.", "webbrowser.", "urllib.", "import")

def audit(event, args):
    if event in NETWORK:
        contacted.add(str(args[1] if event in ("socket.connect", "socket.sendto") else args[:2]))
    elif armed and (event.startswith(FORBIDDEN) or event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR)):
        done.append(f"{{event}} {{args}}"[:200])

sys.addaudithook(audit)
{maker}
thing = Kind(dimensions={dimensions}, max_retries=0)
"""


def audited(kind, script, service, dimensions=None):
    """Run a script under Python's audit hooks; return the JSON that it prints."""
    if kind not in {name.split()[0] for name in ENTRY_POINTS}:
        pytest.skip(f"{kind} is not installed")
    env = {**os.environ, "ELECTRONHUB_API_KEY": service.api_key, "ELECTRONHUB_BASE_URL": service.base_url}
    maker, embed, query = WAYS[kind]
    code = AUDIT.format(maker=maker, dimensions=dimensions) + script.format(embed=embed, query=query)
    ended = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60, check=True
    )
    return json.loads(ended.stdout)
