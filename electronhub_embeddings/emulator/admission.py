"""Judges a call: key, rate limit, fault, rules, in this order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from electronhub_embeddings.emulator import refusals
from electronhub_embeddings.emulator.faults.fault import NO_FAULT, Fault, Manner
from electronhub_embeddings.emulator.refusals import Refusal

if TYPE_CHECKING:
    import random

    from electronhub_embeddings.emulator.faults.script import Script
    from electronhub_embeddings.emulator.meter import Meter
    from electronhub_embeddings.emulator.rules import Order, Rules


@dataclass(frozen=True)
class Verdict:
    """What will become of a call."""

    outcome: Order | Refusal
    fault: Fault = NO_FAULT
    admitted: bool = True
    """False when the key or the limit turned the call away: it costs no service time and uses up no fault."""
    limited: bool = False
    in_cooldown: bool = False

    @property
    def status(self) -> int | None:
        """The HTTP status of the answer; None when no byte of it will be sent."""
        if self.fault.manner in (Manner.DROPPED, Manner.RESET):
            return None
        if self.fault.reply is not None:
            return self.fault.reply.status
        return self.outcome.status if isinstance(self.outcome, Refusal) else 200

    @property
    def prompt_tokens(self) -> int:
        """Tokens charged: all of the order's, unless it ends in an error. A lost answer is charged."""
        if isinstance(self.outcome, Refusal) or self.fault.reply is not None:
            return 0
        return self.outcome.prompt_tokens


@dataclass(frozen=True)
class Admission:
    """What a call has to pass."""

    api_key: str
    meter: Meter | None
    """None: no limit."""
    script: Script
    dice: random.Random
    rules: Rules

    def judge(self, authorization: str, body: Any, now: float) -> Verdict:
        """Count a call and judge it.

        Args:
            authorization: the header's value.
            body: the request's JSON.
            now: seconds on the emulator's clock.
        """
        try:
            self.authenticate(authorization)
        except Refusal as refusal:
            # A key that does not exist has no limit to count against.
            return Verdict(refusal, admitted=False)
        if self.meter is not None:
            in_cooldown = self.meter.cooling(now)
            # Counted before the rules are asked: failed calls count too.
            seconds = self.meter.count(now)
            if seconds is not None:
                return Verdict(refusals.rate_limited(seconds), admitted=False, limited=True, in_cooldown=in_cooldown)
        fault = self.script.take(self.dice) or NO_FAULT
        try:
            return Verdict(self.rules.order(body), fault)
        except Refusal as refusal:
            return Verdict(refusal, fault)

    def authenticate(self, authorization: str) -> None:
        """Check the key.

        Raises:
            Refusal: 401 for an unknown key, 403 for one that cannot do embeddings.
        """
        scheme, _, key = authorization.partition(" ")
        if key.startswith("ek-dev-"):
            raise refusals.coding_plan_key()
        if scheme.lower() != "bearer" or key != self.api_key:
            raise refusals.unknown_key()
