"""Search Python's standard library in plain English, with LangChain and with LlamaIndex.

The documents are the docstrings of the standard library's modules: real text, on every machine. With
ELECTRONHUB_API_KEY set this talks to the service, else it starts the emulator on this machine and says so.

    pip install "electronhub-embeddings[langchain,llama-index,semantic]"
    python examples/quickstart.py
"""

from __future__ import annotations

import ast
import asyncio
import importlib
import os
import sys
import time
import warnings
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore
from llama_index.core import VectorStoreIndex
from llama_index.core.schema import TextNode

from electronhub_embeddings.emulator import Emulator
from langchain_electronhub import ElectronHubEmbeddings
from llama_index_electronhub import ElectronHubEmbedding

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from electronhub_embeddings import Usage

QUESTIONS = [
    "compress a file",
    "run another program as a subprocess",
    "plan an appointment in the calendar",
    "keep secrets safe",
    "hide what is typed as a password",
    "the average of some measurements",
    "parse command line arguments",
    "parse an XML document",
]


def read_docstrings() -> dict[str, str]:
    """Read the docstring of every public module of the standard library; only those written in C are imported."""
    docstrings = {}
    for name in sorted(sys.stdlib_module_names):
        spec = None if name.startswith("_") else find_spec(name)
        if spec is None:
            continue
        if spec.origin and spec.origin.endswith(".py"):
            docstring = ast.get_docstring(ast.parse(Path(spec.origin).read_bytes()))
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # some of them are deprecated
                docstring = importlib.import_module(name).__doc__
        if docstring:
            docstrings[name] = f"{name}: {docstring}"
    return docstrings


def service() -> AbstractContextManager[object]:
    """Use the service if there is a key for it, else an emulator with the limits of its free plan."""
    if os.environ.get("ELECTRONHUB_API_KEY"):
        print("Talking to the service: ELECTRONHUB_API_KEY is set.")
        return nullcontext()
    print("ELECTRONHUB_API_KEY is not set: starting an emulator on this machine (free plan, 5 requests a minute).")
    if find_spec("wordllama"):
        print("Its vectors come from a small model, so it finds texts by their meaning.")
    else:
        print('Its vectors come from hashed words; by meaning: pip install "electronhub-embeddings[semantic]"')
    emulator = Emulator(plan="free", embed="auto").start()
    os.environ.update(ELECTRONHUB_API_KEY=emulator.api_key, ELECTRONHUB_BASE_URL=emulator.base_url)
    return emulator


async def search_with_langchain(docstrings: dict[str, str]) -> None:
    """Part one: a LangChain vector store."""
    began = time.perf_counter()
    embeddings = ElectronHubEmbeddings(model="text-embedding-3-small")
    store = InMemoryVectorStore(embeddings)
    await store.aadd_documents([Document(text, metadata={"module": name}) for name, text in docstrings.items()])
    answers = await asyncio.gather(*(store.asimilarity_search(question, k=4) for question in QUESTIONS))
    report("LangChain", [[document.metadata["module"] for document in best] for best in answers])
    account(embeddings.usage, began)


async def search_with_llama_index(docstrings: dict[str, str]) -> None:
    """Part two: a LlamaIndex index."""
    began = time.perf_counter()
    embedding = ElectronHubEmbedding(model="text-embedding-3-small")
    nodes = [TextNode(text=text, id_=name) for name, text in docstrings.items()]
    index = VectorStoreIndex(nodes, embed_model=embedding)
    retriever = index.as_retriever(similarity_top_k=4)
    answers = await asyncio.gather(*(retriever.aretrieve(question) for question in QUESTIONS))
    report("LlamaIndex", [[found.node.node_id for found in best] for best in answers])
    account(embedding.usage, began)


def report(framework: str, answers: list[list[str]]) -> None:
    """Print each question with its best four modules."""
    print(f"\n{framework}")
    for question, modules in zip(QUESTIONS, answers, strict=True):
        print(f"  {question:<36} {', '.join(modules)}")


def account(usage: Usage, began: float) -> None:
    """Print what it took; the questions were asked at once, so they left in one request."""
    seconds = time.perf_counter() - began
    print(f"  {usage.texts} texts in {usage.requests} requests, {usage.total_tokens:,} tokens, {seconds:.1f} seconds")


async def main() -> None:
    """Run both parts over the same documents."""
    docstrings = read_docstrings()
    print(f"{len(docstrings)} docstrings, {sum(map(len, docstrings.values())):,} characters.")
    await search_with_langchain(docstrings)
    await search_with_llama_index(docstrings)


if __name__ == "__main__":
    with service():
        asyncio.run(main())
