"""Sends one request to the API, and reads and checks the response."""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from electronhub_embeddings._codec.models_list import read_models, read_price
from electronhub_embeddings._codec.request_body import write_request
from electronhub_embeddings._codec.response_parser import parse_response
from electronhub_embeddings._codec.result import Result, unexpected_error
from electronhub_embeddings._codec.vector_decoding import FLOAT32
from electronhub_embeddings._config.secret import (
    Secret,
    drop_frames,
    keep_traceback_as_text,
    redact,
    reveal,
    without_frames,
)
from electronhub_embeddings._http.large_memory import new_memory
from electronhub_embeddings._http.response_body import Turns
from electronhub_embeddings._http.transport import Transport
from electronhub_embeddings._rate_limit.rate_limit_headers import read_rate_limit_headers
from electronhub_embeddings.errors import ElectronHubError, InvalidResponseError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from electronhub_embeddings._config.account import Account
    from electronhub_embeddings._config.request_config import RequestConfig
    from electronhub_embeddings._http.transport import ApiResponse
    from electronhub_embeddings._rate_limit.rate_limit_headers import RateLimitHeaders

T = TypeVar("T")

MAX_VECTOR_BYTES = 200_000
"""Longest vector in a response, in bytes: 8,000 decimal numbers, more dimensions than any model has."""

MAX_OVERHEAD_BYTES = 1_000_000
"""Bytes allowed in a response in addition to its vectors."""

MAX_MODELS_BYTES = 20_000_000
"""Longest list of models, in bytes."""

MIN_TEXTS_FOR_TURNS = 32
"""Smallest number of texts in a request whose response is read and decoded in its turn."""

COMPRESSED_TURNS = 2
"""Compressed bodies that are read at a time: most of that is decompression, which needs no GIL."""

MIN_SECRET_LENGTH = 8
"""Shortest header value that is redacted in errors, in characters: replacing every "1" or "eu" would garble them."""


def _confidential_values(config: RequestConfig) -> list[str]:
    return [value for _, value in reveal(config.default_headers) or () if len(value) >= MIN_SECRET_LENGTH]


def new_array(count: int, width: int) -> np.ndarray:
    """Return an array for the first answers: where malloc gives them memory, it returns less of all other memory."""
    return np.ndarray((count, width), np.float32, new_memory(FLOAT32.itemsize * count * width))


class ApiClient:
    """Sends the requests of one request configuration over one connection pool. Thread-safe."""

    def __init__(self, account: Account, config: RequestConfig) -> None:
        self._account = account
        self._config = config
        self._secrets = Secret((account.api_key.reveal(), *_confidential_values(config)))
        self._transport = Transport(account, config)
        self._turns, self._compressed_turns = Turns(1), Turns(COMPRESSED_TURNS)
        self._dimensions: dict[str, int] = {}
        """Under the key "all": the length of the vectors in the first response."""
        self._vector_bytes = 0
        """Bytes of a vector in the last response, in JSON and after decompression."""

    def send(
        self, texts: Sequence[str], encoding_format: str, allocate: Callable[[int, int], np.ndarray] = new_array
    ) -> Result:
        """Send texts and read their vectors; errors are returned in the result, never raised.

        Args:
            texts: The texts to embed.
            encoding_format: The encoding to request, `base64` or `float`.
            allocate: Called with the number of vectors and their length, if earlier vectors have fixed that length.
                Returns the array to decode into.
        """
        result, start = Result(sent_at=time.time()), time.monotonic()
        try:
            self._exchange(texts, encoding_format, allocate, result)
            self._check_dimensions(result)
        except ElectronHubError as error:
            result.error, result.vectors = error, None
        except Exception as bug:  # noqa: BLE001 - a bug in this package or in the user's http_client
            result.error, result.vectors = unexpected_error(bug), None
        result.seconds = time.monotonic() - start
        if result.error is not None:
            self._account.advise(result.error)
            self._clean(result.error)
        return result

    def _exchange(
        self,
        texts: Sequence[str],
        encoding_format: str,
        allocate: Callable[[int, int], np.ndarray],
        result: Result,
    ) -> None:
        config = self._config
        body = write_request(
            texts,
            model=config.model,
            encoding_format=encoding_format,
            dimensions=config.dimensions,
            user=config.user,
        )
        known = config.dimensions or self._dimensions.get("all")
        with self._transport.post(body) as answer:
            result.status, result.headers_at = answer.status, answer.headers_at
            result.headers = read_rate_limit_headers(answer.headers, time.time())
            limit = MAX_OVERHEAD_BYTES + MAX_VECTOR_BYTES * len(texts)
            turns = self._compressed_turns if answer.is_compressed else self._turns
            with turns.take() if len(texts) >= MIN_TEXTS_FOR_TURNS else nullcontext() as turn:
                expected = len(texts) * self._vector_bytes
                if turn is None:
                    content = answer.read(limit, expected)
                else:
                    content = answer.read(limit, expected, turn.make_buffer)
                    turn.is_read()
                response = parse_response(answer.status, content, result.headers)
                result.prompt_tokens, result.total_tokens = response.tokens
                result.vectors = response.vectors(
                    count=len(texts), dimensions=known, allocate=new_array if known is None else allocate
                )
                self._vector_bytes = len(content) // len(texts) + 1

    def _check_dimensions(self, result: Result) -> None:
        """Raise an error if the vectors do not have the length of earlier ones.

        Two first responses can arrive at once; setdefault is atomic.
        """
        if result.vectors is None:
            return
        dimensions = result.vectors.shape[1]
        if (before := self._dimensions.setdefault("all", dimensions)) != dimensions:
            raise InvalidResponseError(f"Vectors had {before} dimensions before, {dimensions} now.", retries=0)

    @without_frames
    def list_models(self) -> list[str]:
        """Return the ids of the models that make embeddings; the list is public, so the key is not sent.

        Raises:
            ElectronHubError: As for any request; never retried.
        """
        return self._get(self._transport.get_models(), read_models)

    @without_frames
    def model_price(self) -> float | None:
        """Return the price of a million tokens of the configured model; the key is not sent. None: none is named.

        Raises:
            ElectronHubError: As for any request; never retried.
        """
        return self._get(self._transport.get_model(), read_price)

    def _get(
        self,
        request: AbstractContextManager[ApiResponse],
        read: Callable[[int, bytes | memoryview, RateLimitHeaders], T],
    ) -> T:
        """Send a request for public information, and read the answer."""
        try:
            with request as answer:
                headers = read_rate_limit_headers(answer.headers, time.time())
                return read(answer.status, answer.read(MAX_MODELS_BYTES), headers)
        except ElectronHubError as error:
            self._clean(error)
            raise
        except Exception as bug:
            drop_frames(keep_traceback_as_text(bug), self._redact)
            raise

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def _clean(self, error: ElectronHubError) -> None:
        """Redact secrets that the service has quoted, and remove the traceback frames that hold headers."""
        drop_frames(error, self._redact)
        error.rewrite(self._redact)

    def _redact(self, value: Any) -> Any:
        return redact(value, self._secrets.reveal())
