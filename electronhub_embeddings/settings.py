"""The arguments of a client, resolved and checked once: frozen values that the rest of the core hands around."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

DEFAULT_MODEL = "text-embedding-3-small"
DEFAULT_BASE_URL = "https://api.electronhub.ai/v1"
LARGEST_BATCH = 2048
"""Inputs in one request: the limit of the OpenAI models behind the service."""

LONGEST_TIMEOUT = 86_400.0
"""Seconds; nobody waits longer than a day for an answer."""

ADDRESS = re.compile(r"(?:\[[0-9a-f:.]+\]|[^\[\]@:/?#\s]+)(?::[0-9]{1,5})?", re.IGNORECASE)
"""A host and a port, and nothing beside them that two readers could understand differently."""

HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")

FRAMING = {"host", "connection", "content-length", "content-type", "transfer-encoding", "accept-encoding"}
"""Headers that decide where a request ends and how an answer is packed: ours to set."""

LOOPBACK = {"localhost", "127.0.0.1", "::1"}

EncodingFormat = Literal["base64", "float"]

DEEPEST_BODY = 50
"""Levels kept of a decoded body; a body of a thousand would break whoever walks through it."""


class Secret:
    """A key that shows nowhere: not in repr, str, formatting, JSON or a debugger's list of variables."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Hand out the key itself, for the Authorization header and for nothing else."""
        return self._value

    def hide_in(self, value: Any, depth: int = 0) -> Any:
        """Replace the key wherever it stands in a string, or in the strings of a JSON body; cut the depths of one."""
        if isinstance(value, str):
            return value.replace(self._value, "**********")
        if isinstance(value, (list, dict)) and depth == DEEPEST_BODY:
            return None
        if isinstance(value, list):
            return [self.hide_in(item, depth + 1) for item in value]
        if isinstance(value, dict):
            return {self.hide_in(name): self.hide_in(item, depth + 1) for name, item in value.items()}
        return value

    def __repr__(self) -> str:
        return "Secret('**********')"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


@dataclass(frozen=True)
class Account:
    """Whose requests are counted: one queue and one limiter belong to each."""

    base_url: str
    api_key: Secret

    @property
    def is_local(self) -> bool:
        """Whether the requests stay on this machine, unencrypted."""
        parts = urlsplit(self.base_url)
        return parts.scheme == "http" and parts.hostname in LOOPBACK

    @property
    def name(self) -> str:
        """A name for stores: a hash of the URL, keyed with the API key, that tells neither."""
        key = hashlib.sha256(self.api_key.reveal().encode()).digest()
        return hashlib.blake2b(self.base_url.encode(), key=key, digest_size=16).hexdigest()

    @classmethod
    def resolve(cls, api_key: str | None, base_url: str | None, *, allow_http: bool = False) -> Account:
        """Fill in from `ELECTRONHUB_API_KEY` and `ELECTRONHUB_BASE_URL`; no other variable is ever read.

        Args:
            api_key: None: the variable's.
            base_url: None: the variable's, else the service's public address.
            allow_http: Let the key travel unencrypted to other hosts than this one.

        Raises:
            ValueError: There is no key, or the URL is not an https one.
        """
        key = api_key or os.environ.get("ELECTRONHUB_API_KEY")
        if not key:
            raise ValueError("No API key: pass api_key or set ELECTRONHUB_API_KEY.")
        if not key.isascii() or not key.isprintable() or key != key.strip():
            raise ValueError("api_key has characters that cannot stand in a header; was it copied whole?")
        url = (base_url or os.environ.get("ELECTRONHUB_BASE_URL") or DEFAULT_BASE_URL).rstrip("/")
        parts = urlsplit(url)
        if not ADDRESS.fullmatch(parts.netloc) or parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError(f"base_url must look like {DEFAULT_BASE_URL}, without user, query or fragment.")
        if parts.scheme != "https" and not (parts.scheme == "http" and (allow_http or parts.hostname in LOOPBACK)):
            raise ValueError(
                "base_url must begin with https://; http:// shows the key to the network, and so is for loopback only, "
                "or with allow_http=True for a network of yours."
            )
        return cls(url, Secret(key))


@dataclass(frozen=True)
class Recipe:
    """All that makes a request but its texts: texts with an equal recipe may travel together."""

    model: str
    dimensions: int | None
    user: str | None
    encoding_format: EncodingFormat
    batch_size: int
    max_retries: int
    timeout: float
    requests_per_minute: int | None
    max_concurrency: int
    default_headers: tuple[tuple[str, str], ...] = field(repr=False)
    http_client: httpx.Client | None = field(repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.model, str) or not self.model:
            raise ValueError("model must be the name of a model.")
        if self.encoding_format not in ("base64", "float"):
            raise ValueError(f"encoding_format must be 'base64' or 'float', not {self.encoding_format!r}.")
        _check_count("dimensions", self.dimensions, 1)
        _check_count("batch_size", self.batch_size, 1, LARGEST_BATCH)
        _check_count("max_retries", self.max_retries, 0)
        _check_count("max_concurrency", self.max_concurrency, 1)
        _check_count("requests_per_minute", self.requests_per_minute, 1)
        _check_seconds("timeout", self.timeout)


def freeze_headers(headers: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
    """Turn headers into a value that can be compared; the key has its own way and is refused here.

    Raises:
        ValueError: `Authorization` is among them, or one cannot be sent.
    """
    frozen = []
    for name, value in (headers or {}).items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise ValueError(f"default_headers[{name!r}]: names and values must be strings.")  # noqa: TRY004
        if not HEADER_NAME.fullmatch(lower := name.lower()):
            raise ValueError(f"default_headers[{name!r}] is no name of a header.")
        if lower == "authorization":
            raise ValueError("default_headers must not set Authorization: pass api_key.")
        if lower in FRAMING:
            raise ValueError(f"default_headers must not set {name}: it says how the request is packed.")
        if not value.isascii() or not value.isprintable() or value != value.strip():
            raise ValueError(f"default_headers[{name!r}] has characters that cannot stand in a header.")
        frozen.append((lower, value))
    return tuple(sorted(frozen))


def _check_count(name: str, value: Any, least: int, most: int | None = None) -> None:
    if value is None and name in {"dimensions", "requests_per_minute"}:
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < least or (most and value > most):
        span = f"from {least} to {most}" if most else f"of at least {least}"
        raise ValueError(f"{name} must be a whole number {span}, not {value!r}.")


def _check_seconds(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= LONGEST_TIMEOUT:
        raise ValueError(f"{name} must be a number of seconds above 0, at most {LONGEST_TIMEOUT:g}, not {value!r}.")
