"""`python -m electronhub_embeddings.emulator --plan free --port 8787`: serve until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from typing import TYPE_CHECKING

from electronhub_embeddings.emulator.emulator import Emulator
from electronhub_embeddings.emulator.plans import PLANS

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal comes; return the exit code 0."""
    asked = _parser().parse_args(arguments)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    limit = PLANS[asked.plan] if asked.rpm is None else asked.rpm
    with Emulator(**vars(asked), keep_bodies=False) as service:
        sys.stdout.write(
            f"Electron Hub emulator, plan {asked.plan}: "
            f"{limit or 'unlimited'} requests in {asked.window:g} s, cooldown {asked.cooldown:g} s\n"
            f"export ELECTRONHUB_BASE_URL={service.base_url}\n"
            f"export ELECTRONHUB_API_KEY={service.api_key}\n"
        )
        sys.stdout.flush()
        # Windows delivers signals only between waits.
        while not stopped.wait(0.5):
            pass
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m electronhub_embeddings.emulator",
        description="Serve an emulated Electron Hub embeddings API on loopback.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--plan", choices=PLANS, default="free", help="sets the requests per minute")
    parser.add_argument("--rpm", type=int, help="requests per minute in place of the plan's; 0: no limit")
    parser.add_argument("--window", type=float, default=60.0, help="seconds for which a call counts")
    parser.add_argument("--cooldown", type=float, default=180.0, help="seconds after a call too many")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds of service time")
    parser.add_argument("--jitter", type=float, default=0.0, help="up to this many seconds on the way up")
    parser.add_argument("--api-key", default="ek-emulator", help="the key that is accepted")
    parser.add_argument("--port", type=int, default=8787, help="0: a free one")
    return parser


if __name__ == "__main__":
    sys.exit(main())
