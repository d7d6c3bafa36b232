"""A stand-in for the service, written from its documentation alone.

It counts every request as it arrives, locks the key for three minutes when there was one too many, and refuses what it
is told to refuse. It shares no code with the package, nor with the emulator.
"""

from bisect import bisect_right
from dataclasses import dataclass, field

PERIOD = 60.0
COOLDOWN = 180.0
BYTES_PER_TOKEN = 4

KNOWN_WORDS = "This model does not support specifying dimensions."
UNKNOWN_WORDS = ("Bad Request", "Upstream said no.", "Something is not right here")
TEXT_WORDS = "The request was refused by the content policy."


@dataclass
class Rules:
    """How the service behaves in one run."""

    limit: int | None = None
    """Requests in 60 s; None: there is no limit."""
    headers: str = "all"
    """Which answers report the limit: "all", "none", "good" (only answers with vectors) or "some" (every other)."""
    max_inputs: int = 2048
    max_tokens: int = 300_000
    names_numbers: bool = True
    """Whether a refusal for size names the allowed size."""
    guilty: set = field(default_factory=set)
    """Texts that are refused."""
    guilt: str = "named"
    """How: "named" by its position, in "text" words, or in "unknown" words."""
    refused_models: dict = field(default_factory=dict)
    """Models whose every request is refused, and the words for it."""
    float_only: bool = False
    """Whether base64 is refused."""
    unusable: set = field(default_factory=set)
    """Texts whose vector is never finite."""
    version: int = 1
    """The version of all models; the caches have vectors of the first."""
    key_errors: list = field(default_factory=list)
    """(from, until, status): when the key is refused with 401 or 402."""


@dataclass
class Answer:
    """The answer to a request."""

    status: int
    message: str = ""
    param: str | None = None
    code: str | None = None
    limit: int | None = None
    remaining: int | None = None
    reset: float | None = None
    retry_after: float | None = None
    tokens: int = 0
    wrong_row: int | None = None
    """Position of a row that is not finite."""


class Service:
    """Counts requests and answers them.

    Args:
        rules: How it behaves.
        sizes: Bytes of each text.
    """

    def __init__(self, rules, sizes):
        self.rules = rules
        self.arrivals = []
        self.locked_until = float("-inf")
        self.refused = 0
        """Answers with 429 to requests of the package."""
        self._sizes = sizes
        self._answers = 0

    def count(self, now):
        """Count a request that arrives; return whether it is admitted. One during a cooldown restarts it."""
        self.arrivals.append(now)
        if now >= self.locked_until and (self.rules.limit is None or self.in_window(now) <= self.rules.limit):
            return True
        self.locked_until = now + COOLDOWN
        return False

    def in_window(self, now):
        """Count the requests of the last minute."""
        return len(self.arrivals) - bisect_right(self.arrivals, now - PERIOD)

    def answer(self, now, model, texts, encoding, trouble=None):
        """Count a request and answer it; `trouble` replaces the service's own answer."""
        welcome = self.count(now)
        if not welcome:
            self.refused += 1
            answer = Answer(429, f"Rate limit exceeded. Try again in {COOLDOWN:.0f} seconds.", retry_after=COOLDOWN)
        else:
            answer = self._key_error(now) or trouble or self._refusal(model, texts, encoding) or self._vectors(texts)
        self._answers += 1
        shown = {"all": True, "none": False, "good": answer.status == 200, "some": self._answers % 2 == 1}
        if self.rules.limit is not None and shown[self.rules.headers]:
            answer.limit = self.rules.limit
            answer.remaining = max(0, self.rules.limit - self.in_window(now))
            answer.reset = PERIOD
        return answer

    def is_at_fault(self, text):
        """Return whether a text alone would be refused, or cannot be embedded."""
        rules = self.rules
        return text in rules.guilty or text in rules.unusable or self.count_tokens([text]) > rules.max_tokens

    def _key_error(self, now):
        for start, stop, status in self.rules.key_errors:
            if start <= now < stop:
                return Answer(status, "Incorrect API key provided." if status == 401 else "Insufficient balance.")
        return None

    def _refusal(self, model, texts, encoding):
        rules = self.rules
        if model in rules.refused_models:
            return Answer(400, rules.refused_models[model])
        if encoding == "base64" and rules.float_only:
            return Answer(400, "Only 'float' is supported.", param="encoding_format")
        guilty = next((position for position, text in enumerate(texts) if text in rules.guilty), None)
        return self._refusal_for_size(texts) or (None if guilty is None else self._blame(guilty))

    def _refusal_for_size(self, texts):
        rules = self.rules
        if len(texts) > rules.max_inputs:
            numbers = f" Expected an array with maximum length {rules.max_inputs}." if rules.names_numbers else ""
            return Answer(400, f"Invalid 'input': array too long.{numbers}")
        tokens = self.count_tokens(texts)
        if tokens > rules.max_tokens:
            if rules.names_numbers:
                return Answer(400, f"Requested {tokens} tokens, max {rules.max_tokens} tokens per request")
            return Answer(413, "Request entity too large")
        return None

    def _blame(self, position):
        if self.rules.guilt == "named":
            return Answer(400, f"Invalid 'input[{position}]': maximum input length is 8192 tokens.")
        return Answer(400, TEXT_WORDS if self.rules.guilt == "text" else UNKNOWN_WORDS[0])

    def _vectors(self, texts):
        wrong = next((position for position, text in enumerate(texts) if text in self.rules.unusable), None)
        return Answer(200, tokens=self.count_tokens(texts), wrong_row=wrong)

    def count_tokens(self, texts):
        """Count the tokens of texts."""
        return sum(1 + self._sizes[text] // BYTES_PER_TOKEN for text in texts)


def is_too_large(error):
    """Return whether an error is a refusal for the size of the request, in the words above."""
    words = ("array too long", "tokens per request", "entity too large")
    return error is not None and any(part in error.message for part in words)


def vector_of(text, version=1):
    """Return the correct vector of a text."""
    return f"vector of {text} by version {version}"
