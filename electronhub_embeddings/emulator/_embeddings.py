"""The models, the tokens of a text, and how vectors travel.

Tokens: every match of a pattern is one token. English comes to about four characters a token and CJK to about one,
as with cl100k_base. A match consumes at least one byte, so no text has more tokens than UTF-8 bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pybase64

if TYPE_CHECKING:
    from numpy.typing import NDArray

EMBEDDINGS_PATH: Final = "/v1/embeddings"
CHAT_PATH: Final = "/v1/chat/completions"
MAX_INPUT_TOKENS: Final = 8192

_TOKEN: Final = re.compile(
    r"[A-Za-z]{1,7}"  # most English words are one token, long ones two or three
    r"|[0-9]{1,3}"  # cl100k_base groups digits by three
    r"|[\u00c0-\u058f]{1,2}"  # accented Latin, Greek, Cyrillic, Armenian
    r"|[^\s\x00-\x7f]"  # CJK, emoji and the rest
    r"|[!-/:-@\[-`{-~]{1,2}"  # punctuation often pairs up
    r"|\s{2,}|[\n\t]"  # a single space belongs to the word after it
)


@dataclass(frozen=True)
class Model:
    """One row of `GET /v1/models`."""

    id: str
    dimensions: int
    """Length of the vectors, and the largest value of `dimensions`; 0 for a model without vectors."""
    accepts_dimensions: bool = False
    """Whether a request may set `dimensions`: "text-embedding-3 models only"."""
    owned_by: str = "openai"
    endpoints: tuple[str, ...] = (EMBEDDINGS_PATH,)
    price: float = 0.1
    """The price of a million tokens: the vendor's own at the time of writing, for what the service asks may change."""
    version: int = 1
    """Another one makes other vectors, and shows nowhere else."""

    @property
    def embeds(self) -> bool:
        """Whether the model serves embeddings."""
        return EMBEDDINGS_PATH in self.endpoints

    def row(self) -> dict[str, Any]:
        """Return the row that `GET /v1/models` lists."""
        return {
            "id": self.id,
            "object": "model",
            "owned_by": self.owned_by,
            "endpoints": list(self.endpoints),
        }

    def description(self) -> dict[str, Any]:
        """Return what `GET /v1/models/{model}` sends."""
        pricing = {"type": "per_million_tokens", "input": self.price}
        return {**self.row(), "pricing": pricing, "tokens": MAX_INPUT_TOKENS, "premium_model": False}


MODELS: Final = {
    model.id: model
    for model in (
        Model("text-embedding-3-small", 1536, accepts_dimensions=True, price=0.02),
        Model("text-embedding-3-large", 3072, accepts_dimensions=True, price=0.13),
        Model("text-embedding-ada-002", 1536),
        Model("codestral-embed", 1536, owned_by="mistral"),
        Model("mistral-embed", 1024, owned_by="mistral"),
        Model("gemini-embedding-2", 3072, owned_by="google"),
        Model("gpt-4o-mini", 0, endpoints=(CHAT_PATH,)),
    )
}
"""Every model by id: the embedding models, and a chat model that a client has to filter out."""


def count_tokens(text: str) -> int:
    """Return the number of tokens of `text`, which is not empty: at least 1, at most its UTF-8 bytes."""
    return max(1, len(_TOKEN.findall(text)))


def encode_vector(vector: NDArray[np.float32], *, base64: bool) -> str | list[float]:
    """Return a vector as JSON carries it: base64 of little-endian float32, or a list of numbers."""
    if base64:
        return pybase64.b64encode(vector.astype("<f4", copy=False).tobytes()).decode("ascii")
    numbers: list[float] = vector.tolist()
    return numbers


def decode_vector(embedding: str | list[float]) -> NDArray[np.float32]:
    """Return a writable copy of an encoded vector."""
    if isinstance(embedding, str):
        return np.array(np.frombuffer(pybase64.b64decode(embedding), "<f4"))
    return np.array(embedding, "<f4")
