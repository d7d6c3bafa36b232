"""`python -m electronhub_embeddings check`: say whether key, base URL, model and limit are right."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from electronhub_embeddings._config.base_url import resolve_base_url
from electronhub_embeddings._config.options import DEFAULT_MODEL
from electronhub_embeddings._session.check import CheckResult
from electronhub_embeddings.client import EmbeddingsClient

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return 0 if nothing wrong was found, else 1.

    Raises:
        SystemExit: With status 2, an argument is unknown.
    """
    options = _make_parser().parse_args(arguments)
    try:
        result = _check(options.model, options.base_url, send=options.send)
    except ValueError as error:  # an argument is out of range
        sys.stdout.write(f"result    {error}\n")
        return 1
    sys.stdout.write(f"{result}\n")
    return 0 if result.ok else 1


def _check(model: str, base_url: str | None, *, send: bool) -> CheckResult:
    if not os.environ.get("ELECTRONHUB_API_KEY"):
        base_url = resolve_base_url("base_url", base_url)
        return CheckResult(base_url, model, sent=False, key="not set", problem="Set ELECTRONHUB_API_KEY to your key.")
    with EmbeddingsClient(model, base_url=base_url) as client:
        return client.check(send=send)


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m electronhub_embeddings")
    commands = parser.add_subparsers(required=True, metavar="check")
    check = commands.add_parser(
        "check",
        help="say whether key, base URL, model and limit are right",
        description="Say whether key, base URL, model and limit are right. The key is that of ELECTRONHUB_API_KEY, and "
        "is not shown. Exit code 1: something is wrong, and the last line says what to do.",
    )
    check.add_argument("--send", action="store_true", help="send one request, which counts against the limit")
    check.add_argument("--model", default=DEFAULT_MODEL, help="default: %(default)s")
    check.add_argument("--base-url", help="default: ELECTRONHUB_BASE_URL, or else the service itself")
    return parser


if __name__ == "__main__":
    sys.exit(main())
