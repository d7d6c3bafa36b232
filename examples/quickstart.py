"""Search Python's standard library in plain English, with LangChain and with LlamaIndex.

The documents are the docstrings of the standard library's modules: real text, on every machine. With
ELECTRONHUB_API_KEY set this talks to the service, else it starts the emulator on this machine and says so.

    pip install "electronhub-embeddings[all]"
    python examples/quickstart.py
"""

from __future__ import annotations

import ast
import asyncio
import importlib.util
import os
import sys
import time
from contextlib import nullcontext
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
    "read command line options",
    "compress a file",
    "parse an XML document",
    "send an e-mail message",
    "generate random numbers",
    "run another program as a subprocess",
]


def read_docstrings() -> dict[str, str]:
    """Read the docstring of every public module of the standard library, without importing it."""
    docstrings = {}
    for name in sorted(sys.stdlib_module_names):
        spec = None if name.startswith("_") else importlib.util.find_spec(name)
        if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
            continue
        docstring = ast.get_docstring(ast.parse(Path(spec.origin).read_bytes()))
        if docstring:
            docstrings[name] = f"{name}: {docstring}"
    return docstrings


def service() -> AbstractContextManager[object]:
    """Use the service if there is a key for it, else an emulator with the limits of its free plan."""
    if os.environ.get("ELECTRONHUB_API_KEY"):
        print("Talking to the service: ELECTRONHUB_API_KEY is set.")
        return nullcontext()
    print("ELECTRONHUB_API_KEY is not set: starting an emulator on this machine (free plan, 5 requests a minute).")
    print("Its vectors come from hashed words: good enough to see everything work, not to judge a model by.")
    emulator = Emulator(plan="free").start()
    os.environ.update(ELECTRONHUB_API_KEY=emulator.api_key, ELECTRONHUB_BASE_URL=emulator.base_url)
    return emulator


async def search_with_langchain(docstrings: dict[str, str]) -> None:
    """Part one: a LangChain vector store."""
    began = time.perf_counter()
    embeddings = ElectronHubEmbeddings(model="text-embedding-3-small")
    store = InMemoryVectorStore(embeddings)
    await store.aadd_documents([Document(text, metadata={"module": name}) for name, text in docstrings.items()])
    answers = await asyncio.gather(*(store.asimilarity_search(question, k=3) for question in QUESTIONS))
    report("LangChain", [[document.metadata["module"] for document in best] for best in answers])
    account(embeddings.usage, began)


async def search_with_llama_index(docstrings: dict[str, str]) -> None:
    """Part two: a LlamaIndex index."""
    began = time.perf_counter()
    embedding = ElectronHubEmbedding(model="text-embedding-3-small")
    nodes = [TextNode(text=text, id_=name) for name, text in docstrings.items()]
    index = VectorStoreIndex(nodes, embed_model=embedding)
    retriever = index.as_retriever(similarity_top_k=3)
    answers = await asyncio.gather(*(retriever.aretrieve(question) for question in QUESTIONS))
    report("LlamaIndex", [[found.node.node_id for found in best] for best in answers])
    account(embedding.usage, began)


def report(framework: str, answers: list[list[str]]) -> None:
    """Print each question with its best three modules."""
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
