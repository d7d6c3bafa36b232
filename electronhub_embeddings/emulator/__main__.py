"""`python -m electronhub_embeddings.emulator --plan free --port 8787`: serve until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import errno
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Final, NoReturn

from electronhub_embeddings.emulator._emulator import Emulator
from electronhub_embeddings.emulator._rate_limit import DOCUMENTED_WINDOW, PLANS
from electronhub_embeddings.emulator._vector_source import EMBED_CHOICES, chosen

if TYPE_CHECKING:
    from collections.abc import Sequence

_HINT: Final = ' (for semantic ones: pip install "electronhub-embeddings[semantic]")'


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal arrives and return 0.

    Raises:
        SystemExit: with status 2 and one line on stderr, an argument is wrong or the port cannot be used.
    """
    parser = _make_parser()
    options = parser.parse_args(arguments)
    settings = vars(options)
    log = _write_line if settings.pop("log_requests") else None
    asked = settings.pop("vectors")
    vectors = chosen(asked)
    stopping = threading.Event()

    def stop(*_: object) -> None:
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    try:
        service = Emulator(**settings, embed=vectors, keep_bodies=False, log=log).start()
    except (ImportError, ValueError) as error:
        parser.error(str(error))
    except OSError as error:
        parser.error(_explain(error, options.port))
    with service:
        limit = PLANS[options.plan] if options.rpm is None else options.rpm
        sys.stdout.write(
            f"Electron Hub emulator, plan {options.plan}: "
            f"{limit or 'unlimited'} requests in {options.window:g} s, cooldown {options.cooldown:g} s, "
            f"{vectors} vectors{'' if vectors in ('semantic', asked) else _HINT}\n"
            f"export ELECTRONHUB_BASE_URL={service.base_url}\n"
            f"export ELECTRONHUB_API_KEY={service.api_key}\n"
        )
        sys.stdout.flush()
        # Windows delivers signals only between waits.
        while not stopping.wait(0.5):
            pass
    return 0


class _Parser(argparse.ArgumentParser):
    """Reports an error in one line: argparse would put the usage of every option above it."""

    def error(self, message: str) -> NoReturn:
        """Exit with status 2 and the message."""
        self.exit(2, f"{self.prog}: error: {message}\n")


def _make_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m electronhub_embeddings.emulator",
        description="Serve an emulated Electron Hub API, embeddings and chat, on loopback.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--plan", choices=PLANS, default="free", help="sets the requests per minute")
    parser.add_argument("--rpm", type=int, help="requests per minute in place of the plan's; 0: no limit")
    parser.add_argument(
        "--vectors",
        choices=EMBED_CHOICES,
        default="auto",
        help="semantic: by meaning, with the extra `semantic`; hashed: by words; auto: semantic where it is installed",
    )
    parser.add_argument("--window", type=float, default=DOCUMENTED_WINDOW, help="seconds for which a call counts")
    parser.add_argument("--cooldown", type=float, default=180.0, help="seconds of cooldown after a call over the limit")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds of service time")
    parser.add_argument("--jitter", type=float, default=0.0, help="up to this many seconds before a call is counted")
    parser.add_argument("--api-key", default="ek-emulator", help="the accepted key")
    parser.add_argument("--port", type=int, default=8787, help="0: a free port")
    parser.add_argument(
        "--log-requests",
        action="store_true",
        help="print a line on stderr for each request: method, path, status, calls that remain, "
        "texts or messages, milliseconds",
    )
    return parser


def _explain(error: OSError, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is in use: choose another with --port, or a free one with --port 0"
    reason = os.strerror(error.errno) if error.errno else error
    return f"cannot listen on port {port}: {reason}"


def _write_line(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
