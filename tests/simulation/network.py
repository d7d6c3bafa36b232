"""The network to the service: latency, jitter, loss and faults."""

from dataclasses import dataclass, field

from electronhub_embeddings._codec.result import Result
from electronhub_embeddings.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    InsufficientBalanceError,
    InvalidResponseError,
    RateLimitError,
    ServerError,
)
from simulation.limiter import headers
from simulation.service import Answer

LATE_ARRIVAL = 1.9
"""Maximum seconds for which a request whose connection broke can still be in flight."""

BY_STATUS = {
    400: BadRequestError,
    401: AuthenticationError,
    402: InsufficientBalanceError,
    413: BadRequestError,
    429: RateLimitError,
}
FAULTS = ("refused", "lost", "reset", "time-out", "500", "503", "broken", "cut row")


@dataclass(frozen=True)
class NetworkConditions:
    """How the network and the service treat requests in one run; seconds."""

    uplink: tuple = (0.05, 0.3)
    answer: tuple = (0.05, 0.5)
    body: tuple = (0.0, 0.1)
    threads: float = 0.1
    """Maximum seconds until a thread takes its next step."""
    store: float = 0.0
    """Maximum seconds that the store takes for an answer."""
    faults: float = 0.0
    """Share of the requests that get a fault."""
    kinds: tuple = FAULTS


@dataclass
class Exchange:
    """One request in flight."""

    sent_at: float
    ends_at: float
    fault: str | None
    answer: Answer | None = None
    """Set when the service has answered."""
    headers_at: float = 0.0
    arrived_at: float | None = field(default=None)


class Network:
    """Carries requests, and draws the fate of each.

    Args:
        clock: The simulated time.
        random: The run's random numbers.
        service: The service that receives requests.
        conditions: Latencies and faults.
    """

    def __init__(self, clock, random, service, conditions):
        self._clock = clock
        self._random = random
        self._service = service
        self._conditions = conditions

    def send(self, config, texts, encoding):
        """Send a request; return the exchange, which has the end time and, by then, the answer."""
        random, conditions, now = self._random, self._conditions, self._clock.now
        fault = random.choice(conditions.kinds) if random.random() < conditions.faults else None
        arrival = now + random.uniform(*conditions.uplink)
        headers_at = arrival + random.uniform(*conditions.answer)
        ends = headers_at + random.uniform(*conditions.body)
        if fault == "refused":
            ends = arrival
        elif fault == "lost":  # gone for us, and perhaps not for the service
            ends = random.uniform(now, arrival)
            arrival = random.choice((None, min(arrival, ends + LATE_ARRIVAL)))
        elif fault == "time-out":
            arrival = random.choice((None, arrival))
            ends = now + config.timeout
        exchange = Exchange(now, ends, fault, headers_at=min(headers_at, ends))
        if fault != "refused" and arrival is not None:
            self._clock.at(arrival, lambda: self._arrive(exchange, config, texts, encoding))
        return exchange

    def _arrive(self, exchange, config, texts, encoding):
        trouble = None
        if exchange.fault == "500":
            trouble = Answer(500, "The server had an error.")
        elif exchange.fault == "503":
            trouble = Answer(503, "Overloaded.", retry_after=self._random.choice((None, 5.0, 40.0)))
        exchange.arrived_at = self._clock.now
        exchange.answer = self._service.answer(self._clock.now, config.model, texts, encoding, trouble)

    def result(self, exchange, texts):
        """Return the result that the codec would make of an answer."""
        if exchange.fault == "refused":
            return Result(error=APIConnectionError("Connection refused.", sent=False))
        if exchange.fault in {"lost", "reset"}:
            return Result(error=APIConnectionError("Connection reset."))
        if exchange.fault == "time-out":
            return Result(error=APITimeoutError("No answer in time."))
        answer = exchange.answer
        result = Result(
            headers=headers(answer.limit, answer.remaining, answer.reset, answer.retry_after),
            status=answer.status,
            headers_at=exchange.headers_at,
            seconds=exchange.ends_at - exchange.sent_at,
        )
        if answer.status != 200:
            result.error = _status_error(answer)
        elif exchange.fault == "broken":
            result.error = InvalidResponseError("The answer was cut.")
        elif answer.wrong_row is not None:
            result.error = InvalidResponseError("A vector is not finite.", index=answer.wrong_row, retries=1)
        elif exchange.fault == "cut row":
            row = self._random.randrange(len(texts))
            result.error = InvalidResponseError("A vector is not finite.", index=row, retries=1)
        else:
            result.prompt_tokens = result.total_tokens = answer.tokens
        return result


def _status_error(answer):
    kind = BY_STATUS.get(answer.status, ServerError if answer.status >= 500 else APIStatusError)
    return kind(
        answer.message,
        status_code=answer.status,
        param=answer.param,
        code=answer.code,
        retry_after=answer.retry_after,
    )
